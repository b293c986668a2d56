"""What a multi-skim training leaves in its folder, without training: random weights from a seed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path

from conditions import IntervalOfValidity, TagState
from conditions.store import Store
from smartbkg.models.transformer import TransformerConfig
from smartbkg.multiskim_manifest import MultiSkimManifest
from smartbkg.pdg import PdgTable
from smartbkg.publish import Publication, PublishConfig, publish_multiskim
from smartbkg.smartbackground import (
    BATCHED_FILE,
    CONFIG_FILE,
    MAX_WEIGHT,
    WEIGHTS_FILE,
    SkimEntry,
    SmartBackgroundConfig,
    all_event_types,
)
from smartbkg.training.multiskim_export import export_pair
from support.foreign import SKIMS
from support.transformers import SMALL_TRANSFORMER, random_transformer


def write_multiskim(
    directory: Path, seed: int = 1, skims: Mapping[str, int] = SKIMS, model: TransformerConfig = SMALL_TRANSFORMER
) -> Path:
    """Both weights, configuration and metrics of one training, bound to each other."""
    directory.mkdir(parents=True, exist_ok=True)
    network = random_transformer(dataclasses.replace(model, n_skims=len(skims)), seed)
    figures = {name: {"auc": 0.5, "speed_up": 1.0} for name in skims}
    manifest = MultiSkimManifest(
        skims=tuple((code, name) for name, code in skims.items()),
        model_config=dataclasses.asdict(network.config),
        data_digest=f"data of seed {seed}",
        metrics=figures,
    )
    single, batched = export_pair(directory / WEIGHTS_FILE, directory / BATCHED_FILE, network, manifest)
    entries = tuple(SkimEntry(i, code, name, 0.5, 2.0 + 0.1 * i) for i, (name, code) in enumerate(skims.items()))
    codes = PdgTable.smartbackground().codes
    config = SmartBackgroundConfig(MAX_WEIGHT, all_event_types(), entries, codes, single, batched)
    (directory / CONFIG_FILE).write_text(config.to_json())
    metrics = {**figures, "data_digest": manifest.data_digest, "n_events": 100, "config": {"seed": seed}}
    (directory / "metrics.json").write_text(json.dumps(metrics))
    return directory


def publish_random(
    store: Store,
    directory: Path,
    *,
    seed: int = 1,
    tag: str | None = None,
    iov: str = "0,0,-1,-1",
    state: TagState | None = TagState.PUBLISHED,
) -> Publication:
    """Write such a network and publish it."""
    config = PublishConfig(tag, IntervalOfValidity.parse(iov), state)
    return publish_multiskim(write_multiskim(directory, seed), store, config)
