"""Is the weighted sample unbiased? Kept passing events with weights against all passing events.

For every observable: Σ weights per bin against the unfiltered histogram, variance Σ w²; pulls, χ², the
Kolmogorov-Smirnov distance and the Kullback-Leibler divergence of the two.

The kept events are some of the events of the unfiltered sample, so part of Σ w² is common to both sides and the pull
above is milder than it looks; and where few events are kept, Σ w² does not even know what was lost. The sampling
alone has the variance Σ (1 - p)/p over all passing events, which gives the `paired_pulls` and every p-value here.
Where it can hardly reject an event there is no such pull: a single one that is lost would look like a bias.

Letters: `V` values, `K` bins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import NothingToCompare
from smartbkg.report.binning import EVENTS_PER_BIN, MAX_BINS, MIN_EFFECTIVE, Bins, bin_edges, merge_poor_bins
from smartbkg.report.significance import binomial_p_values, chi2_p_value, ks_p_value, likely_largest

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
# What the old programs asked of every observable; see `kl_divergence`.
KL_LIMIT = 0.0015
# Rejected events to be expected for a paired pull that is nearly Gaussian.
MIN_REJECTED = 5.0
# So many events tell the correlation of two bins well enough.
_CORRELATED_EVENTS, _CHUNK = 20_000, 4096


@dataclass(frozen=True)
class ObservableComparison:
    """One observable in bins (K,), the same edges (K+1,) for all samples.

    Args:
        name: of the observable.
        edges: of the bins.
        truth: all passing events.
        weighted: kept ones, with their weights.
        variance: Σ weights² of them.
        unweighted: kept ones, counted: what a histogram without weights shows.
        pulls: (weighted - truth) / √variance; NaN with too few effective entries.
        paired_pulls: by the variance of the sampling alone; NaN also where it is expected to reject too few events.
        chi2: Σ pulls².
        paired_chi2: Σ paired pulls².
        n_bins: bins with a paired pull.
        p_value: probability of a larger paired χ² for an unbiased sample; small ones are suspicious.
        ks: Kolmogorov-Smirnov distance of truth and weighted.
        ks_p_value: of a larger one for an unbiased sample; for few different values it is too large.
        kl: Kullback-Leibler divergence, see `kl_divergence`.
        kl_expected: its mean for an unbiased sample of these weights, see `expected_kl`.
        threshold_p_values: (K,) binomial test of each bin of a threshold filter, None where none was given.
    """

    name: str
    edges: Floats
    truth: Floats
    weighted: Floats
    variance: Floats
    unweighted: Floats
    pulls: Floats
    paired_pulls: Floats
    chi2: float
    paired_chi2: float
    n_bins: int
    p_value: float
    ks: float
    ks_p_value: float
    kl: float
    kl_expected: float
    threshold_p_values: Floats | None = None

    @property
    def largest_pull(self) -> float:
        """The pull that is farthest from 0, with its sign; 0 without any filled bin."""
        return _farthest(self.pulls)

    @property
    def largest_paired_pull(self) -> float:
        """As `largest_pull`, by the variance of the sampling alone."""
        return _farthest(self.paired_pulls)

    @property
    def smallest_threshold_p(self) -> float:
        """Of the bin in which a threshold filter is most surely biased; NaN where none was tested."""
        tested = self.threshold_p_values
        return float("nan") if tested is None or np.isnan(tested).all() else float(np.nanmin(tested))

    def to_json(self) -> dict[str, Any]:
        """All figures; NaN (a bin with too few effective entries, an observable without values) as None."""
        arrays = ("edges", "truth", "weighted", "variance", "unweighted", "pulls", "paired_pulls", "threshold_p_values")
        numbers = ("chi2", "paired_chi2", "n_bins", "p_value", "ks", "ks_p_value", "kl", "kl_expected")
        largest = ("largest_pull", "largest_paired_pull", "smallest_threshold_p")
        found = {name: getattr(self, name) for name in arrays}
        return {
            "name": self.name,
            **{name: [_rounded(v) for v in values] for name, values in found.items() if values is not None},
            **{name: _number(getattr(self, name)) for name in (*numbers, *largest)},
        }


@dataclass(frozen=True)
class Comparison:
    """All observables of one filtered sample against the unfiltered one.

    Args:
        n_truth: passing events without the filter.
        n_kept: of them, or of another simulation of them, with it.
        sum_of_weights: of the kept ones.
        sum_pull: of that sum, by the variance of the sampling.
        effective_events: (Σ w)² / Σ w².
        observables: one by one.
        n_bins: of all observables, that have a paired pull.
        effective_bins: how many independent bins they count like, since one event is in a bin of each observable.
        p_value: probability of a larger Σ paired pulls² over all bins for an unbiased sample, correlations included.
    """

    n_truth: int
    n_kept: int
    sum_of_weights: float
    sum_pull: float
    effective_events: float
    observables: tuple[ObservableComparison, ...]
    n_bins: int
    effective_bins: float
    p_value: float

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
        """Over all observables with at least two bins; NaN without any."""
        found = np.array([o.kl for o in self.observables])
        return float("nan") if np.isnan(found).all() else float(np.nanmax(found))

    @property
    def likely_largest_pull(self) -> float:
        """What the largest paired pull of an unbiased sample exceeds in about half of all cases."""
        return likely_largest(self.n_bins)

    def to_json(self) -> dict[str, Any]:
        """All figures."""
        numbers = ("n_truth", "n_kept", "sum_of_weights", "sum_pull", "effective_events", "n_bins", "effective_bins")
        largest = ("largest_pull", "largest_paired_pull", "likely_largest_pull", "largest_kl")
        found = {name: _number(getattr(self, name)) for name in (*numbers, "p_value", *largest)}
        worst = max(self.observables, key=lambda o: -1.0 if np.isnan(o.kl) else o.kl)
        return {
            **found,
            "largest_kl_expected": _number(worst.kl_expected),
            "n_above_kl_limit": sum(o.kl >= KL_LIMIT for o in self.observables),
            "n_expected_above_kl_limit": sum(o.kl_expected >= KL_LIMIT for o in self.observables),
            "observables": [o.to_json() for o in self.observables],
        }


def compare(
    truth: Mapping[str, NDArray[Any]],
    probability: Floats,
    kept: Mapping[str, NDArray[Any]],
    weight: Floats,
    above_threshold: Mask | None = None,
) -> Comparison:
    """Compare the observables that both samples have.

    Args:
        truth: observable -> (V,) values of all passing events.
        probability: (V,) with which the sampling kept each of them.
        kept: the same observables of the passing events that were kept.
        weight: their weights.
        above_threshold: (V,) which of all passing events a threshold filter keeps: its bias is tested bin by bin.

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
    observables, bins = [], []
    for name in names:
        done = compare_observable(
            name, (truth[name], probability), (kept[name], weight), above_threshold=above_threshold
        )
        observables.append(done)
        bins.append(np.where(np.isfinite(truth[name]), Bins(done.edges).of(truth[name]), -1))
    variance = 1.0 / probability - 1.0  # (V,) of each event's weight, 0 included
    pulls = np.concatenate([o.paired_pulls for o in observables])
    n_bins, effective = _effective_bins(bins, [len(o.truth) for o in observables], variance, ~np.isnan(pulls))
    chi2 = float(np.nansum(pulls**2))
    return Comparison(
        n_truth=n_truth,
        n_kept=len(weight),
        sum_of_weights=float(weight.sum()),
        sum_pull=float(_pulls(weight.sum() - n_truth, variance.sum(), _is_tried((1.0 - probability).sum()))),
        effective_events=float(weight.sum() ** 2 / (weight**2).sum()),
        observables=tuple(observables),
        n_bins=n_bins,
        effective_bins=effective,
        # A sum of correlated squares is spread like a χ² of fewer degrees of freedom, stretched to the same mean.
        p_value=chi2_p_value(chi2 * effective / n_bins, effective) if n_bins else float("nan"),
    )


