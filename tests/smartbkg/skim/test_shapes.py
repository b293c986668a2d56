"""Event shapes against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.skim.shapes import Vectors, event_tensor, fox_wolfram_r2, thrust


def vectors_of(events: list[np.ndarray]) -> Vectors:
    index = np.repeat(np.arange(len(events)), [len(event) for event in events])
    return Vectors(len(events), index, np.concatenate([event.reshape(-1, 3) for event in events]).T)


def random_events(seed: int, sizes: list[int]) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 1, (n, 3)) for n in sizes]


def thrust_by_definition(p: np.ndarray) -> float:
    """The best axis is the sum of a half; halves are split by a plane through two of the vectors."""
    best = 0.0
    for i in range(len(p)):
        for j in range(i):
            side = np.sign(p @ np.cross(p[i], p[j]))
            for a in (-1, 1):
                for b in (-1, 1):
                    side[i], side[j] = a, b
                    best = max(best, float(np.linalg.norm(side @ p)))
    return best / np.linalg.norm(p, axis=1).sum()


def test_thrust_is_that_of_the_definition_for_nearly_all_events():
    events = random_events(1, [3, 4, 5, 8, 12] * 40)
    exact = np.array([thrust_by_definition(event) for event in events])
    found, _ = thrust(vectors_of(events))
    assert (found <= exact + 1e-9).all()
    assert (found > exact - 1e-9).mean() > 0.9
    assert (exact - found).max() < 0.05


def test_two_back_to_back_vectors_have_thrust_one_along_them():
    value, axis = thrust(vectors_of([np.array([[0.0, 3, 4], [0.0, -3, -4]])]))
    assert value == pytest.approx([1.0])
    assert np.abs(axis[:, 0]) == pytest.approx([0, 0.6, 0.8])


def test_r2_is_the_double_sum():
    events = random_events(2, [1, 2, 7, 20])
    expected = []
    for p in events:
        length = np.linalg.norm(p, axis=1)
        cosine = (p @ p.T) / np.outer(length, length)
        weight = np.outer(length, length)
        expected.append((weight * (1.5 * cosine**2 - 0.5)).sum() / weight.sum())
    assert fox_wolfram_r2(vectors_of(events)) == pytest.approx(expected)


def test_the_tensor_is_that_of_the_definition():
    events = random_events(3, [4, 9])
    expected = [p.T @ p / (p**2).sum() for p in events]
    assert event_tensor(vectors_of(events)) == pytest.approx(np.array(expected))


def test_events_without_vectors_have_zeros():
    vectors = vectors_of([np.empty((0, 3)), np.ones((2, 3)), np.zeros((1, 3))])
    assert thrust(vectors)[0].tolist() == pytest.approx([0, 1, 0])
    assert fox_wolfram_r2(vectors).tolist() == pytest.approx([0, 1, 0])


def test_a_shape_does_not_depend_on_the_other_events():
    events = random_events(4, [6, 0, 3, 15, 1, 9])
    together, _ = thrust(vectors_of(events))
    alone = [thrust(vectors_of([event]))[0][0] for event in events]
    assert together.tolist() == alone
