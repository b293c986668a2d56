"""Is the weighted sample unbiased? Kept passing events with weights against all passing events.

For every observable: Σ weights per bin against the unfiltered histogram, variance Σ w²; pulls, χ², the
Kolmogorov–Smirnov distance and the Kullback–Leibler divergence of the two.

The kept events are some of the events of the unfiltered sample, so part of Σ w² is common to both sides and the pull
above is milder than it looks; and where few events are kept, Σ w² does not even know what was lost. The sampling
alone has the variance Σ (1 - p)/p over all passing events, which gives the `paired_pulls`.

Letters: `V` values, `K` bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import NothingToCompare

Floats = NDArray[np.float64]
# Enough bins to see a shape, as long as each holds enough truth for a pull that is nearly Gaussian: with the usual
# effective fraction of 0.4, 150 events count like 60.
MAX_BINS = 15
EVENTS_PER_BIN = 150
# So many different values or fewer are taken for whole numbers of something.
DISCRETE = 50
# Below this many effective entries, (Σ w)² / Σ w², the sum Σ w² does not measure its own variance, and a pull means
# nothing.
MIN_EFFECTIVE = 10


@dataclass(frozen=True)
class ObservableComparison:
    """One observable in bins (K,), the same edges (K+1,) for both samples."""

    name: str
    edges: Floats
    truth: Floats
    weighted: Floats
    variance: Floats
    pulls: Floats
    paired_pulls: Floats
    chi2: float
    ks: float
    kl: float

    @property
    def largest_pull(self) -> float:
        """The pull that is farthest from 0, with its sign; 0 without any filled bin."""
        return _farthest(self.pulls)

    def to_json(self) -> dict[str, Any]:
        """All figures; NaN (a bin with too few effective entries, an observable without values) as None."""
        arrays = ("edges", "truth", "weighted", "variance", "pulls", "paired_pulls")
        return {
            "name": self.name,
            **{name: [_number(v) for v in getattr(self, name)] for name in arrays},
            **{name: _number(getattr(self, name)) for name in ("chi2", "ks", "kl", "largest_pull")},
        }


@dataclass(frozen=True)
class Comparison:
    """All observables of one filtered sample against the unfiltered one."""

    n_truth: int
    n_kept: int
    sum_of_weights: float
    observables: tuple[ObservableComparison, ...]

    @property
    def largest_pull(self) -> float:
        """Over all bins of all observables, with its sign."""
        return _farthest(np.array([o.largest_pull for o in self.observables]))

    @property
    def largest_paired_pull(self) -> float:
        """As `largest_pull`, by the variance of the sampling alone."""
        return _farthest(np.concatenate([o.paired_pulls for o in self.observables]))

    @property
    def largest_kl(self) -> float:
        """Over all observables that have values."""
        return _farthest(np.array([o.kl for o in self.observables]))

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        return {
            "n_truth": self.n_truth,
            "n_kept": self.n_kept,
            "sum_of_weights": self.sum_of_weights,
            "largest_pull": self.largest_pull,
            "largest_paired_pull": self.largest_paired_pull,
            "largest_kl": self.largest_kl,
            "observables": [o.to_json() for o in self.observables],
        }


def compare(
    truth: Mapping[str, NDArray[Any]], probability: Floats, kept: Mapping[str, NDArray[Any]], weight: Floats
) -> Comparison:
    """Compare the observables that both samples have.

    Args:
        truth: observable -> (V,) values of all passing events.
        probability: (V,) with which the sampling kept each of them.
        kept: the same observables of the passing events that were kept.
        weight: their weights.

    Raises:
        NothingToCompare: no passing event on one side, or no common observable.
    """
    names = [name for name in truth if name in kept]
    n_truth = len(next(iter(truth.values()), []))
    if not names or not n_truth or not len(weight):
        raise NothingToCompare(
            f"nothing to compare: {n_truth} passing events without and {len(weight)} with the filter, "
            f"{len(names)} observables in common"
        )
    observables = tuple(compare_observable(name, (truth[name], probability), (kept[name], weight)) for name in names)
    return Comparison(n_truth, len(weight), float(np.sum(weight)), observables)


def compare_observable(
    name: str,
    all_passing: tuple[NDArray[Any], Floats],
    kept_passing: tuple[NDArray[Any], Floats],
    bins: int | None = None,
) -> ObservableComparison:
    """One observable in bins that hold about equal numbers of unfiltered events.

    Args:
        name: of the observable.
        all_passing: values and probabilities, (V,) each.
        kept_passing: values and weights of the kept ones. Values that are not finite stay out on both sides.
        bins: at most; None for as many as the events allow.
    """
    truth, probability = _finite(*all_passing)
    kept, weight = _finite(*kept_passing)
    edges = bin_edges(truth, kept, bins or min(MAX_BINS, max(1, len(truth) // EVENTS_PER_BIN)))
    edges = merge_poor_bins(edges, kept, weight)
    true_counts = np.histogram(truth, edges)[0].astype(np.float64)
    weighted = np.histogram(kept, edges, weights=weight)[0]
    variance = np.histogram(kept, edges, weights=weight**2)[0]
    paired_variance = np.histogram(truth, edges, weights=1 / probability - 1)[0]
    enough = (weighted**2 >= MIN_EFFECTIVE * variance) & (weighted > 0)
    pulls = _pulls(weighted - true_counts, variance, enough)
    return ObservableComparison(
        name=name,
        edges=edges,
        truth=true_counts,
        weighted=weighted,
        variance=variance,
        pulls=pulls,
        paired_pulls=_pulls(weighted - true_counts, paired_variance, enough),
        chi2=float(np.nansum(pulls**2)),
        ks=ks_distance(truth, kept, weight),
        kl=kl_divergence(true_counts, weighted),
    )


def bin_edges(truth: Floats, kept: Floats, bins: int) -> Floats:
    """Edges at the truth's quantiles, wide enough for the kept values too.

    Few different values (a multiplicity) get edges half way between neighbours, so that none lies on an edge.
    """
    both = np.unique(np.concatenate([truth, kept]))
    if not len(both):
        return np.array([0.0, 1.0])
    if not len(truth):
        return np.array([both[0] - 0.5, both[-1] + 0.5])
    if len(both) <= DISCRETE:
        inner = np.unique(np.quantile(truth, np.linspace(0, 1, bins + 1)[1:-1], method="inverted_cdf"))
        place = np.searchsorted(both, inner[inner > both[0]])
        return np.concatenate([[both[0] - 0.5], (both[place - 1] + both[place]) / 2, [both[-1] + 0.5]])
    edges = np.unique(np.quantile(truth, np.linspace(0, 1, bins + 1)))
    if len(edges) == 1:  # all of the truth has one value, the kept events have many
        return np.array([both[0], both[-1]])
    edges[0], edges[-1] = both[0], both[-1]
    return edges


def merge_poor_bins(edges: Floats, kept: Floats, weight: Floats) -> Floats:
    """Join bins with their right neighbour until each holds enough effective entries.

    No part of the truth stays out of the comparison: where a filter keeps hardly anything, that shows in a wider bin.
    """
    total = np.histogram(kept, edges, weights=weight)[0]
    square = np.histogram(kept, edges, weights=weight**2)[0]
    chosen = [edges[0]]
    sum_w = sum_w2 = 0.0
    for right, w, w2 in zip(edges[1:], total, square, strict=True):
        sum_w, sum_w2 = sum_w + w, sum_w2 + w2
        if sum_w**2 >= MIN_EFFECTIVE * sum_w2 > 0:
            chosen.append(right)
            sum_w = sum_w2 = 0.0
    # What is left at the right end joins the last bin that has enough, or is the only bin.
    return np.array([*chosen[: max(1, len(chosen) - 1)], edges[-1]])


def ks_distance(truth: Floats, kept: Floats, weight: Floats) -> float:
    """Largest distance of the two cumulative distributions, the second one weighted."""
    if not len(truth) or not weight.sum() > 0:
        return float("nan")
    points = np.unique(np.concatenate([truth, kept]))
    first = np.searchsorted(np.sort(truth), points, side="right") / len(truth)
    order = np.argsort(kept)
    steps = np.concatenate([[0.0], np.cumsum(weight[order])])
    second = steps[np.searchsorted(kept[order], points, side="right")] / steps[-1]
    return float(np.abs(first - second).max())


def kl_divergence(truth: Floats, weighted: Floats) -> float:
    """Σ t log(t / w) of the two normalised histograms, over bins that both fill."""
    both = (truth > 0) & (weighted > 0)
    if not both.any():
        return float("nan")
    t, w = truth[both] / truth[both].sum(), weighted[both] / weighted[both].sum()
    return float((t * np.log(t / w)).sum())


def _finite(values: NDArray[Any], of_each: Floats) -> tuple[Floats, Floats]:
    finite = np.isfinite(values)
    return values[finite].astype(np.float64), of_each[finite].astype(np.float64)


def _pulls(difference: Floats, variance: Floats, enough: NDArray[np.bool_]) -> Floats:
    # Weights of exactly 1 leave no sampling variance: then the difference is 0 too, or a bias beyond all measure.
    width = np.sqrt(np.maximum(variance, 1e-12))
    return np.where(enough, difference / width, np.nan)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _farthest(values: Floats) -> float:
    values = values[~np.isnan(values)]
    return float(values[np.argmax(np.abs(values))]) if len(values) else 0.0
