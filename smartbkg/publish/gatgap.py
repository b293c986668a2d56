"""The two payloads of a filter for one skim, for two kinds of readers: GATGAP, and the baseline beside it.

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
CONVNET_FILES: Final = ("ConvNet.pth", "ConvNet.onnx")
CONVNET_TAG: Final = "SmartBKG_ConvNet"


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
    return _read(directory, (CHECKPOINT, EXPORT), DEFAULT_TAG, "GATGAP filter of selective background simulation")


def read_convnet(directory: Path) -> TrainedFiles:
    """The same for the convolutional baseline; raises as `read_gatgap`."""
    return _read(directory, CONVNET_FILES, CONVNET_TAG, "convolutional baseline of selective background simulation")


def _read(directory: Path, names: tuple[str, str], tag: str, description: str) -> TrainedFiles:
    checkpoint, export, metrics_file = need_files(directory, (*names, METRICS))
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
        **({} if manifest.parent is None else {"parent": manifest.parent}),
        "provenance": {
            "training": {name: value for name, value in metrics.items() if name not in figures},
            "smartbkg": __version__,
        },
        **evaluated(directory, {sha256}),
    }
    paths = dict(zip(names, (checkpoint, export), strict=True))
    return TrainedFiles(paths, "checkpoint_sha256", metadata, tag, description)
