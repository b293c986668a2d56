"""Figures of merit against slow definitions and against known values."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartbkg.errors import BadScore, TrainingError
from smartbkg.training import metrics
from smartbkg.training.metrics import REFERENCE_TIMES, ReferenceTimes

YES_NO = np.array([True, True, False, False, False])


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_auc_counts_pairs(rows: list[tuple[int, bool]]) -> None:
    score, passed = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    if passed.all() or not passed.any():
        return
    pairs = [(a > b) + 0.5 * (a == b) for a in score[passed] for b in score[~passed]]
    assert metrics.auc(score, passed) == pytest.approx(np.mean(pairs))


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=40))
def test_roc_counts_events_above_each_threshold(rows: list[tuple[int, bool]]) -> None:
    score, passed = np.array([r[0] for r in rows], float), np.array([r[1] for r in rows])
    if passed.all() or not passed.any():
        return
    curve = metrics.roc(score, passed)
    for threshold, true, false in zip(curve.threshold, curve.true_rate, curve.false_rate, strict=True):
        assert true == np.mean(score[passed] >= threshold)
        assert false == np.mean(score[~passed] >= threshold)
    assert (curve.true_rate[-1], curve.false_rate[-1]) == (1.0, 1.0)
    area = np.sum(np.diff(curve.false_rate) * (curve.true_rate[1:] + curve.true_rate[:-1]) / 2)
    assert area == pytest.approx(metrics.auc(score, passed))


def test_speed_up_is_the_published_formula() -> None:
    p, r = np.array([0.8, 0.5, 0.1, 0.2, 0.3]), 0.05
    cost = 0.08 + 0.63 + 97.04 * (r * 0.65 + (1 - r) * 0.2)
    expected = (0.08 + 97.04) / ((1 / 0.8 + 1 / 0.5) / 2 * cost)
    assert metrics.speed_up(p, YES_NO, r) == pytest.approx(expected)


def test_threshold_speed_up_is_the_published_formula() -> None:
    score, r = np.array([0.8, 0.5, 0.1, 0.2, 0.6]), 0.05
    cost = 0.08 + 0.63 + 97.04 * (r * 0.5 + (1 - r) * 1 / 3)
    assert metrics.threshold_speed_up(score, YES_NO, 0.6, r) == pytest.approx(0.5 * 97.12 / cost)


def test_keeping_everything_costs_only_the_network() -> None:
    assert metrics.speed_up(np.ones(5), YES_NO, 0.05) == pytest.approx(97.12 / 97.75)


def test_the_best_threshold_is_the_best() -> None:
    rng = np.random.default_rng(1)
    passed = rng.random(300) < 0.3
    score = rng.normal(passed * 1.5)
    threshold, value = metrics.best_threshold(score, passed, 0.05)
    assert value == pytest.approx(metrics.threshold_speed_up(score, passed, threshold, 0.05))
    assert value == pytest.approx(max(metrics.threshold_speed_up(score, passed, t, 0.05) for t in score))


@pytest.mark.parametrize(("target_auc", "expected"), [(0.88, 1.73), (0.90, 1.91), (0.95, 2.77), (0.98, 4.30)])
def test_calibrated_networks_reach_the_published_speed_ups(target_auc: float, expected: float) -> None:
    # Normal scores of equal width: AUC = Φ(d/√2), log-likelihood ratio linear in the score, r = 5 %.
    from statistics import NormalDist

    distance = NormalDist().inv_cdf(target_auc) * np.sqrt(2)
    quantiles = np.array([NormalDist().inv_cdf(q) for q in (np.arange(4000) + 0.5) / 4000])
    score = np.concatenate([quantiles + distance, quantiles])
    passed = np.repeat([True, False], 4000)
    logit = distance * score - distance**2 / 2 + np.log(0.05 / 0.95)  # calibrated, true prior
    assert metrics.auc(score, passed) == pytest.approx(target_auc, abs=1e-3)
    scale, shift = metrics.fit_sigmoid(logit, passed, 0.05)
    fitted = metrics.speed_up(1 / (1 + np.exp(-(scale * logit + shift))), passed, 0.05)
    assert fitted == pytest.approx(expected, rel=0.03)
    assert 0.35 < scale < 0.9  # p ∝ sqrt(pass probability)


def test_a_calibrated_probability_is_worse_than_no_filter() -> None:
    rng = np.random.default_rng(2)
    passed = rng.random(20000) < 0.05
    logit = 2.0 * rng.normal(2.0 * passed) - 2.0 + np.log(0.05 / 0.95)
    p = 1 / (1 + np.exp(-logit))
    assert metrics.speed_up(p, passed, 0.05) < 1.0
    scale, shift = metrics.fit_sigmoid(logit, passed, 0.05)
    assert metrics.speed_up(1 / (1 + np.exp(-scale * logit - shift)), passed, 0.05) > 1.5


def test_the_fit_is_no_worse_than_any_point_of_a_fine_grid() -> None:
    rng = np.random.default_rng(3)
    passed = rng.random(2000) < 0.2
    logit = rng.normal(1.5 * passed)
    scale, shift = metrics.fit_sigmoid(logit, passed, 0.04)

    def value(a: float, b: float) -> float:
        return metrics.speed_up(1 / (1 + np.exp(-(a * logit + b))), passed, 0.04)

    best = max(value(a, b) for a in np.linspace(0.05, 3, 40) for b in np.linspace(-4, 4, 41))
    assert value(scale, shift) > best - 1e-3


def test_effective_and_kept_fraction() -> None:
    p = np.array([0.5, 0.25, 0.1, 0.2, 0.3])
    assert metrics.effective_fraction(p, YES_NO) == pytest.approx(1 / 3)
    assert metrics.kept_fraction(p, YES_NO, 0.1) == pytest.approx(0.1 * 0.375 + 0.9 * 0.2)


def test_effective_fraction_is_what_sampling_really_leaves() -> None:
    rng = np.random.default_rng(4)
    p = rng.uniform(0.2, 1.0, 200_000)
    weight = 1 / p[rng.random(len(p)) < p]
    ess = weight.sum() ** 2 / (weight**2).sum()
    assert ess / len(p) == pytest.approx(metrics.effective_fraction(p, np.ones(len(p), bool)), rel=0.01)


def test_calibration_of_a_calibrated_score_is_the_diagonal() -> None:
    rng = np.random.default_rng(5)
    score = rng.random(50_000)
    result = metrics.calibration(score, rng.random(50_000) < score, bins=20)
    assert result.n_events.sum() == 50_000
    assert np.all(np.abs(result.mean_score - result.passed_fraction) < 5 * result.uncertainty)


def test_calibration_of_few_events_has_few_bins() -> None:
    assert metrics.calibration([0.1, 0.2], np.array([True, False]), bins=10).n_events.tolist() == [1, 1]


@pytest.mark.parametrize("passed", [np.zeros(4, bool), np.ones(4, bool)])
@pytest.mark.parametrize("figure", ["auc", "roc", "speed_up", "kept_fraction", "retention_of", "best_threshold"])
def test_one_class_alone_is_a_clear_error(figure: str, passed: np.ndarray) -> None:  # type: ignore[type-arg]
    arguments = {"auc": 2, "roc": 2, "speed_up": 3, "kept_fraction": 3, "best_threshold": 3, "retention_of": 0}
    given_values = [np.full(4, 0.5), passed, 0.1][: arguments[figure]] or [passed]
    with pytest.raises(TrainingError, match="need both classes"):
        getattr(metrics, figure)(*given_values)


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadScore, match="1 of 5 scores are NaN"):
        metrics.auc([0.1, np.nan, 0.2, 0.3, 0.4], YES_NO)


def test_a_score_of_zero_gives_a_finite_figure() -> None:
    assert 0 < metrics.speed_up(np.array([0.0, 1, 0, 0, 0]), YES_NO, 0.05) < 1e-6


def test_reference_times_are_the_published_ones() -> None:
    assert ReferenceTimes(0.08, 0.63, 97.04) == REFERENCE_TIMES
    assert REFERENCE_TIMES.unfiltered_ms == pytest.approx(97.12)


def test_figures_need_no_torch() -> None:
    code = "import sys, smartbkg.training.metrics, smartbkg.training.data; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
