"""The activation of each skim, fitted by its speed-up, and the figures that come of it. Numpy only.

**The sample that the speed-up is of.** A campaign makes each event type on its own, and wants the same effective number
of events of all of them. So the speed-up S_t is that of one type t, with the retention of the skim in that type, and
the campaign's is 1 / S = Σ u_t / S_t, where u_t is the share of type t in what passes the skim: cross section times
retention. One pair (a, b) a skim serves all types; it is chosen where most of the skim's events are. Types with fewer
than `MIN_PASSING` passing validation events do not take part, unless no type has as many.

The area under the ROC curve is made of those of the types in the same way: telling types apart earns nothing here.

Letters: `n` passing and `m` failing events of a type, `K` bins, `G` points of a grid.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import TrainingError
from smartbkg.evaluation.mixture import CROSS_SECTION_NB
from smartbkg.smartbackground import DEFAULT_ACTIVATION, MAX_WEIGHT, activation
from smartbkg.training.metrics import REFERENCE_TIMES, ReferenceTimes

Array = NDArray[np.float64]

MIN_PASSING = 30  # of a type that takes part: the mean of 1/p over fewer says little
MIN_FOR_SCALE = 100  # with fewer passing events, the scale stays at its usual value and only b is fitted
SCALES = (0.1, 2.0)
_BINS = 256  # a bin is some 0.1 of logit wide, and its events are taken at their mean


@dataclass(frozen=True)
class TypeSample:
    """Validation events of one type.

    Args:
        event_type: name.
        passing: (n,) logits.
        failing: (m,) logits.
        weight: (m,) how many events each failing one stands for.
        retention: natural fraction that passes.
    """

    event_type: str
    passing: Array
    failing: Array
    weight: Array
    retention: float


@dataclass(frozen=True)
class Means:
    """What a speed-up is made of: E_pass[1/p], E_pass[p], E_fail[p]; numbers or grids (G,)."""

    inverse: Any
    kept_passing: Any
    kept_failing: Any

    def kept(self, retention: float) -> Any:
        """Fraction of all events that is kept."""
        return retention * self.kept_passing + (1.0 - retention) * self.kept_failing

    def inverse_speed_up(self, retention: float, times: ReferenceTimes) -> Any:
        """1/S of one type."""
        cost_ms = times.generate_ms + times.network_ms + times.simulate_ms * self.kept(retention)
        return self.inverse * cost_ms / times.unfiltered_ms


def shares(samples: Sequence[TypeSample]) -> dict[str, float]:
    """Share u_t of each type that takes part in what passes the skim.

    Raises:
        TrainingError: no type has both passing and failing events.
    """
    usable = [s for s in samples if len(s.passing) and len(s.failing)]
    enough = [s for s in usable if len(s.passing) >= MIN_PASSING] or usable
    if not enough:
        raise TrainingError("no event type has both passing and failing validation events: nothing can be fitted")
    rate = {s.event_type: CROSS_SECTION_NB[s.event_type] * s.retention for s in enough}
    return {name: value / sum(rate.values()) for name, value in rate.items()}


def fit_activation(
    samples: Sequence[TypeSample], times: ReferenceTimes = REFERENCE_TIMES, max_weight: float = MAX_WEIGHT
) -> tuple[float, float]:
    """(a, b) of the largest speed-up: a coarse grid, then finer ones around its best point.

    Raises:
        TrainingError: as `shares`.
    """
    share = shares(samples)
    parts = [_Binned.of(s, share[s.event_type]) for s in samples if s.event_type in share]
    logits = np.concatenate([s.passing for s in samples if s.event_type in share])
    scales = np.geomspace(*SCALES, 13) if len(logits) >= MIN_FOR_SCALE else np.array(DEFAULT_ACTIVATION[:1])
    # Below the lowest passing logit, everything is kept with p = 1; above the highest, p only gets smaller.
    low, high = float(logits.min()) - 1.0, float(logits.max()) + 1.0
    shifts = np.linspace(low, high, 41)
    best = (DEFAULT_ACTIVATION[0], low)
    for _ in range(5):
        a, b = (grid.ravel() for grid in np.meshgrid(scales, shifts, indexing="ij"))  # (G,)
        inverse = sum(part.inverse_speed_up(a, b, times, max_weight) for part in parts)
        place = int(np.argmin(inverse))
        best = (float(a[place]), float(b[place]))
        step = shifts[1] - shifts[0]
        shifts = np.linspace(best[1] - step, best[1] + step, 9)
        if len(scales) > 1:
            ratio = scales[1] / scales[0]
            scales = np.clip(np.geomspace(best[0] / ratio, best[0] * ratio, 9), *SCALES)
    return best


@dataclass(frozen=True)
class _Binned:
    """A type's logits in K bins: means and fractions of the passing and of the failing ones."""

    passing: tuple[Array, Array]
    failing: tuple[Array, Array]
    retention: float
    share: float

    @classmethod
    def of(cls, sample: TypeSample, share: float) -> _Binned:
        ones = np.ones(len(sample.passing))
        return cls(_bins(sample.passing, ones), _bins(sample.failing, sample.weight), sample.retention, share)

    def inverse_speed_up(self, a: Array, b: Array, times: ReferenceTimes, max_weight: float) -> Array:
        """(G,) share u_t times 1/S_t."""
        p_pass, p_fail = (
            activation(logit[None, :], a[:, None], b[:, None], max_weight)  # (G, K)
            for logit, _ in (self.passing, self.failing)
        )
        in_pass, in_fail = self.passing[1], self.failing[1]
        means = Means((1.0 / p_pass) @ in_pass, p_pass @ in_pass, p_fail @ in_fail)
        return np.asarray(self.share * means.inverse_speed_up(self.retention, times))