def compare_observable(
    name: str,
    all_passing: tuple[NDArray[Any], Floats],
    kept_passing: tuple[NDArray[Any], Floats],
    bins: int | None = None,
    above_threshold: Mask | None = None,
) -> ObservableComparison:
    """One observable in bins that hold about equal numbers of unfiltered events.

    Args:
        name: of the observable.
        all_passing: values and probabilities, (V,) each.
        kept_passing: values and weights of the kept ones. Values that are not finite stay out on both sides.
        bins: at most; None for as many as the events allow.
        above_threshold: (V,) which of all passing events a threshold filter keeps.
    """
    truth, probability = _finite(*all_passing)
    kept, weight = _finite(*kept_passing)
    edges = bin_edges(truth, kept, bins or min(MAX_BINS, max(1, len(truth) // EVENTS_PER_BIN)))
    edges = merge_poor_bins(edges, kept, weight)
    true_bins, kept_bins = Bins(edges), Bins(edges)
    place, kept_place = true_bins.of(truth), kept_bins.of(kept)
    true_counts = true_bins.sums(place)
    weighted, variance = kept_bins.sums(kept_place, weight), kept_bins.sums(kept_place, weight**2)
    sampling = true_bins.sums(place, 1.0 / probability - 1.0)
    enough = (weighted**2 >= MIN_EFFECTIVE * variance) & (weighted > 0)
    pulls = _pulls(weighted - true_counts, variance, enough)
    paired = _pulls(weighted - true_counts, sampling, enough & _is_tried(true_bins.sums(place, 1.0 - probability)))
    counted = ~np.isnan(paired) & (sampling > 0)
    paired_chi2, ks = float(np.nansum(paired**2)), ks_distance(truth, kept, weight)
    tested = None
    if above_threshold is not None:
        passing = true_bins.sums(place, above_threshold[np.isfinite(all_passing[0])].astype(np.float64))
        tested = binomial_p_values(passing, true_counts, float(passing.sum() / max(true_counts.sum(), 1.0)))
    return ObservableComparison(
        name=name,
        edges=edges,
        truth=true_counts,
        weighted=weighted,
        variance=variance,
        unweighted=kept_bins.sums(kept_place),
        pulls=pulls,
        paired_pulls=paired,
        chi2=float(np.nansum(pulls**2)),
        paired_chi2=paired_chi2,
        n_bins=int(counted.sum()),
        p_value=chi2_p_value(paired_chi2, int(counted.sum())),
        ks=ks,
        ks_p_value=ks_p_value(ks, _ks_events(len(truth), float(sampling.sum()))),
        # One bin is the same for every shape.
        kl=kl_divergence(true_counts, weighted) if len(true_counts) > 1 else float("nan"),
        kl_expected=expected_kl(true_counts, sampling) if len(true_counts) > 1 else float("nan"),
        threshold_p_values=tested,
    )


def ks_distance(truth: Floats, kept: Floats, weight: Floats) -> float:
    """Largest distance of the two cumulative distributions, the second one weighted."""
    if not len(truth) or not weight.sum() > 0:
        return float("nan")
    values = np.concatenate([truth, kept])
    order = np.argsort(values)
    values = values[order]
    share = np.concatenate([np.full(len(truth), 1 / len(truth)), -weight / weight.sum()])[order]
    last = np.append(np.flatnonzero(np.diff(values)), len(values) - 1)  # of equal values
    return float(np.abs(np.cumsum(share)[last]).max())


def kl_divergence(truth: Floats, weighted: Floats) -> float:
    """Σ t log(t / w) of the two normalised histograms, in nats, over bins that both fill.

    It is never 0 by chance: K bins of a sample with ESS effective of N true events give about (K-1)/2 (1/ESS - 1/N)
    without any bias (`expected_kl`). With 15 bins and few of many events kept, that mean alone falls below the old
    limit of 0.0015 only from 4,700 effective events on; with fewer, no filter meets it by being unbiased.
    """
    both = (truth > 0) & (weighted > 0)
    if not both.any():
        return float("nan")
    t, w = truth[both] / truth[both].sum(), weighted[both] / weighted[both].sum()
    return float((t * np.log(t / w)).sum())


def expected_kl(truth: Floats, sampling: Floats) -> float:
    """The mean divergence of an unbiased sample: ½ Σ Var(w - t) / t, with the fractions t and w of each bin.

    Args:
        truth: (K,) events of each bin.
        sampling: (K,) Σ (1 - p)/p over them, the variance of the sum of their weights.
    """
    filled = truth > 0
    n = truth.sum()
    if not filled.any():
        return float("nan")
    t, v = truth[filled] / n, sampling[filled]
    variance = (v * (1.0 - 2.0 * t) + t**2 * sampling.sum()) / n**2
    return float(0.5 * (variance / t).sum())


def _effective_bins(
    bins: list[NDArray[np.int64]], sizes: list[int], variance: Floats, counted: Mask
) -> tuple[int, float]:
    """Bins with a pull, and how many independent ones they count like: n² / Σ ρ², ρ the correlation of two pulls.

    Args:
        bins: for each observable, (V,) the bin of each passing event; -1 for none.
        sizes: number of bins of each observable.
        variance: (V,) of each event's weight.
        counted: (ΣK,) which bins have a pull.
    """
    total = int(sum(sizes))
    first = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    step = max(1, len(variance) // _CORRELATED_EVENTS)
    place = np.stack([np.where(b < 0, total, b + f)[::step] for b, f in zip(bins, first, strict=True)], axis=1)
    width = np.sqrt(variance[::step]).astype(np.float32)
    covariance = np.zeros((total, total))
    for begin in range(0, len(width), _CHUNK):
        part = place[begin : begin + _CHUNK]
        inside = np.zeros((len(part), total + 1), dtype=np.float32)
        np.put_along_axis(inside, part, width[begin : begin + _CHUNK, None], axis=1)
        covariance += inside[:, :total].T @ inside[:, :total]
    counted = counted & (np.diag(covariance) > 0)
    n = int(counted.sum())
    if not n:
        return 0, 0.0
    covariance = covariance[np.ix_(counted, counted)]
    own = np.diag(covariance)
    return n, float(n**2 / (covariance**2 / np.outer(own, own)).sum())


def _ks_events(n: int, sampling: float) -> float:
    """Effective events behind the distance of a sample from the one it was drawn from: 1 / (1/ESS - 1/N)."""
    return n**2 / sampling if sampling > 0 else float(n)


def _finite(values: NDArray[Any], of_each: Floats) -> tuple[Floats, Floats]:
    finite = np.isfinite(values)
    return values[finite].astype(np.float64), of_each[finite].astype(np.float64)


def _pulls(difference: Any, variance: Any, enough: Any) -> Floats:
    # Weights of exactly 1 leave no sampling variance: then the difference is 0 too, or a bias beyond all measure.
    width = np.sqrt(np.maximum(variance, 1e-12))
    return np.where(enough, difference / width, np.nan)


def _is_tried(rejected: Any) -> Any:
    """Where so many rejected events are to be expected that their number is nearly Gaussian; or none can be at all."""
    return (rejected >= MIN_REJECTED) | (rejected == 0)


def _number(value: float) -> float | int | None:
    if isinstance(value, int):
        return value
    return None if np.isnan(value) else float(value)


def _rounded(value: float) -> float | None:
    """Seven digits of a number among many."""
    return None if np.isnan(value) else float(f"{value:.7g}")


def _farthest(values: Floats) -> float:
    values = values[~np.isnan(values)]
    return float(values[np.argmax(np.abs(values))]) if len(values) else 0.0
