"""What a training leaves in its folder, without training: random weights from a seed, ready to be published."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from conditions import IntervalOfValidity, TagState
from conditions.store import Store
from smartbkg.models.checkpoint import save_checkpoint
from smartbkg.publish import Publication, PublishConfig, publish_gatgap
from smartbkg.training.export import export_onnx
from support.networks import SMALL_CONFIG, manifest_of, random_network


def write_trained(directory: Path, seed: int = 1) -> Path:
    """Checkpoint, export and metrics of one training, bound to each other."""
    directory.mkdir(parents=True, exist_ok=True)
    network = random_network(SMALL_CONFIG, seed)
    figures = {"auc": 0.5, "speed_up": 1.0}
    manifest = manifest_of(network, skim="feiHadronic", data_digest=f"data of seed {seed}", metrics=figures)
    digest = save_checkpoint(directory / "GATGAPgen.pth", network, manifest)
    export_onnx(directory / "GATGAPgen.onnx", network, dataclasses.replace(manifest, checkpoint_sha256=digest))
    metrics = {**figures, "data_digest": manifest.data_digest, "n_events": 100, "config": {"seed": seed}}
    (directory / "metrics.json").write_text(json.dumps(metrics))
    return directory


def publish_trained(
    store: Store,
    directory: Path,
    *,
    seed: int = 1,
    tag: str = "SmartBKG_GATGAP",
    iov: str = "0,0,-1,-1",
    state: TagState | None = TagState.PUBLISHED,
) -> Publication:
    """Write such a network and publish it."""
    config = PublishConfig(tag, IntervalOfValidity.parse(iov), state)
    return publish_gatgap(write_trained(directory, seed), store, config)