def _bins(logit: Array, weight: Array) -> tuple[Array, Array]:
    """Mean logit and fraction of the weight in each bin that is not empty."""
    low, high = float(logit.min()), float(logit.max())
    width = max((high - low) / _BINS, 1e-9)
    place = np.minimum(((logit - low) / width).astype(np.int64), _BINS - 1)
    total = np.bincount(place, weight, _BINS)
    mean = np.bincount(place, weight * logit, _BINS)[total > 0] / total[total > 0]
    return mean, total[total > 0] / total.sum()


def figures(
    samples: Sequence[TypeSample],
    a: float,
    b: float,
    times: ReferenceTimes = REFERENCE_TIMES,
    max_weight: float = MAX_WEIGHT,
) -> dict[str, Any]:
    """Figures of merit of one skim: of the campaign, and of each type with passing and failing events."""
    share = shares(samples)
    own = {s.event_type: _type_figures(s, a, b, times, max_weight) for s in samples if len(s.passing)}
    own = {name: values for name, values in own.items() if values}

    def mean(name: str) -> float:
        return float(sum(part * own[kind][name] for kind, part in share.items()))

    def inverse_mean(name: str) -> float:
        return 1.0 / float(sum(part / own[kind][name] for kind, part in share.items()))

    cross_section = sum(CROSS_SECTION_NB[kind] for kind in share)
    passing = sum(CROSS_SECTION_NB[kind] * own[kind]["retention"] for kind in share)
    kept = sum(CROSS_SECTION_NB[kind] * own[kind]["kept_fraction"] for kind in share)
    return {
        "auc": mean("auc"),
        "speed_up": inverse_mean("speed_up"),
        "effective_fraction": inverse_mean("effective_fraction"),
        "retention": passing / cross_section,
        "kept_fraction": kept / cross_section,
        "n_validation_passing": sum(len(s.passing) for s in samples),
        "shares": share,
        "types": own,
    }


def _type_figures(
    sample: TypeSample, a: float, b: float, times: ReferenceTimes, max_weight: float
) -> Mapping[str, Any]:
    if not len(sample.failing):
        return {}
    p_pass, p_fail = activation(sample.passing, a, b, max_weight), activation(sample.failing, a, b, max_weight)
    means = Means(np.mean(1.0 / p_pass), p_pass.mean(), np.average(p_fail, weights=sample.weight))
    return {
        "auc": weighted_auc(sample.passing, sample.failing, sample.weight),
        "speed_up": float(1.0 / means.inverse_speed_up(sample.retention, times)),
        "effective_fraction": float(1.0 / means.inverse),
        "kept_fraction": float(means.kept(sample.retention)),
        "retention": sample.retention,
        "n_passing": len(sample.passing),
        "n_failing": len(sample.failing),
    }


def weighted_auc(passing: Array, failing: Array, weight: Array, passing_weight: Array | None = None) -> float:
    """Area under the ROC curve: the chance that a passing event has the larger logit; equal ones count half.

    Args:
        passing: (n,) logits.
        failing: (m,) logits.
        weight: (m,) of the failing ones.
        passing_weight: (n,) of the passing ones; None for 1.

    >>> weighted_auc(np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([3.0, 1.0]))
    0.9375
    >>> weighted_auc(np.array([1.0, 2.0]), np.array([0.0, 1.0]), np.array([3.0, 1.0]), np.array([3.0, 1.0]))
    0.90625
    """
    order = np.argsort(failing)
    below = np.concatenate([[0.0], np.cumsum(weight[order])])
    smaller, not_larger = (below[np.searchsorted(failing[order], passing, side=side)] for side in ("left", "right"))
    return float(np.average(0.5 * (smaller + not_larger), weights=passing_weight) / below[-1])
