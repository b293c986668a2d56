"""Pairs inside events, and sums over them."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from smartbkg.detector.kinematics import dot, offsets_of, pairs_within, sum_by, unit_vectors


@pytest.mark.parametrize("counts", [[], [0], [1], [3, 0, 4, 1, 2], [0, 0, 5]])
def test_pairs_are_all_pairs_of_the_same_event(counts):
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    expected = [pair for a, b in pairwise(offsets) for pair in combinations(range(a, b), 2)]
    assert list(zip(*(part.tolist() for part in pairs_within(offsets)), strict=True)) == expected


def test_offsets_count_events_without_objects():
    assert offsets_of(np.array([0, 0, 2]), 4).tolist() == [0, 2, 2, 3, 3]


def test_sums_are_per_event():
    assert sum_by(np.array([0, 0, 2]), np.array([1.0, 2.0, 5.0]), 4).tolist() == [3.0, 0.0, 5.0, 0.0]


def test_unit_vectors_have_length_one():
    vectors = unit_vectors(np.linspace(0, 3, 7), np.linspace(-3, 3, 7))
    assert dot(vectors, vectors) == pytest.approx(np.ones(7))
