"""Both exported forms == trained, whatever the batch."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray

from smartbkg.bridging import build_bridged
from smartbkg.events import EventBatch
from smartbkg.features import Features
from smartbkg.models.transformer import Transformer, TransformerConfig
from smartbkg.multiskim_manifest import MultiSkimManifest
from smartbkg.training.multiskim_export import batched_bytes, export_pair, export_single, single_bytes
from support.events import Particle, event_batch
from support.generated import generated
from support.transformers import SMALL_TRANSFORMER, manifest_for, pad, random_transformer

CONFIGS = {
    "default": TransformerConfig(),
    "small": SMALL_TRANSFORMER,
    "one of everything": TransformerConfig(
        n_skims=1, d_model=8, heads=1, layers=1, d_hidden=4, d_embedding=1, queries=1, d_head=8, doublings=1
    ),
}
TYPES = ("mixed", "ccbar", "taupair")


def session(content: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options)


def real_events(n_events: int) -> tuple[Features, torch.Tensor]:
    """Generated events of three types, one with a particle of an unknown kind, and odd ones."""
    odd = event_batch([[], [Particle(pdg=987654)], [Particle(), Particle(pdg=987654, mother=0), Particle(mother=1)]])
    batch = EventBatch.concat([*(generated(kind, 500)[:n_events] for kind in TYPES), odd])
    features = build_bridged(batch)
    assert features.unknown_pdgs == {987654: 2}
    return features, torch.from_numpy(batch.event_type.astype(np.int64))


def trained(network: Transformer, inputs: tuple[torch.Tensor, ...]) -> NDArray[np.float32]:
    logits: NDArray[np.float32] = network(*inputs).numpy()
    return logits


def named(inputs: tuple[torch.Tensor, ...]) -> dict[str, NDArray[Any]]:
    x, *integers = (tensor.numpy() for tensor in inputs)
    return {"x": x, **{n: v.astype(np.int32) for n, v in zip(("pdg", "mother", "c"), integers, strict=True)}}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize(("n_events", "more"), [(1, 0), (7, 0), (7, 33)])
def test_batches_equal_the_trained_network(name: str, n_events: int, more: int) -> None:
    network = random_transformer(CONFIGS[name], seed=2)
    x, pdg, mother, c = pad(*real_events(n_events))
    none = torch.full((len(c), more), -1)
    inputs = (torch.cat([x, torch.zeros(len(c), more, 8)], 1), torch.cat([pdg, none], 1), torch.cat([mother, none], 1))
    exported = session(batched_bytes(network, manifest_for(network))).run(["output"], named((*inputs, c)))[0]
    assert exported.shape == (3 * n_events + 3, network.config.n_skims)
    assert np.ptp(exported[:, 0]) > 0.1
    assert np.abs(exported - trained(network, (x, pdg, mother, c))).max() < 1e-5


@pytest.mark.parametrize("name", CONFIGS)
def test_single_events_equal_the_trained_network(name: str) -> None:
    network = random_transformer(CONFIGS[name], seed=3)
    features, c = real_events(4)
    exported = session(single_bytes(network, manifest_for(network)))
    reference = trained(network, pad(features, c))
    for row in range(len(features)):
        part = features.between(row, row + 1)
        inputs = {
            "x": part.x,
            "pdg": part.token.astype(np.int32),
            "mother": part.mother.astype(np.int32),
            "c": np.array(int(c[row]), np.int32),
        }
        logits = exported.run(["output"], inputs)[0]
        assert logits.shape == (network.config.n_skims,)
        assert np.abs(logits - reference[row]).max() < 1e-5


def test_single_events_have_the_interface_of_existing_programs() -> None:
    network = random_transformer()
    opened = session(single_bytes(network, manifest_for(network)))
    assert [(i.name, i.type, i.shape) for i in opened.get_inputs()] == [
        ("x", "tensor(float)", ["n", 8]),
        ("pdg", "tensor(int32)", ["n"]),
        ("mother", "tensor(int32)", ["n"]),
        ("c", "tensor(int32)", []),
    ]
    assert [(o.name, o.type, o.shape) for o in opened.get_outputs()] == [("output", "tensor(float)", [3])]


def test_an_export_needs_no_operators_beyond_the_standard() -> None:
    network = random_transformer()
    for content in (single_bytes(network, manifest_for(network)), batched_bytes(network, manifest_for(network))):
        model = onnx.load_from_string(content)
        assert {entry.domain for entry in model.opset_import} == {""}
        assert not model.functions


def test_large_numbers_do_not_overflow() -> None:
    network = random_transformer(seed=6)
    for name, parameter in network.named_parameters():
        if "qkv" in name or "gate" in name or "relation" in name:
            parameter.mul_(100.0)
    x, pdg, mother, c = pad(*real_events(3))
    x = x * 1e4
    exported = session(batched_bytes(network, manifest_for(network))).run(None, named((x, pdg, mother, c)))[0]
    assert np.isfinite(exported).all()
    assert exported == pytest.approx(trained(network, (x, pdg, mother, c)), abs=1e-2)


def test_the_same_network_gives_the_same_bytes() -> None:
    first, second, other = (random_transformer(seed=seed) for seed in (3, 3, 4))
    for write in (single_bytes, batched_bytes):
        assert write(first, manifest_for(first)) == write(second, manifest_for(second))
        assert write(first, manifest_for(first)) != write(other, manifest_for(other))


def test_a_pair_is_bound_by_the_digest_of_the_single_form(tmp_path: Path) -> None:
    network = random_transformer()
    manifest = manifest_for(network, checkpoint_sha256="0" * 64, metrics={"auc": 0.5})
    digests = export_pair(tmp_path / "a.onnx", tmp_path / "b.onnx", network, manifest)
    files = (tmp_path / "a.onnx", tmp_path / "b.onnx")
    assert digests == tuple(hashlib.sha256(path.read_bytes()).hexdigest() for path in files)
    for path, single_sha256 in zip(files, (None, digests[0]), strict=True):
        properties = {p.key: p.value for p in onnx.load(path).metadata_props}
        found = MultiSkimManifest.from_json(properties["smartbkg"], path)
        assert found == dataclasses.replace(manifest, single_sha256=single_sha256)


def test_a_failed_export_leaves_nothing_behind(tmp_path: Path) -> None:
    network = random_transformer()
    (tmp_path / "a.onnx").mkdir()
    with pytest.raises(OSError, match=r"a\.onnx"):
        export_single(tmp_path / "a.onnx", network, manifest_for(network))
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx"]
