"""Weighted against true distributions: right weights pass, wrong ones are seen."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartbkg.errors import NothingToCompare
from smartbkg.report.binning import bin_edges, merge_poor_bins
from smartbkg.report.comparison import Comparison, compare, compare_observable, kl_divergence, ks_distance


def sample(n: int = 20_000) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    x = rng.normal(size=n)
    p = 1 / (1 + np.exp(-x))  # events with a large x are kept more often
    return x, p, rng.uniform(size=n) <= p


def test_sampling_with_inverse_weights_is_unbiased() -> None:
    x, p, keep = sample()
    result = compare({"x": x}, p, {"x": x[keep]}, 1 / p[keep])
    assert abs(result.largest_pull) < 4
    assert abs(result.largest_paired_pull) < 4
    assert result.observables[0].kl < 0.0015
    assert result.sum_of_weights == pytest.approx(len(x), rel=0.05)


def test_forgotten_weights_are_seen() -> None:
    x, p, keep = sample()
    result = compare({"x": x}, p, {"x": x[keep]}, np.full(keep.sum(), 1 / keep.mean()))
    assert abs(result.largest_pull) > 10
    assert result.observables[0].kl > 0.0015


def test_pulls_of_right_weights_have_unit_width() -> None:
    rng = np.random.default_rng(8)
    x = rng.uniform(size=60_000)
    p = 0.1 + 0.2 * x
    keep = rng.uniform(size=len(x)) <= p
    result = compare_observable("x", (x, p), (x[keep], 1 / p[keep]), bins=200)
    assert np.std(result.paired_pulls) == pytest.approx(1, abs=0.15)


def test_nothing_filtered_gives_no_pull_at_all() -> None:
    x, _, _ = sample(1000)
    result = compare({"x": x}, np.ones(1000), {"x": x}, np.ones(1000))
    assert result.largest_pull == result.largest_paired_pull == 0
    assert result.observables[0].ks == 0


def test_bins_with_few_kept_events_join_their_neighbours() -> None:
    x = np.linspace(0, 1, 300)
    result = compare_observable("x", (x, np.full(300, 0.1)), (x[:30], np.full(30, 10.0)), bins=15)
    assert result.truth.tolist() == [20, 280]  # the first bin has 20 kept events, the second all the others
    assert result.weighted.tolist() == [200, 100]
    assert result.pulls[1] < -5  # what was lost on the right is seen


def test_too_few_kept_events_in_all_give_one_bin_without_a_pull_and_valid_json() -> None:
    x = np.linspace(0, 1, 300)
    result = compare({"x": x}, np.full(300, 1 / 60), {"x": x[:5]}, np.full(5, 60.0))
    assert np.isnan(result.observables[0].pulls).tolist() == [True]
    assert result.largest_pull == 0
    json.dumps(result.to_json(), allow_nan=False)


@given(st.lists(st.floats(1, 1000), min_size=1, max_size=80), st.integers(1, 20))
def test_merged_bins_cover_the_same_range_with_enough_in_each(weights: list[float], bins: int) -> None:
    weight = np.array(weights)
    kept = np.linspace(0, 1, len(weight))
    edges = np.linspace(0, 1, bins + 1)
    merged = merge_poor_bins(edges, kept, weight)
    assert (merged[0], merged[-1]) == (0, 1)
    assert set(merged) <= set(edges)
    total = np.histogram(kept, merged, weights=weight)[0]
    square = np.histogram(kept, merged, weights=weight**2)[0]
    assert len(merged) == 2 or (total**2 >= 9.99 * square)[:-1].all()


def test_values_that_are_not_finite_stay_out() -> None:
    x = np.array([1.0, 2.0, np.nan, np.inf] * 50)
    result = compare_observable("x", (x, np.ones(200)), (x, np.ones(200)))
    assert result.truth.sum() == result.weighted.sum() == 100


def test_repeated_whole_numbers_fall_into_bins_of_their_own() -> None:
    values = np.array([4.0] * 10 + [5.0] * 30)
    result = compare_observable("n", (values, np.ones(40)), (np.repeat([4.0, 5.0], 12), np.ones(24)), bins=2)
    assert result.truth.tolist() == [10, 30]
    assert result.weighted.tolist() == [12, 12]


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
        compare({"x": np.array([])}, np.array([]), {"x": np.array([1.0])}, np.ones(1))


def test_an_observable_without_any_finite_value_has_no_pull() -> None:
    nothing = np.full(20, np.nan)
    result = compare_observable("x", (nothing, np.ones(20)), (np.ones(20), np.ones(20)))
    assert result.truth.sum() == 0
    assert np.isnan(result.ks)


def test_an_observable_of_nothing_but_nan_leaves_valid_json_and_the_others_figures() -> None:
    x, p, keep = sample()
    nothing = np.full(len(x), np.nan)  # the variables of another skim than the one that these events pass
    result = compare({"other": nothing, "x": x}, p, {"other": nothing[keep], "x": x[keep]}, 1 / p[keep])
    written = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert written["observables"][0]["kl"] is None
    assert 0 < written["largest_kl"] == result.observables[1].kl == result.largest_kl


def test_one_value_of_the_truth_against_many_kept_ones_is_one_bin_that_holds_all() -> None:
    kept = np.linspace(0, 2, 100)
    result = compare_observable("x", (np.ones(300), np.ones(300)), (kept, np.ones(100)))
    assert result.edges.tolist() == [0, 2]
    assert (result.truth.tolist(), result.weighted.tolist()) == ([300], [100])


def many_samples(n_samples: int, n: int = 2000) -> list[Comparison]:
    """Unbiased samples of the same events; observables that depend on each other and on the probability."""
    rng = np.random.default_rng(11)
    base = rng.normal(size=(n, 3))
    truth = {f"x{i}": base @ rng.normal(size=3) + 0.3 * rng.normal(size=n) for i in range(8)}
    truth["count"] = rng.poisson(4.0, n).astype(float)
    p = np.clip(np.exp(0.5 * (base[:, 0] - 1.0)), 0.02, 1.0)
    kept = (rng.uniform(size=n) < p for _ in range(n_samples))
    return [compare(truth, p, {name: v[keep] for name, v in truth.items()}, 1 / p[keep]) for keep in kept]


def test_p_values_of_unbiased_samples_are_uniform_though_observables_are_correlated() -> None:
    samples = many_samples(150)
    overall = np.array([sample.p_value for sample in samples])
    single = np.array([o.p_value for sample in samples for o in sample.observables])
    ks = np.array([o.ks_p_value for sample in samples for o in sample.observables if o.name != "count"])
    for found in (overall, single, ks):
        assert np.quantile(found, 0.5) == pytest.approx(0.5, abs=0.12)
        assert np.mean(found < 0.1) == pytest.approx(0.1, abs=0.06)
    assert samples[0].effective_bins < 0.6 * samples[0].n_bins


def test_the_expected_divergence_is_the_mean_of_unbiased_samples() -> None:
    samples = many_samples(100)
    found = np.array([[o.kl, o.kl_expected] for sample in samples for o in sample.observables])
    assert found[:, 0].mean() == pytest.approx(found[:, 1].mean(), rel=0.05)
    # The rule of thumb for bins of equal content and weights that do not depend on the bin.
    sample = samples[0]
    floor = (len(sample.observables[0].truth) - 1) / 2 * (1 / sample.effective_events - 1 / sample.n_truth)
    assert sample.observables[0].kl_expected == pytest.approx(floor, rel=0.35)


def test_the_sum_of_weights_and_the_largest_pull_are_judged_by_the_sampling() -> None:
    samples = many_samples(150)
    assert np.std([sample.sum_pull for sample in samples]) == pytest.approx(1, abs=0.15)
    beyond = [abs(sample.largest_paired_pull) > sample.likely_largest_pull for sample in samples]
    assert 0.2 < np.mean(beyond) < 0.7


def test_wrong_weights_have_no_chance() -> None:
    x, p, keep = sample()
    result = compare({"x": x}, p, {"x": x[keep]}, np.full(keep.sum(), 1 / keep.mean()))
    assert result.p_value < 1e-12
    assert result.observables[0].ks_p_value < 1e-12
    assert result.observables[0].kl > 20 * result.observables[0].kl_expected


def test_a_threshold_is_seen_to_bias_the_observable_it_depends_on() -> None:
    rng = np.random.default_rng(6)
    x, _, _ = sample()
    other = rng.normal(size=len(x))
    p = np.ones(len(x))
    done = compare({"x": x, "other": other}, p, {"x": x, "other": other}, p, above_threshold=x + other * 0 > -0.5)
    biased, fair = done.observables
    assert biased.smallest_threshold_p < 1e-12
    assert fair.smallest_threshold_p > 1e-4
    assert len(fair.to_json()["threshold_p_values"]) == len(fair.truth)


def test_without_a_threshold_nothing_is_said_of_one() -> None:
    x, p, keep = sample(1000)
    only = compare({"x": x}, p, {"x": x[keep]}, 1 / p[keep]).observables[0].to_json()
    assert "threshold_p_values" not in only
    assert only["smallest_threshold_p"] is None


def test_an_observable_in_one_bin_has_no_divergence() -> None:
    x = np.linspace(0, 1, 100)
    result = compare({"x": x}, np.full(100, 0.5), {"x": x[::2]}, np.full(50, 2.0))
    assert len(result.observables[0].truth) == 1
    assert np.isnan(result.largest_kl)
    json.dumps(result.to_json(), allow_nan=False)


def test_a_filter_that_rejects_hardly_anything_is_not_called_biased_for_one_lost_event() -> None:
    x = np.linspace(0, 1, 600)
    p, keep = np.full(600, 0.9999), np.arange(600) != 300  # 0.06 events were to be expected
    result = compare({"x": x}, p, {"x": x[keep]}, 1 / p[keep])
    assert np.isnan(result.observables[0].paired_pulls).all()
    assert result.n_bins == 0
    assert np.isnan(result.p_value)
    assert np.isnan(result.sum_pull)
    assert abs(result.largest_pull) < 1


def test_events_lost_by_a_filter_that_keeps_all_are_a_bias_beyond_all_measure() -> None:
    x = np.linspace(0, 1, 600)
    p, keep = np.ones(600), np.arange(600) != 300
    assert compare({"x": x}, p, {"x": x[keep]}, p[keep]).largest_paired_pull < -1000
