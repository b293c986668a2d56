"""Figures of one skim: the definitions, with and without weights of events."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartbkg.errors import BadScore, TrainingError
from smartbkg.evaluation.figures import ROC_POINTS, Judged, figures_of
from smartbkg.training import metrics
from smartbkg.training.metrics import REFERENCE_TIMES, ReferenceTimes

TIMES = {"reference": REFERENCE_TIMES, "slow": ReferenceTimes(1.0, 5.0, 50.0)}


def judged(n: int = 3000, seed: int = 1, decimals: int = 6) -> Judged:
    rng = np.random.default_rng(seed)
    logit = rng.normal(size=n).round(decimals)
    passed = rng.uniform(size=n) < 1 / (1 + np.exp(2 - 2 * logit))
    return Judged(logit, np.clip(np.exp(0.5 * (logit - 1)), 0.01, 1.0), passed)


@pytest.mark.parametrize("decimals", [6, 0])
def test_without_weights_they_are_those_that_the_training_prints(decimals: int) -> None:
    sample = judged(decimals=decimals)
    p, passed, r = sample.p, sample.passed, sample.passed.mean()
    found = figures_of(sample, TIMES)
    assert found["retention"] == pytest.approx(metrics.retention_of(passed))
    assert found["auc"] == pytest.approx(metrics.auc(sample.logit, passed), abs=1e-12)
    assert found["kept_fraction"] == pytest.approx(metrics.kept_fraction(p, passed, r))
    assert found["effective_fraction"] == pytest.approx(metrics.effective_fraction(p, passed))
    for name, times in TIMES.items():
        assert found[name]["speed_up"] == pytest.approx(metrics.speed_up(p, passed, r, times))
        best = metrics.best_threshold(sample.logit, passed, r, times)
        assert found[name]["threshold_speed_up"] == pytest.approx(best[1])


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.integers(1, 4)), min_size=2, max_size=40))
def test_a_weight_of_n_is_n_equal_events(events: list[tuple[int, bool, int]]) -> None:
    logit, passed, weight = (np.array(column) for column in zip(*events, strict=True))
    if passed.all() or not passed.any():
        return
    p = np.clip(np.exp(0.5 * (logit - 1)), 0.01, 1.0)
    weighted = figures_of(Judged(logit * 1.0, p, passed, weight * 1.0), TIMES, curves=False)
    repeated = Judged(*(np.repeat(values, weight) for values in (logit * 1.0, p, passed)))
    plain = figures_of(repeated, TIMES, curves=False)
    for name in ("retention", "auc", "kept_fraction", "effective_fraction"):
        assert weighted[name] == pytest.approx(plain[name])
    for name in ("speed_up", "threshold_speed_up"):
        assert weighted["slow"][name] == pytest.approx(plain["slow"][name])


def test_curves_are_complete_and_small() -> None:
    found = json.loads(json.dumps(figures_of(judged(), TIMES), allow_nan=False))
    assert (found["roc"]["true_rate"][0], found["roc"]["false_rate"][-1]) == (0.0, 1.0)
    assert len(found["roc"]["true_rate"]) <= ROC_POINTS
    assert sum(found["calibration"]["n_events"]) == 3000
    assert sum(found["scores"]["passing"]) == pytest.approx(1, abs=1e-6)
    assert found["scores"]["edges"][-1] == 1.0


def test_calibration_shows_the_fraction_that_passes_in_bins_of_equal_weight() -> None:
    sample = judged(10_000)
    table = figures_of(sample, TIMES)["calibration"]
    in_lowest = sample.passed[np.argsort(sample.p, kind="stable")[:1000]].mean()
    assert table["passed_fraction"][0] == pytest.approx(in_lowest, abs=2e-3)
    assert (np.diff(table["mean_score"]) >= 0).all()
    assert table["passed_fraction"][-1] > 5 * table["passed_fraction"][0]


def test_events_without_particles_may_have_an_infinite_logit() -> None:
    sample = judged(100)
    logit = np.append(sample.logit, [np.inf, np.inf])
    more = Judged(logit, np.append(sample.p, [1.0, 1.0]), np.append(sample.passed, [True, False]))
    found = figures_of(more, TIMES)
    json.dumps(found, allow_nan=False)
    assert found["auc"] == pytest.approx(metrics.auc(np.minimum(logit, 100), more.passed))


@pytest.mark.parametrize(("passed", "said"), [(False, "no event passes among 5"), (True, "every event passes among 5")])
def test_one_class_is_refused_in_words(passed: bool, said: str) -> None:
    sample = Judged(np.zeros(5), np.ones(5), np.full(5, passed))
    assert sample.problem == said
    with pytest.raises(TrainingError, match=said):
        figures_of(sample, TIMES)


@pytest.mark.parametrize(("logit", "p"), [(np.nan, 0.5), (0.0, 0.0), (0.0, 1.5), (0.0, np.nan)])
def test_scores_that_are_no_probabilities_are_refused(logit: float, p: float) -> None:
    with pytest.raises(BadScore):
        Judged(np.array([0.0, logit]), np.array([0.5, p]), np.array([True, False]))


def test_uncertainties_are_the_spread_of_repeated_samples() -> None:
    found = [figures_of(judged(1500, seed), TIMES, curves=False) for seed in range(120)]
    for name, own in (("auc", lambda f: f), ("speed_up", lambda f: f["reference"])):
        values = np.array([[own(f)[name], own(f)[f"{name}_uncertainty"]] for f in found])
        assert values[:, 1].mean() == pytest.approx(values[:, 0].std(), rel=0.2)
