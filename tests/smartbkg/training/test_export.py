"""Exported == trained, whatever the batch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest

from smartbkg.events import EventBatch
from smartbkg.features import build
from smartbkg.manifest import Manifest
from smartbkg.models.checkpoint import save_checkpoint
from smartbkg.models.gat import GATGAP_CONFIG, GatConfig
from smartbkg.models.scoring import network_logits
from smartbkg.scorer import OnnxScorer
from smartbkg.training.export import export_onnx, onnx_bytes
from support.events import Particle, decay_trees, event_batch
from support.networks import SMALL_CONFIG, manifest_of, random_network

CONFIGS = {
    "deployed": GATGAP_CONFIG,
    "mean": dataclasses.replace(GATGAP_CONFIG, gap=False),
    "class defaults": GatConfig(),
    "one layer": GatConfig(units=3, heads=1, layers=1, gap=True),
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("n_events", [1, 7])
@pytest.mark.parametrize("depth", [1, 4])
def test_exported_equals_trained(name: str, n_events: int, depth: int, tmp_path: Path) -> None:
    network = random_network(CONFIGS[name], seed=2)
    export_onnx(tmp_path / "a.onnx", network, manifest_of(network))
    strange = event_batch([[Particle(pdg=987654), Particle(mother=0), Particle(z_cm=40), Particle(mother=2)], []])
    batch = EventBatch.concat([decay_trees(n_events, seed=4, depth=depth), strange])
    features = build(batch)
    assert features.unknown_pdgs == {987654: 1}
    exported = OnnxScorer(tmp_path / "a.onnx").logits(features)
    assert np.abs(exported - network_logits(network, features.network_inputs())).max() < 1e-5


def test_large_attention_does_not_overflow(tmp_path: Path) -> None:
    network = random_network(seed=6)
    for name, parameter in network.named_parameters():
        if "attn" in name or "gap_gate.weight" in name:
            parameter.data.mul_(300.0)
    export_onnx(tmp_path / "a.onnx", network, manifest_of(network))
    features = build(decay_trees(5, seed=3))
    exported = OnnxScorer(tmp_path / "a.onnx").logits(features)
    assert exported == pytest.approx(network_logits(network, features.network_inputs()), abs=1e-3)


def test_the_same_network_gives_the_same_bytes() -> None:
    first, second = (random_network(SMALL_CONFIG, seed=3) for _ in range(2))
    assert onnx_bytes(first, manifest_of(first)) == onnx_bytes(second, manifest_of(second))
    other = random_network(SMALL_CONFIG, seed=4)
    assert onnx_bytes(other, manifest_of(other)) != onnx_bytes(first, manifest_of(first))


def test_the_manifest_binds_the_export_to_its_checkpoint(tmp_path: Path) -> None:
    network = random_network(SMALL_CONFIG)
    sha256 = save_checkpoint(tmp_path / "a.pth", network, manifest_of(network))
    export_onnx(tmp_path / "a.onnx", network, manifest_of(network, checkpoint_sha256=sha256))
    properties = {p.key: p.value for p in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert Manifest.from_json(properties["smartbkg"], "a.onnx").checkpoint_sha256 == sha256


def test_a_failed_export_leaves_nothing_behind(tmp_path: Path) -> None:
    network = random_network(SMALL_CONFIG)
    with pytest.raises(FileNotFoundError):
        export_onnx(tmp_path / "no" / "a.onnx", network, manifest_of(network))
    target = tmp_path / "a.onnx"
    target.mkdir()
    with pytest.raises(OSError, match=r"a\.onnx"):
        export_onnx(target, network, manifest_of(network))
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
