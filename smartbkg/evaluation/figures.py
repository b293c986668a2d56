"""Figures of merit of one skim, events weighted or not, from one sorting of the scores.

The definitions are those of `smartbkg.training.metrics`, with a weighted mean over events in place of each mean.
Letters: `B` events, `T` thresholds, `K` bins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import BadScore, TrainingError
from smartbkg.training.metrics import ReferenceTimes

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
# Points of the ROC curve in a file: enough for any plot, whatever the number of events.
ROC_POINTS = 200
CALIBRATION_BINS, SCORE_BINS = 10, 40


@dataclass(frozen=True)
class Judged:
    """Scored events with their labels.

    Args:
        logit: (B,) of one output.
        p: (B,) probability to keep, in (0, 1].
        passed: (B,).
        weight: (B,) of each event in all means; None for 1.
    """

    logit: Floats
    p: Floats
    passed: Mask
    weight: Floats | None = None

    def __post_init__(self) -> None:
        if np.isnan(self.logit).any() or not ((self.p > 0) & (self.p <= 1)).all():
            raise BadScore(f"{np.isnan(self.logit).sum()} of {len(self.logit)} scores are NaN, or no probabilities")

    @property
    def weights(self) -> Floats:
        """(B,)."""
        return np.ones(len(self.p)) if self.weight is None else self.weight

    @property
    def retention(self) -> float:
        """Fraction of events that pass."""
        return float(np.average(self.passed, weights=self.weights))

    @cached_property
    def curve(self) -> Curve:
        """The ROC curve of events of both classes."""
        return Curve.of(self)

    @property
    def problem(self) -> str | None:
        """Why there are no figures; None when there are."""
        n = int(np.count_nonzero(self.passed))
        if 0 < n < len(self.passed):
            return None
        return f"{'no' if n == 0 else 'every'} event passes among {len(self.passed)}"

    def select(self, rows: Mask) -> Judged:
        """Some of the events, by themselves: unweighted."""
        return Judged(self.logit[rows], self.p[rows], self.passed[rows])


@dataclass(frozen=True)
class Curve:
    """True and false rates when scores from a threshold on are kept, (T,), from the highest one down.

    The order is that of the logits, also where their probabilities are cut to the same largest or smallest one.
    """

    logit: Floats
    threshold: Floats  # the probability to keep at this logit
    true_rate: Floats
    false_rate: Floats
    auc: float
    auc_uncertainty: float

    @classmethod
    def of(cls, judged: Judged) -> Curve:
        """The curve of events of both classes."""
        order = np.argsort(-judged.logit, kind="stable")
        logit, passed, weight = judged.logit[order], judged.passed[order], judged.weights[order]
        last = np.append(np.flatnonzero(logit[1:] != logit[:-1]), len(logit) - 1)
        true, false = np.cumsum(weight * passed)[last], np.cumsum(weight * ~passed)[last]
        true, false = true / true[-1], false / false[-1]
        group = np.repeat(np.arange(len(last)), np.diff(last, prepend=-1))  # (B,) the threshold of each event
        # How many of the other class each event is on the right side of; equal scores count half.
        beaten = (1.0 - false + np.diff(false, prepend=0.0) / 2.0)[group[passed]]
        beaten_by = (true - np.diff(true, prepend=0.0) / 2.0)[group[~passed]]
        auc, of_pass = _mean(beaten, weight[passed])
        _, of_fail = _mean(beaten_by, weight[~passed])
        return cls(logit[last], judged.p[order][last], true, false, auc, math.hypot(of_pass, of_fail))

    def best(self, retention: float, times: ReferenceTimes) -> tuple[int, float]:
        """The point of the largest speed-up of a (biased) filter that keeps scores from there on, and that speed-up."""
        kept = retention * self.true_rate + (1.0 - retention) * self.false_rate
        cost_ms = times.generate_ms + times.network_ms + times.simulate_ms * kept
        values = self.true_rate * times.unfiltered_ms / cost_ms
        point = int(np.argmax(values))
        return point, float(values[point])

    def thinned(self) -> dict[str, list[float]]:
        """At most ROC_POINTS points from (0, 0) to (1, 1)."""
        points = np.unique(np.linspace(0, len(self.logit), ROC_POINTS).astype(int))
        return {
            "true_rate": rounded(np.append(0.0, self.true_rate)[points]),
            "false_rate": rounded(np.append(0.0, self.false_rate)[points]),
        }


def figures_of(judged: Judged, times: Mapping[str, ReferenceTimes], *, curves: bool = True) -> dict[str, Any]:
    """Every figure of merit, ready for JSON.

    Args:
        judged: the events.
        times: under which names speed-ups are given, and with which times.
        curves: with ROC, calibration and the distribution of scores.

    Raises:
        TrainingError: all events are of one class.
    """
    if judged.problem is not None:
        raise TrainingError(f"{judged.problem}: figures of merit need both classes")
    figures = {
        "n_events": len(judged.p),
        "n_passing": int(judged.passed.sum()),
        "retention": judged.retention,
        "auc": judged.curve.auc,
        "auc_uncertainty": judged.curve.auc_uncertainty,
        "kept_fraction": float(np.average(judged.p, weights=judged.weights)),
        "effective_fraction": 1.0 / mean_weight(judged)[0],
        **{name: speed_ups(judged, value) for name, value in times.items()},
    }
    if curves:
        figures |= {
            "calibration": calibration(judged),
            "scores": score_histogram(judged),
            "roc": judged.curve.thinned(),
        }
    return figures


def mean_weight(judged: Judged) -> tuple[float, float]:
    """E_pass[1/p], the mean weight of passing events, kept or not; and its uncertainty."""
    return _mean(1.0 / judged.p[judged.passed], judged.weights[judged.passed])


def speed_ups(judged: Judged, times: ReferenceTimes) -> dict[str, Any]:
    """Speed-up of sampling, and of the best threshold (which is biased), with these times."""
    kept = float(np.average(judged.p, weights=judged.weights))
    cost_ms = times.generate_ms + times.network_ms + times.simulate_ms * kept
    point, by_threshold = judged.curve.best(judged.retention, times)
    weight, uncertainty = mean_weight(judged)
    speed_up = times.unfiltered_ms / (weight * cost_ms)
    return {
        "times_ms": {"generate": times.generate_ms, "network": times.network_ms, "simulate": times.simulate_ms},
        "speed_up": speed_up,
        # Of the mean weight, which hangs on few passing events; all other terms are means over many.
        "speed_up_uncertainty": speed_up * uncertainty / weight,
        "best_threshold": float(judged.curve.threshold[point]),
        "threshold_true_rate": float(judged.curve.true_rate[point]),
        "threshold_speed_up": by_threshold,
    }


def calibration(judged: Judged) -> dict[str, list[float]]:
    """Mean probability to keep against the fraction that passes, in bins of equal weight.

    For the largest speed-up the fraction that passes grows like the square of the probability to keep.
    """
    order = np.argsort(judged.p, kind="stable")
    weight = judged.weights[order]
    place = np.minimum((np.cumsum(weight) / weight.sum() * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    p, passed = judged.p[order], judged.passed[order].astype(np.float64)

    def sums(values: Floats) -> Floats:
        return np.bincount(place, values, CALIBRATION_BINS).astype(np.float64)

    counts = np.bincount(place, minlength=CALIBRATION_BINS)
    there, total = counts > 0, np.maximum(sums(weight), 1e-300)
    fraction = sums(weight * passed) / total
    spread = np.sqrt(sums(weight**2 * (passed - fraction[place]) ** 2)) / total
    return {
        "mean_score": rounded((sums(weight * p) / total)[there]),
        "passed_fraction": rounded(fraction[there]),
        "uncertainty": rounded(spread[there]),
        "n_events": counts[there].tolist(),
    }


def score_histogram(judged: Judged) -> dict[str, list[float]]:
    """Distribution of the probability to keep, in equal steps of its logarithm; each class normalised to 1."""
    smallest = float(judged.p.min())
    edges = np.geomspace(min(smallest, 0.999), 1.0, SCORE_BINS + 1)
    place = np.clip(np.searchsorted(edges, judged.p, side="right") - 1, 0, SCORE_BINS - 1)
    weight = judged.weights
    classes = {}
    for name, chosen in (("passing", judged.passed), ("failing", ~judged.passed)):
        counts = np.bincount(place[chosen], weight[chosen], SCORE_BINS)
        classes[name] = rounded(counts / counts.sum())
    return {"edges": rounded(edges), **classes}


def _mean(values: Floats, weight: Floats) -> tuple[float, float]:
    """Weighted mean and its uncertainty."""
    mean = float(np.average(values, weights=weight))
    return mean, float(np.sqrt((weight**2 * (values - mean) ** 2).sum()) / weight.sum())


def rounded(values: Floats) -> list[float]:
    """Seven digits, as many as anybody plots."""
    return [float(f"{value:.7g}") for value in values]
