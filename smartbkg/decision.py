"""Score → keep or not, and weight. Pure: no randomness of its own, no files.

Importance sampling keeps an event with probability p and gives it the weight 1/p, so weighted sums stay what they
would have been without a filter. A threshold keeps fewer events and biases them. With several skims each has its own
probability and weight, and an event is kept when any of them keeps it.
Letters: `B` events, `S` skims.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import BadScore

# No kept event may outweigh this many others: one event of weight 1000 adds as much to Σw² as a million of
# weight 1. A score below 1/1000 is raised to it, since p = 0 would lose events that no weight brings back.
MAX_WEIGHT = 1000.0

Decision = tuple[NDArray[np.bool_], NDArray[np.float64]]


@dataclass(frozen=True)
class SamplingPolicy:
    """Keep with probability p = max(score, 1/max_weight); weight 1/p if kept, else 0. Unbiased."""

    max_weight: float = MAX_WEIGHT

    def __post_init__(self) -> None:
        if not (math.isfinite(self.max_weight) and self.max_weight >= 1.0):
            raise ValueError(f"the largest weight is a number of at least 1, not {self.max_weight}")

    def decide(self, score: NDArray[Any], draw: NDArray[Any]) -> Decision:
        """Keep where draw < p: a draw in [0, 1) is below p with probability p, also for p = 1.

        >>> keep, weight = SamplingPolicy(max_weight=10).decide(np.array([0.5, 0.0]), np.array([0.4, 0.05]))
        >>> keep.tolist(), weight.tolist()
        ([True, True], [2.0, 10.0])
        """
        probability = np.maximum(check_scores(score), 1.0 / self.max_weight)
        keep = draw < probability
        return keep, np.where(keep, 1.0 / probability, 0.0)


@dataclass(frozen=True)
class ThresholdPolicy:
    """Keep where score ≥ threshold; weight 1 if kept, else 0. What is thrown away is lost: biased."""

    threshold: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"a threshold is between 0 and 1, not {self.threshold}")

    def decide(self, score: NDArray[Any], draw: NDArray[Any]) -> Decision:  # noqa: ARG002  (no draw is needed)
        """A threshold of 0 keeps every event.

        >>> ThresholdPolicy(0.5).decide(np.array([0.5, 0.4]), np.zeros(2))[0].tolist()
        [True, False]
        """
        keep = check_scores(score) >= self.threshold
        return keep, keep.astype(np.float64)


@dataclass(frozen=True)
class MultiSkimPolicy:
    """Sampling for several skims at once: a weight for each, and the events that any of them keeps.

    One draw for all skims of an event keeps max(p) of the events, draws of their own 1 - Π(1 - p), which is more; the
    weights of each single skim are unbiased either way.
    """

    max_weight: float

    def decide(self, probability: NDArray[Any], draw: NDArray[Any]) -> Decision:
        """Keep skim by skim where draw < p.

        Args:
            probability: (B, S) to keep each event for each skim.
            draw: (B, 1) one number for all skims of an event, or (B, S) one for each.

        Returns:
            (B,) True for the events that at least one skim keeps, and (B, S) their weights, 0 where a skim does not.

        >>> keep, weight = MultiSkimPolicy(100).decide(np.array([[0.5, 0.25], [0.5, 0.25]]), np.array([[0.4], [0.7]]))
        >>> keep.tolist(), weight.tolist()
        ([True, False], [[2.0, 0.0], [0.0, 0.0]])
        """
        sampled, weight = SamplingPolicy(self.max_weight).decide(probability, draw)
        return np.asarray(sampled.any(axis=1)), weight


Policy = SamplingPolicy | ThresholdPolicy


def check_scores(score: NDArray[Any]) -> NDArray[np.float64]:
    """The scores (B,) or (B, S) as float64.

    Raises:
        BadScore: one of them is NaN or outside 0 to 1; says how many, and where the first is.
    """
    values = np.asarray(score, dtype=np.float64)
    bad = np.argwhere(~((values >= 0.0) & (values <= 1.0)))
    if len(bad):
        first = tuple(bad[0].tolist())
        place = ", ".join(map(str, first))
        raise BadScore(
            f"{len(bad)} of {values.size} scores are no probabilities; the first is {values[first]} at place {place}"
        )
    return values
