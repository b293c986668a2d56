"""The network against an independent, slow walk over every edge in double precision."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from smartbkg.events import EventBatch
from smartbkg.features import Features, build
from smartbkg.models.gat import GATGAP_CONFIG, Gat, GatConfig
from support.events import Particle, decay_trees, event_batch
from support.networks import random_network

Row = NDArray[np.float64]


def leaky(x: Row, slope: float) -> Row:
    return np.where(x > 0, x, slope * x)


def softmax(values: list[Row]) -> list[Row]:
    largest = np.max(values, axis=0)
    powers = [np.exp(v - largest) for v in values]
    return [p / np.sum(powers, axis=0) for p in powers]


def slow_conv(h: list[Row], mother: list[int], w: dict[str, Row], prefix: str) -> list[Row]:
    heads, units = w[f"{prefix}.attn_l"].shape[1:]
    z = [(w[f"{prefix}.fc.weight"] @ row).reshape(heads, units) for row in h]
    left = [(row * w[f"{prefix}.attn_l"][0]).sum(1) for row in z]
    right = [(row * w[f"{prefix}.attn_r"][0]).sum(1) for row in z]
    edges = {(i, i) for i in range(len(h))}
    for child, m in enumerate(mother):
        if m not in (-1, child):
            edges |= {(m, child), (child, m)}
    out = []
    for target in range(len(h)):
        sources = sorted(s for s, t in edges if t == target)
        attention = softmax([leaky(left[s] + right[target], 0.2) for s in sources])
        mixed = sum(a[:, None] * z[s] for a, s in zip(attention, sources, strict=True))
        out.append(np.asarray(mixed).reshape(-1) + w[f"{prefix}.bias"])
    return out


def slow_logit(network: Gat, event: Features) -> float:
    """One event, one edge after the other, as the specification says it."""
    w = {name: tensor.numpy().astype(np.float64) for name, tensor in network.state_dict().items()}
    config = network.config
    width = config.heads * config.units
    h = [np.concatenate([w["pdg_embedding.weight"][t], x]) for t, x in zip(event.token, event.x, strict=True)]
    state: Row | None = None
    for layer in range(config.layers):
        p = f"gat_layers.{layer}"
        h = [leaky(row, 0.01) for row in slow_conv(h, event.mother.tolist(), w, f"{p}.gat")]
        if not h:
            pooled = np.zeros(width)
        elif config.gap:
            gates = [w[f"{p}.gap_gate.weight"] @ row + w[f"{p}.gap_gate.bias"] for row in h]
            pooled = np.asarray(sum(a * row for a, row in zip(softmax(gates), h, strict=True)))
        else:
            pooled = np.mean(h, axis=0)
        joined = pooled if state is None else np.concatenate([state, pooled])
        state = leaky(w[f"{p}.fc.weight"] @ joined + w[f"{p}.fc.bias"], 0.01)
    return float((w["fc_output.weight"] @ state + w["fc_output.bias"])[0])


def logits(network: Gat, features: Features) -> Row:
    inputs = {name: torch.from_numpy(array) for name, array in features.network_inputs().items()}
    with torch.no_grad():
        return np.asarray(network(**inputs).numpy(), dtype=np.float64)


def awkward_events() -> EventBatch:
    """Trees with cut mothers, an event of nothing, one of a single particle, two trees, a mother of many."""
    chain = [Particle(), Particle(pdg=321, mother=0, z_cm=50), Particle(pdg=22, mother=1, px_gev=1), Particle(mother=2)]
    two = [Particle(pdg=511, energy_gev=5.3), Particle(pdg=-511), Particle(mother=0), Particle(pdg=-211, mother=1)]
    star = [Particle(pdg=443, energy_gev=3.1), *(Particle(pdg=22, mother=0, energy_gev=0.1 * i) for i in range(30))]
    return event_batch([chain, [], [Particle(pdg=987654)], two, star])


CONFIGS = {
    "deployed": GATGAP_CONFIG,
    "mean": replace(GATGAP_CONFIG, gap=False),
    "class defaults": GatConfig(),
    "small": GatConfig(units=3, heads=2, layers=1, gap=True),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_logits_are_those_of_the_specification(name: str) -> None:
    network = random_network(CONFIGS[name], seed=5)
    features = build(EventBatch.concat([decay_trees(6, seed=2), awkward_events()]))
    expected = [slow_logit(network, features.between(i, i + 1)) for i in range(len(features))]
    assert np.std(expected) > 0.15
    assert np.abs(logits(network, features) - expected).max() < 2e-5


def test_large_attention_does_not_overflow() -> None:
    network = random_network(seed=6)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "attn" in name or "gap_gate.weight" in name:
                parameter.mul_(1000.0)
    features = build(decay_trees(4, seed=3))
    expected = [slow_logit(network, features.between(i, i + 1)) for i in range(len(features))]
    assert logits(network, features) == pytest.approx(expected, abs=1e-4)


def test_an_event_does_not_see_its_neighbours() -> None:
    network = random_network()
    features = build(EventBatch.concat([decay_trees(8, seed=4), awkward_events()]))
    together = logits(network, features)
    apart = np.concatenate([logits(network, features.between(i, i + 1)) for i in range(len(features))])
    assert together == pytest.approx(apart, rel=1e-6, abs=1e-6)


def test_the_order_of_particles_does_not_matter() -> None:
    network, features = random_network(), build(decay_trees(1, seed=9))
    order = np.random.default_rng(1).permutation(len(features.token))
    place = np.argsort(order)
    shuffled = Features(features.x[order], features.token[order], place[features.mother[order]], features.offsets)
    assert logits(network, features) == pytest.approx(logits(network, shuffled), rel=1e-6, abs=1e-6)


def test_gradients_are_those_of_finite_differences() -> None:
    network = random_network(GatConfig(units=2, heads=2, layers=2, gap=True), seed=3).double()
    inputs = {n: torch.from_numpy(a) for n, a in build(decay_trees(2, seed=5, depth=2)).network_inputs().items()}
    weights = [network.gat_layers[0].gat.attn_l, network.gat_layers[1].gat.attn_r, network.gat_layers[1].gat.fc.weight]

    def loss(*_: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = network(**{**inputs, "x": inputs["x"].double()}).sum()
        return result

    assert torch.autograd.gradcheck(loss, weights)


def test_keys_and_size_are_those_of_the_published_network() -> None:
    network = Gat(GATGAP_CONFIG)
    state = network.state_dict()
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    expected = {"pdg_embedding.weight": (541, 8), "fc_output.weight": (1, 32), "fc_output.bias": (1,)}
    for i in range(6):
        p = f"gat_layers.{i}"
        expected |= {f"{p}.gat.attn_l": (1, 4, 32), f"{p}.gat.attn_r": (1, 4, 32), f"{p}.gat.bias": (128,)}
        expected |= {f"{p}.gat.fc.weight": (128, 128 if i else 16)}
        expected |= {f"{p}.fc.weight": (32, 160 if i else 128), f"{p}.fc.bias": (32,)}
        expected |= {f"{p}.{gate}.weight": (1, 128) for gate in ("gap_gate", "gap.gate_nn")}
        expected |= {f"{p}.{gate}.bias": (1,) for gate in ("gap_gate", "gap.gate_nn")}
    assert shapes == expected
    assert len(shapes) == 63
    assert sum(parameter.numel() for parameter in network.parameters()) == 121_295


def test_without_gap_there_are_no_gap_keys() -> None:
    assert not [name for name in Gat(replace(GATGAP_CONFIG, gap=False)).state_dict() if "gap" in name]


def test_a_sure_logit_is_a_logit() -> None:
    network = random_network()
    with torch.no_grad():
        network.fc_output.bias.fill_(40.0)
    assert not math.isclose(float(logits(network, build(decay_trees(1)))[0]), 1.0)  # no sigmoid inside
