"""Bins for observables of any kind, with enough in each: quantiles of the truth, half way between whole numbers.

Letters: `V` values, `K` bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
class Bins:
    """Bins between edges (K+1,), the last one with its right edge."""

    edges: Floats

    def of(self, values: NDArray[Any]) -> NDArray[np.int64]:
        """(V,) the bin of each value; what lies outside counts to the bin at that end."""
        return np.searchsorted(self.edges[1:-1], values, side="right").astype(np.int64)

    def sums(self, place: NDArray[np.int64], weight: Floats | None = None) -> Floats:
        """(K,) entries, or the sum of their weights."""
        return np.bincount(place, weight, minlength=len(self.edges) - 1).astype(np.float64)


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
    bins = Bins(edges)
    place = bins.of(kept)
    chosen = [edges[0]]
    sum_w = sum_w2 = 0.0
    for right, w, w2 in zip(edges[1:], bins.sums(place, weight), bins.sums(place, weight**2), strict=True):
        sum_w, sum_w2 = sum_w + w, sum_w2 + w2
        if sum_w**2 >= MIN_EFFECTIVE * sum_w2 > 0:
            chosen.append(right)
            sum_w = sum_w2 = 0.0
    # What is left at the right end joins the last bin that has enough, or is the only bin.
    return np.array([*chosen[: max(1, len(chosen) - 1)], edges[-1]])
