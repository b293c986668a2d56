"""Symmetries: what they change and what they must not."""

from __future__ import annotations

import numpy as np

from smartbkg.features import CONVNET_SPEC, GATGAP_SPEC, build
from smartbkg.pdg import PdgTable
from smartbkg.training.augment import augment, conjugates
from support.events import Particle, decay_trees, event_batch

TABLE = PdgTable.gatgap()


def test_lengths_angles_and_links_stay() -> None:
    inputs = build(decay_trees(20, seed=1)).network_inputs()
    turned = augment(inputs, GATGAP_SPEC, np.random.default_rng(1))
    before, after = inputs["x"], turned["x"]
    assert np.array_equal(before[:, [0, 1, 4, 7]], after[:, [0, 1, 4, 7]])  # t, E, z, pz
    for first, second in ((2, 3), (5, 6)):
        assert np.allclose(np.hypot(before[:, first], before[:, second]), np.hypot(after[:, first], after[:, second]))
    assert not np.allclose(before[:, 5], after[:, 5])
    for name in ("mother", "event", "n_events"):
        assert np.array_equal(inputs[name], turned[name])


def test_an_event_turns_as_a_whole() -> None:
    inputs = build(decay_trees(20, seed=1)).network_inputs()
    turned = augment(inputs, GATGAP_SPEC, np.random.default_rng(1))
    for event in range(20):
        rows = inputs["event"] == event
        before, after = inputs["x"][rows][:, [5, 6]], turned["x"][rows][:, [5, 6]]
        assert np.allclose(before @ before.T, after @ after.T, atol=1e-5)
        vertices = inputs["x"][rows][:, [2, 3]], turned["x"][rows][:, [2, 3]]
        assert np.allclose(before @ vertices[0].T, after @ vertices[1].T, atol=1e-5)


def test_reflections_and_conjugations_happen_in_half_of_the_events() -> None:
    inputs = build(decay_trees(400, seed=2, depth=2)).network_inputs()
    turned = augment(inputs, GATGAP_SPEC, np.random.default_rng(3))
    first, second = (np.searchsorted(inputs["event"], np.arange(400)) + k for k in (0, 2))

    def winding(x: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        return np.sign(x[first, 5] * x[second, 6] - x[first, 6] * x[second, 5])

    reflected = winding(inputs["x"]) != winding(turned["x"])
    conjugated = inputs["token"][first] != turned["token"][first]
    assert 150 < reflected.sum() < 250
    assert 150 < conjugated.sum() < 250


def test_charges_are_conjugated_with_their_particles() -> None:
    pair = [Particle(pdg=211, charge=1.0), Particle(pdg=-321, charge=-1.0), Particle(pdg=22, charge=0.0)]
    inputs = build(event_batch([pair] * 40), CONVNET_SPEC).network_inputs()
    turned = augment(inputs, CONVNET_SPEC, np.random.default_rng(1))
    kept = turned["token"].reshape(40, 3)[:, 0] == inputs["token"][0]
    charge = turned["x"][:, -1].reshape(40, 3)
    assert 5 < kept.sum() < 35
    assert np.array_equal(charge[kept], np.tile([1.0, -1.0, 0.0], (kept.sum(), 1)))
    assert np.array_equal(charge[~kept], np.tile([-1.0, 1.0, 0.0], ((~kept).sum(), 1)))


def test_the_input_is_left_alone_and_the_seed_decides() -> None:
    inputs = build(decay_trees(5)).network_inputs()
    copy = {name: array.copy() for name, array in inputs.items()}
    one, two = (augment(inputs, GATGAP_SPEC, np.random.default_rng(7)) for _ in range(2))
    assert all(np.array_equal(inputs[name], copy[name]) for name in inputs)
    assert all(np.array_equal(one[name], two[name]) for name in inputs)


def test_conjugation_swaps_antiparticles_and_undoes_itself() -> None:
    token = conjugates("gatgap")
    assert np.array_equal(token[token], np.arange(TABLE.n_tokens))
    assert TABLE.codes[token[TABLE.codes.index(211)]] == -211
    for code in (22, 111, 310):
        assert token[TABLE.codes.index(code)] == TABLE.codes.index(code)
    assert token[TABLE.unknown_token] == TABLE.unknown_token
