"""Weighted against true distributions: right weights pass, wrong ones are seen."""

from __future__ import annotations

import json

import numpy as np
import pytest

from smartbkg.report.comparison import (
    NothingToCompare,
    bin_edges,
    compare,
    compare_observable,
    kl_divergence,
    ks_distance,
)


def sample(n: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=n)
    p = 1 / (1 + np.exp(-x))  # events with a large x are kept more often
    return x, p, rng.uniform(size=n) <= p


def test_sampling_with_inverse_weights_is_unbiased() -> None:
    x, p, keep = sample()
    result = compare({"x": x}, {"x": x[keep]}, 1 / p[keep])
    assert abs(result.largest_pull) < 4
    assert abs(result.largest_paired_pull) < 4
    assert result.observables[0].kl < 0.0015
    assert result.sum_of_weights == pytest.approx(len(x), rel=0.05)


def test_forgotten_weights_are_seen() -> None:
    x, _, keep = sample()
    result = compare({"x": x}, {"x": x[keep]}, np.full(keep.sum(), 1 / keep.mean()))
    assert abs(result.largest_pull) > 10
    assert result.observables[0].kl > 0.0015


def test_pulls_of_right_weights_have_unit_width() -> None:
    rng = np.random.default_rng(8)
    x = rng.uniform(size=60_000)
    p = 0.1 + 0.2 * x
    keep = rng.uniform(size=len(x)) <= p
    result = compare_observable("x", x, x[keep], 1 / p[keep], bins=200)
    assert np.std(result.paired_pulls) == pytest.approx(1, abs=0.15)


def test_nothing_filtered_gives_no_pull_at_all() -> None:
    x, _, _ = sample(1000)
    result = compare({"x": x}, {"x": x}, np.ones(1000))
    assert result.largest_pull == result.largest_paired_pull == 0
    assert result.observables[0].ks == 0


def test_bins_with_few_kept_events_have_no_pull_and_json_stays_valid() -> None:
    x = np.linspace(0, 1, 300)
    result = compare({"x": x}, {"x": x[:12]}, np.full(12, 25.0))
    assert np.isnan(result.observables[0].pulls).tolist() == [False] + [True] * 14
    json.dumps(result.to_json(), allow_nan=False)


def test_values_that_are_not_finite_stay_out() -> None:
    x = np.array([1.0, 2.0, np.nan, np.inf] * 50)
    result = compare_observable("x", x, x, np.ones(200))
    assert result.truth.sum() == result.weighted.sum() == 100


def test_repeated_whole_numbers_fall_into_bins_of_their_own() -> None:
    result = compare_observable("n", np.array([4.0] * 10 + [5.0] * 30), np.array([5.0]), np.ones(1))
    assert result.truth.tolist() == [10, 30]
    assert result.weighted.tolist() == [0, 1]


def test_a_single_value_still_has_a_bin() -> None:
    assert bin_edges(np.array([3.0, 3.0]), np.array([3.0]), 5).tolist() == [2.5, 3.5]


def test_ks_distance_of_disjoint_samples_is_one() -> None:
    assert ks_distance(np.array([0.0, 1.0]), np.array([2.0]), np.ones(1)) == 1


def test_ks_distance_equals_a_brute_force_walk() -> None:
    rng = np.random.default_rng(2)
    truth, kept, weight = rng.normal(size=30), rng.normal(size=20), rng.uniform(1, 5, size=20)
    walk = [abs((truth <= x).mean() - weight[kept <= x].sum() / weight.sum()) for x in [*truth, *kept]]
    assert ks_distance(truth, kept, weight) == pytest.approx(max(walk))


def test_kl_divergence_is_zero_for_equal_shapes_only() -> None:
    assert kl_divergence(np.array([1.0, 2.0]), np.array([10.0, 20.0])) == pytest.approx(0)
    assert kl_divergence(np.array([1.0, 1.0]), np.array([1.0, 3.0])) > 0.1


def test_samples_without_passing_events_are_refused() -> None:
    with pytest.raises(NothingToCompare, match="0 passing events without"):
        compare({"x": np.array([])}, {"x": np.array([1.0])}, np.ones(1))


def test_an_observable_without_any_finite_value_has_no_pull() -> None:
    nothing = np.full(20, np.nan)
    result = compare_observable("x", nothing, np.ones(20), np.ones(20))
    assert result.truth.sum() == 0
    assert np.isnan(result.ks)
