"""What each event weighs in the loss, how often it is shown, and the batches that come of it. No torch.

**Class-balanced logits.** The network is told the event's type, so the boundary it draws is one inside each type: for
every type and skim, passing and failing events have the same total weight, and logit 0 is where an event is as likely
among the passing ones of its type as among the failing ones. How rare the skim is in that type does not enter.

**Rare skims.** A pair of type and skim with P passing events (or that many failing ones, if they are fewer) counts
P / (P + `rare`), and a skim with P passing events in all types together counts P / (P + `rare`) over its types. So
pairs with many events count alike, and no single passing event ever weighs more than 1 / (2 `rare`) of a whole skim.
A type in which nothing passes a skim counts 1 % with its failing events alone: the network shall say no there.

**Showing events.** An epoch is a number of draws. An event is drawn in proportion to its weight, at most `max_repeats`
times, and its weight is divided by the rate at which it is drawn: the expected loss stays that of all events.

Letters: `B` events, `b` events of a batch, `P` particles padded, `S` skims, `T` event types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.draws import block_seed
from smartbkg.errors import TrainingError
from smartbkg.features import Features
from smartbkg.training.multiskim_data import MultiSkimSet

# What a type counts for a skim that none of its events passes (or all of them do).
ONE_CLASS_SHARE = 0.01
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Balance:
    """Weights in the loss of one passing or failing event (T, S); over all events and skims they sum to `total`."""

    passing: Array
    failing: Array
    total: float

    @classmethod
    def of(cls, data: MultiSkimSet, rows: NDArray[np.int64], rare: float, what: str = "to train on") -> Balance:
        """Weights that balance the events at these rows.

        Raises:
            TrainingError: as `check_classes`.
        """
        n_pass = data.count_passing(rows).astype(np.float64)
        n_fail = np.maximum(data.sum_weights(rows)[:, None] - n_pass, 0.0)
        n_fail[n_fail < 0.5] = 0.0  # sums of float32 weights
        check_classes(data, n_pass, n_fail, what)
        fewer = np.minimum(n_pass, n_fail)  # (T, S)
        share = fewer / (fewer + rare)
        skim_share = fewer.sum(axis=0) / (fewer.sum(axis=0) + rare)  # (S,)
        share *= skim_share / np.maximum(share.sum(axis=0), 1e-300)
        alone = np.where(fewer == 0, ONE_CLASS_SHARE * skim_share, 0.0)
        passing = (0.5 * share + alone * (n_pass > 0)) / np.maximum(n_pass, 1.0)
        failing = (0.5 * share + alone * (n_fail > 0)) / np.maximum(n_fail, 1.0)
        return cls(passing, failing, float((passing * n_pass + failing * n_fail).sum()))

    def weights(self, data: MultiSkimSet, rows: NDArray[np.int64]) -> Array:
        """(b, S) weight of each event for each skim."""
        kind = data.event_type[rows]
        weight: Array = np.where(data.passed(rows), self.passing[kind], self.failing[kind])
        return weight * data.weight[rows, None]

    def importance(self, data: MultiSkimSet, rows: NDArray[np.int64]) -> Array:
        """(b,) weight of each event over all skims."""
        return np.concatenate([self.weights(data, part).sum(axis=1) for part in data.chunks(rows)])


def check_classes(data: MultiSkimSet, n_pass: NDArray[Any], n_fail: NDArray[Any], what: str) -> None:
    """Refuse skims of one class, by name; from the events that pass and fail (T, S).

    Raises:
        TrainingError: no event passes some skim, or none fails it, or none does so in a type where others do.
    """
    for numbers, verb in ((n_pass, "passes"), (n_fail, "fails")):
        wrong = _names(data, numbers.sum(axis=0) == 0)
        if wrong:
            raise TrainingError(
                f"no event {what} {verb} {wrong}, among {len(data)}: a network learns from both kinds; "
                f"give more events, or other skims"
            )
    wrong = _names(data, ~has_both(n_pass, n_fail))
    if wrong:
        raise TrainingError(
            f"no event type has both kinds of events {what} for {wrong}: the type alone, which the network is told, "
            f"says whether they pass; give more events, or other skims"
        )


def has_both(n_pass: NDArray[Any], n_fail: NDArray[Any]) -> NDArray[np.bool_]:
    """(S,) for which skims some type has passing and failing events, of numbers (T, S)."""
    return np.asarray(((n_pass > 0) & (n_fail > 0)).any(axis=0))


def _names(data: MultiSkimSet, chosen: NDArray[np.bool_]) -> str:
    return ", ".join(skim.name for skim, is_chosen in zip(data.skims, chosen, strict=True) if is_chosen)


@dataclass(frozen=True)
class Sampler:
    """Which events an epoch shows.

    Args:
        rows: (B,) of the training set.
        rate: (B,) how often each is drawn in an epoch, on average.
        batch_size: events of a step.
        steps: of an epoch.
    """

    rows: NDArray[np.int64]
    rate: Array
    batch_size: int
    steps: int

    @classmethod
    def of(
        cls, rows: NDArray[np.int64], importance: Array, batch_size: int, epoch_events: int, max_repeats: float
    ) -> Sampler:
        """Draw rows in proportion to their importance (B,), so many an epoch."""
        wanted = min(epoch_events, len(rows))
        steps = max(round(wanted / batch_size), 1)
        return cls(rows, _rates(importance, float(min(steps * batch_size, wanted)), max_repeats), batch_size, steps)

    def epoch(self, seed: int, number: int) -> list[NDArray[np.int64]]:
        """Positions in `rows` of the events of each batch; a function of the seed and the epoch's number."""
        draw = np.random.default_rng(block_seed(seed, "epoch", number))
        order = draw.permutation(len(self.rows))
        # Systematic: steps of 1 along the summed rates, so an event is drawn floor(rate) or ceil(rate) times.
        passed = np.floor(np.concatenate([[0.0], np.cumsum(self.rate[order])]) + draw.random())
        drawn = np.repeat(order, np.diff(passed).astype(np.int64))
        return np.array_split(draw.permutation(drawn), self.steps)


