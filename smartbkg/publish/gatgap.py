"""The GATGAP filter's two payloads for two kinds of readers.

The checkpoint `GATGAPgen.pth` is what existing programs open, its export `GATGAPgen.onnx` is for workers without
torch. The export must say that it was made of this checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from conditions.catalogue import Catalogue
from smartbkg import __version__
from smartbkg.errors import ModelMismatch
from smartbkg.publish.config import BY_DEFAULT, Publication, PublishConfig
from smartbkg.publish.trained import METRICS, TrainedFiles, digest, evaluated, need_files, read_metrics
from smartbkg.publish.transaction import publish
from smartbkg.scorer import OnnxScorer

CHECKPOINT: Final = "GATGAPgen.pth"
EXPORT: Final = "GATGAPgen.onnx"
DEFAULT_TAG: Final = "SmartBKG_GATGAP"


def publish_gatgap(directory: Path | str, catalogue: Catalogue, config: PublishConfig = BY_DEFAULT) -> Publication:
    """Publish what `smartbkg train gatgap` wrote; raises as `read_gatgap` and `publish`.

    Args:
        directory: with GATGAPgen.pth, GATGAPgen.onnx and metrics.json.
        catalogue: where to: a store, or a server.
        config: tag, interval, state.
    """
    return publish(read_gatgap(Path(directory)), catalogue, config)


def read_gatgap(directory: Path) -> TrainedFiles:
    """The files of a training, which must be finished and belong together.

    Raises:
        FileNotFoundError, NotAModel, ManifestMissing: a file is missing or damaged.
        ModelMismatch: the files are not of one training.
    """
    checkpoint, export, metrics_file = need_files(directory, (CHECKPOINT, EXPORT, METRICS))
    manifest = OnnxScorer(export).manifest
    sha256 = digest(checkpoint)
    if manifest.checkpoint_sha256 != sha256:
        made_of = (manifest.checkpoint_sha256 or "unknown")[:12]
        raise ModelMismatch(
            f"{export} was made of a checkpoint with sha256 {made_of}…, {checkpoint} has {sha256[:12]}…"
        )
    metrics = read_metrics(metrics_file)
    if metrics.get("data_digest", manifest.data_digest) != manifest.data_digest:
        raise ModelMismatch(f"{metrics_file} is of a training on other data than {export}")
    figures = manifest.metrics
    metadata = {
        "kind": manifest.kind,
        "skim": manifest.skim,
        "metrics": figures,
        "data_digest": manifest.data_digest,
        "feature_spec_digest": manifest.feature_spec.digest,
        "token_digest": manifest.token_digest,
        "checkpoint_sha256": sha256,
        "provenance": {
            "training": {name: value for name, value in metrics.items() if name not in figures},
            "smartbkg": __version__,
        },
        **evaluated(directory, {sha256}),
    }
    paths = {CHECKPOINT: checkpoint, EXPORT: export}
    description = "GATGAP filter of selective background simulation"
    return TrainedFiles(paths, "checkpoint_sha256", metadata, DEFAULT_TAG, description)
