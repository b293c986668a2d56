"""The multi-skim filter's three payloads: weights for one event a call, what their outputs mean, weights for batches.

The configuration names the digests of both weights, and the weights for batches those for one event; the three are
published together or not at all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from conditions.catalogue import Catalogue
from smartbkg import __version__
from smartbkg.errors import ManifestMissing, ModelMismatch
from smartbkg.multiskim_manifest import MultiSkimManifest
from smartbkg.publish.config import BY_DEFAULT, Publication, PublishConfig
from smartbkg.publish.trained import METRICS, TrainedFiles, digest, evaluated, need_files, read_metrics
from smartbkg.publish.transaction import publish
from smartbkg.smartbackground import BATCHED_FILE, CONFIG_FILE, WEIGHTS_FILE, SmartBackgroundConfig

DEFAULT_TAG: Final = "SmartBackground"


def publish_multiskim(directory: Path | str, catalogue: Catalogue, config: PublishConfig = BY_DEFAULT) -> Publication:
    """Publish what `smartbkg train multiskim` wrote; raises as `read_multiskim` and `publish`.

    Args:
        directory: with the two weights, the configuration and metrics.json.
        catalogue: where to: a store, or a server.
        config: tag, interval, state.
    """
    return publish(read_multiskim(Path(directory)), catalogue, config)


def read_multiskim(directory: Path) -> TrainedFiles:
    """The files of a training, which must be finished and belong together.

    Raises:
        FileNotFoundError, NotAModel, ManifestMissing: a file is missing or damaged.
        ModelMismatch: the files are not of one training.
    """
    files = need_files(directory, (WEIGHTS_FILE, BATCHED_FILE, CONFIG_FILE, METRICS))
    weights, batched, config_file, metrics_file = files
    config = SmartBackgroundConfig.from_json(config_file.read_bytes(), config_file)
    if config.weights_sha256 is None or config.batched_sha256 is None:
        raise ModelMismatch(f"{config_file} does not say which weights it belongs to: export the training again")
    sha256 = digest(weights)
    config.check_weights(sha256, weights)
    config.check_weights(digest(batched), batched, batched=True)
    manifest = _manifest(batched, config, config_file)
    _manifest(weights, config, config_file)
    if manifest.single_sha256 != sha256:
        raise ModelMismatch(
            f"{batched} was made of weights with sha256 {(manifest.single_sha256 or 'unknown')[:12]}…, "
            f"{weights} has {sha256[:12]}…"
        )
    metrics = read_metrics(metrics_file)
    if metrics.get("data_digest", manifest.data_digest) != manifest.data_digest:
        raise ModelMismatch(f"{metrics_file} is of a training on other data than {weights}")
    # A payload's name is the file's without its ending.
    paths = {path.stem: path for path in (weights, config_file, batched)}
    metadata = {**_metadata(config, manifest, metrics), **evaluated(directory, {sha256, digest(config_file)})}
    description = "Multi-skim filter of selective background simulation"
    return TrainedFiles(paths, "weights_sha256", metadata, DEFAULT_TAG, description)


def _manifest(path: Path, config: SmartBackgroundConfig, config_file: Path) -> MultiSkimManifest:
    """The manifest of weights that fit the configuration."""
    from smartbkg.modules.multiskim_payloads import check_pair
    from smartbkg.multiskim_scorer import open_multiskim

    scorer = open_multiskim(path)
    if scorer.manifest is None:
        raise ManifestMissing(path)
    check_pair(scorer, config, str(path), str(config_file))
    return scorer.manifest


def _metadata(config: SmartBackgroundConfig, manifest: MultiSkimManifest, metrics: dict[str, Any]) -> dict[str, Any]:
    """What is kept with all three payloads."""
    figures = manifest.metrics
    return {
        "kind": manifest.kind,
        "skims": [{"code": skim.code, "name": skim.name, "a": skim.a, "b": skim.b} for skim in config.skims],
        "metrics": figures,
        "data_digest": manifest.data_digest,
        "feature_spec_digest": manifest.feature_spec.digest,
        "token_digest": manifest.token_digest,
        "weights_sha256": config.weights_sha256,
        "batched_sha256": config.batched_sha256,
        "checkpoint_sha256": manifest.checkpoint_sha256,
        "provenance": {
            "training": {name: value for name, value in metrics.items() if name not in figures},
            "smartbkg": __version__,
        },
        **({} if manifest.parent is None else {"parent": manifest.parent}),
    }
