"""p-values against tables of textbooks, and against what happens in simulated samples."""

from __future__ import annotations

import math

import numpy as np
import pytest

from smartbkg.report.significance import binomial_p_values, chi2_p_value, ks_p_value, likely_largest


@pytest.mark.parametrize(
    ("chi2", "freedom", "p"),
    [(0.0158, 1, 0.9), (10.828, 1, 0.001), (2.706, 1, 0.1), (11.070, 5, 0.05), (67.505, 50, 0.05), (29.707, 50, 0.99)],
)
def test_chi2_agrees_with_the_tables(chi2: float, freedom: int, p: float) -> None:
    assert chi2_p_value(chi2, freedom) == pytest.approx(p, rel=2e-3)


def test_chi2_of_two_degrees_is_an_exponential_and_of_many_is_nearly_gaussian() -> None:
    assert chi2_p_value(7.0, 2) == pytest.approx(math.exp(-3.5), rel=1e-12)
    assert chi2_p_value(100_000 + 1.6449 * math.sqrt(200_000), 100_000) == pytest.approx(0.05, abs=5e-4)


def test_chi2_between_whole_degrees_lies_between_them() -> None:
    assert chi2_p_value(4.0, 3) < chi2_p_value(4.0, 3.5) < chi2_p_value(4.0, 4)


def test_no_degree_of_freedom_has_no_p_value() -> None:
    assert math.isnan(chi2_p_value(0.0, 0))
    assert math.isnan(chi2_p_value(math.nan, 3))
    assert chi2_p_value(0.0, 3) == 1.0


@pytest.mark.parametrize(("scaled", "p"), [(1.2239, 0.1), (1.3581, 0.05), (1.6276, 0.01), (0.1, 1.0)])
def test_kolmogorov_smirnov_agrees_with_the_tables(scaled: float, p: float) -> None:
    assert ks_p_value(scaled / 20, 400) == pytest.approx(p, rel=1e-3)


def test_a_distance_of_nothing_has_no_p_value() -> None:
    assert math.isnan(ks_p_value(math.nan, 10))
    assert math.isnan(ks_p_value(0.1, 0))


def test_the_binomial_test_adds_all_outcomes_that_are_as_unlikely() -> None:
    assert binomial_p_values(np.array([10]), np.array([10]), 0.5)[0] == pytest.approx(2 / 1024)
    # 2 of 7 with 0.3: only 3, 1 and 2 itself are more likely or equal.
    p = [math.comb(7, k) * 0.3**k * 0.7 ** (7 - k) for k in range(8)]
    expected = sum(value for value in p if value <= p[2] * (1 + 1e-9))
    assert binomial_p_values(np.array([2]), np.array([7]), 0.3)[0] == pytest.approx(expected)


def test_binomial_p_values_of_fair_bins_are_fair() -> None:
    rng = np.random.default_rng(3)
    of = rng.integers(200, 5000, 4000)
    found = binomial_p_values(rng.binomial(of, 0.7), of, 0.7)
    assert np.mean(found < 0.05) == pytest.approx(0.05, abs=0.012)
    assert np.mean(found < 0.5) == pytest.approx(0.5, abs=0.035)


def test_binomial_bins_at_the_edges_of_what_is_possible() -> None:
    found = binomial_p_values(np.array([0, 50, 3]), np.array([0, 50, 50]), 1.0)
    assert math.isnan(found[0])
    assert found[1:].tolist() == [1.0, 0.0]
    assert binomial_p_values(np.array([0]), np.array([100_000]), 0.5)[0] < 1e-30


def test_the_likely_largest_pull_is_the_median_of_the_largest() -> None:
    rng = np.random.default_rng(4)
    largest = np.abs(rng.normal(size=(2000, 331))).max(axis=1)
    assert likely_largest(331) == pytest.approx(np.median(largest), abs=0.03)
    assert likely_largest(0) == 0
