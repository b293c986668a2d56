"""Figures of merit of an event filter: pure functions of arrays, no torch.

Definitions: p = probability to keep, r = retention of the skim (fraction of events that pass), times per event of
generation, network, simulation + reconstruction. Letters: `B` events, `K` bins.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartbkg.errors import BadScore, TrainingError

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]
# A score of exactly 0 would make 1/p infinite; the sampling itself never gives more weight than 1000.
MIN_PROBABILITY = 1e-12


@dataclass(frozen=True)
class ReferenceTimes:
    """Times per event in ms; the defaults are the published ones that figures are compared with."""

    generate_ms: float = 0.08
    network_ms: float = 0.63
    simulate_ms: float = 97.04  # simulation and reconstruction

    @property
    def unfiltered_ms(self) -> float:
        """Cost of an event without any filter."""
        return self.generate_ms + self.simulate_ms


REFERENCE_TIMES = ReferenceTimes()


def retention_of(passed: Mask) -> float:
    """Retention of a natural sample.

    Raises:
        TrainingError: no event passes, or none fails.
    """
    _both_classes(passed)
    return float(passed.mean())


def auc(score: ArrayLike, passed: Mask) -> float:
    """Area under the ROC curve; equal scores count half.

    >>> auc([0.1, 0.4, 0.4, 0.9], np.array([False, False, True, True]))
    0.875
    """
    score = _checked(score)
    _both_classes(passed)
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # mean rank of equal scores, from 1
    n_pass, n_fail = int(passed.sum()), int((~passed).sum())
    return float((rank[passed].sum() - n_pass * (n_pass + 1) / 2) / (n_pass * n_fail))


@dataclass(frozen=True)
class Roc:
    """True and false positive rate when events with score >= threshold are kept; from nothing to everything."""

    threshold: Array
    true_rate: Array
    false_rate: Array


def roc(score: ArrayLike, passed: Mask) -> Roc:
    """The ROC curve, one point for each different score."""
    score = _checked(score)
    _both_classes(passed)
    order = np.argsort(-score, kind="stable")
    sorted_score, hit = score[order], passed[order]
    last = np.append(np.flatnonzero(np.diff(sorted_score)), len(score) - 1)  # last event of each equal score
    true, false = np.cumsum(hit)[last], np.cumsum(~hit)[last]
    return Roc(
        threshold=np.append(np.inf, sorted_score[last]),
        true_rate=np.append(0.0, true / hit.sum()),
        false_rate=np.append(0.0, false / (~hit).sum()),
    )


def speed_up(p: ArrayLike, passed: Mask, retention: float, times: ReferenceTimes = REFERENCE_TIMES) -> float:
    """Speed-up of unbiased sampling: how much sooner a sample of the same statistical power is there.

    Args:
        p: (B,) probability to keep.
        passed: (B,) True where the event passes the skim. The two classes may be in any proportion.
        retention: r of the natural sample.
        times: per event.
    """
    p = np.maximum(_checked(p), MIN_PROBABILITY)
    _both_classes(passed)
    kept = retention * p[passed].mean() + (1.0 - retention) * p[~passed].mean()
    cost_ms = times.generate_ms + times.network_ms + times.simulate_ms * kept
    return float(times.unfiltered_ms / (np.mean(1.0 / p[passed]) * cost_ms))


def threshold_speed_up(
    score: ArrayLike, passed: Mask, threshold: float, retention: float, times: ReferenceTimes = REFERENCE_TIMES
) -> float:
    """Speed-up of the (biased) filter that keeps score >= threshold."""
    keep = _checked(score) >= threshold
    _both_classes(passed)
    return float(_threshold_speed_up(keep[passed].mean(), keep[~passed].mean(), retention, times))


def best_threshold(
    score: ArrayLike, passed: Mask, retention: float, times: ReferenceTimes = REFERENCE_TIMES
) -> tuple[float, float]:
    """The threshold of the largest `threshold_speed_up`, and that speed-up."""
    curve = roc(score, passed)
    values = _threshold_speed_up(curve.true_rate[1:], curve.false_rate[1:], retention, times)
    best = int(np.argmax(values))
    return float(curve.threshold[1 + best]), float(np.asarray(values)[best])


def effective_fraction(p: ArrayLike, passed: Mask) -> float:
    """Effective-sample fraction of the passing events, ESS / N_pass = 1 / E_pass[1/p]."""
    p = np.maximum(_checked(p), MIN_PROBABILITY)
    if not passed.any():
        raise TrainingError("no event passes the skim: there is nothing to keep")
    return float(1.0 / np.mean(1.0 / p[passed]))


def kept_fraction(p: ArrayLike, passed: Mask, retention: float) -> float:
    """Fraction of a natural sample that sampling keeps."""
    p = _checked(p)
    _both_classes(passed)
    return float(retention * p[passed].mean() + (1.0 - retention) * p[~passed].mean())


@dataclass(frozen=True)
class Calibration:
    """Mean score against the fraction that passes, in K bins of equal content."""

    mean_score: Array
    passed_fraction: Array
    uncertainty: Array
    n_events: NDArray[np.int64]


def calibration(score: ArrayLike, passed: Mask, bins: int = 10) -> Calibration:
    """How often events of a score really pass; bins that would be empty are left out."""
    score = _checked(score)
    order = np.argsort(score, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    n = np.array([len(part) for part in parts], dtype=np.int64)
    fraction = np.array([passed[part].mean() for part in parts])
    mean = np.array([score[part].mean() for part in parts])
    return Calibration(mean, fraction, np.sqrt(fraction * (1.0 - fraction) / np.maximum(n, 1)), n)


def fit_sigmoid(
    logit: ArrayLike, passed: Mask, retention: float, times: ReferenceTimes = REFERENCE_TIMES
) -> tuple[float, float]:
    """(scale, shift) for which p = sigmoid(scale * logit + shift) has the largest speed-up.

    The optimum is p ∝ sqrt(pass probability): a network trained to tell the classes apart must be flattened before its
    output is a good probability to keep. A coarse grid, then three finer ones around the best point.
    """
    logit = np.asarray(logit, dtype=np.float64)
    _both_classes(passed)
    # Positive scales only: the order of the events, and so the AUC, stays as trained.
    scales, shifts = np.geomspace(0.02, 5.0, 25), np.linspace(-8.0, 12.0, 41)
    best = (1.0, 0.0)
    for _ in range(4):
        grid = [(a, b) for a in scales for b in shifts]
        values = [speed_up(_sigmoid(a * logit + b), passed, retention, times) for a, b in grid]
        best = grid[int(np.argmax(values))]
        step_scale, step_shift = scales[1] / scales[0], shifts[1] - shifts[0]
        scales = np.geomspace(best[0] / step_scale, best[0] * step_scale, 9)
        shifts = np.linspace(best[1] - step_shift, best[1] + step_shift, 9)
    return float(best[0]), float(best[1])


def _threshold_speed_up(
    true_rate: Array | float, false_rate: Array | float, retention: float, times: ReferenceTimes
) -> Array | float:
    kept = retention * true_rate + (1.0 - retention) * false_rate
    return true_rate * times.unfiltered_ms / (times.generate_ms + times.network_ms + times.simulate_ms * kept)


def _sigmoid(value: Array) -> Array:
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * value)))


def _checked(score: ArrayLike) -> Array:
    score = np.asarray(score, dtype=np.float64)
    if np.isnan(score).any():
        raise BadScore(f"{np.isnan(score).sum()} of {len(score)} scores are NaN")
    return score


def _both_classes(passed: Mask) -> None:
    n_pass = int(np.count_nonzero(passed))
    if n_pass == 0 or n_pass == len(passed):
        what = "no event passes" if n_pass == 0 else "every event passes"
        raise TrainingError(f"{what} among {len(passed)}: figures of merit need both classes")