def _rates(importance: Array, total: float, most: float) -> Array:
    """(B,) proportional to the importance where that is below `most`, with this sum if `most` allows it."""
    rate = np.zeros(len(importance))
    free = importance > 0
    left = total
    while free.any():
        scale = left / importance[free].sum()
        over = free & (importance * scale >= most)
        if not over.any():
            rate[free] = importance[free] * scale
            break
        rate[over] = most
        left -= most * over.sum()
        free &= ~over
        if left <= 0:
            break
    return rate


@dataclass(frozen=True)
class Padded:
    """Events as the network reads them.

    Args:
        x: (b, P, 8) float32, 0 in padding.
        pdg: (b, P) int32 tokens, -1 in padding.
        mother: (b, P) int32, -1 in padding.
        c: (b,) int32 event type.
    """

    x: NDArray[np.float32]
    pdg: NDArray[np.int32]
    mother: NDArray[np.int32]
    c: NDArray[np.int32]

    @classmethod
    def of(cls, features: Features, event_type: NDArray[np.int8]) -> Padded:
        """Pad to the longest event."""
        counts = features.counts
        shape = (len(features), max(int(counts.max(initial=0)), 1))
        slot = np.arange(len(features.token)) - np.repeat(features.offsets[:-1], counts)
        flat = np.repeat(np.arange(shape[0]) * shape[1], counts) + slot
        x = np.zeros((shape[0] * shape[1], features.x.shape[1]), dtype=np.float32)
        pdg, mother = (np.full(shape[0] * shape[1], -1, dtype=np.int32) for _ in range(2))
        x[flat], pdg[flat], mother[flat] = features.x, features.token, features.mother
        return cls(x.reshape(*shape, -1), pdg.reshape(shape), mother.reshape(shape), event_type.astype(np.int32))


def split_by_length(counts: NDArray[np.int64], parts: int) -> list[NDArray[np.int64]]:
    """Positions of events in so many parts of similar lengths and as many particles each, the longest first.

    >>> [part.tolist() for part in split_by_length(np.array([9, 1, 2, 8, 1, 7]), 2)]
    [[0, 3], [5, 2, 1, 4]]
    """
    order = np.argsort(-counts, kind="stable")
    before = np.concatenate([[0], np.cumsum(counts[order])[:-1]])
    # The middle of an event decides, so that no part is empty before the events are used up.
    place = (before + 0.5 * counts[order]) * parts / max(int(counts.sum()), 1)
    return [order[place.astype(np.int64) == part] for part in range(parts)]
