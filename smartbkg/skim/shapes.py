"""Event shapes: thrust, the momentum tensor, the second Fox-Wolfram moment, all events at once.

Letters: `B` events, `N` vectors of all events, `S` starting axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.kinematics import offsets_of, sum_by

Float = NDArray[np.float64]
Index = NDArray[np.int64]

# The axis moves to the sum of all vectors turned to its side until nothing turns any more: 3 or 4 moves.
MAX_MOVES = 12


@dataclass(frozen=True)
class Vectors:
    """Momenta (3, N) of many events, sorted by event."""

    n_events: int
    event: Index
    p: Float

    @cached_property
    def length(self) -> Float:
        """(N,)."""
        return np.asarray(np.sqrt(self.p[0] ** 2 + self.p[1] ** 2 + self.p[2] ** 2))

    def sum(self, value: Float) -> Float:
        """(B,) sum over each event, in the order of its vectors."""
        return sum_by(self.event, value, self.n_events)


def thrust(vectors: Vectors) -> tuple[Float, Float]:
    """Thrust (B,) and its axis (3, B); 0 for an event without momentum.

    The largest of the local maxima reached from the signed sums of an event's three longest vectors.
    """
    total = np.maximum(vectors.sum(vectors.length), 1e-12)
    value, axis = np.zeros(vectors.n_events), np.zeros((3, vectors.n_events))
    for start in _starting_axes(vectors):
        found = _climb(vectors, start)
        length = np.sqrt(found[0] ** 2 + found[1] ** 2 + found[2] ** 2)
        better = length > value
        value = np.where(better, length, value)
        axis = np.where(better, found / np.maximum(length, 1e-12), axis)
    return value / total, axis


def event_tensor(vectors: Vectors) -> Float:
    """(B, 3, 3) sum of p_a p_b over sum of p^2; zeros for an event without momentum."""
    norm = np.maximum(vectors.sum(vectors.length**2), 1e-12)
    return _tensor(vectors, np.ones(vectors.p.shape[1])) / norm[:, None, None]


def fox_wolfram_r2(vectors: Vectors) -> Float:
    """(B,) H2 / H0, by the tensor of p_a p_b / |p|, which makes the double sum a single one."""
    tensor = _tensor(vectors, 1 / np.maximum(vectors.length, 1e-12))
    h0 = vectors.sum(vectors.length) ** 2
    squares = (tensor**2).sum(axis=(1, 2))
    return np.where(h0 > 0, (1.5 * squares - 0.5 * h0) / np.maximum(h0, 1e-12), 0.0)


def _tensor(vectors: Vectors, weight: Float) -> Float:
    tensor = np.empty((vectors.n_events, 3, 3))
    for a in range(3):
        for b in range(a + 1):
            tensor[:, a, b] = tensor[:, b, a] = vectors.sum(weight * vectors.p[a] * vectors.p[b])
    return tensor


def _starting_axes(vectors: Vectors) -> Float:
    """(S, 3, B): a, b, c are an event's longest vectors; a +- b +- c."""
    order = np.lexsort((-vectors.length, vectors.event))
    offsets = offsets_of(vectors.event, vectors.n_events)
    longest = np.zeros((3, 3, vectors.n_events))  # rank, component, event
    for rank in range(3):
        has = np.flatnonzero(np.diff(offsets) > rank)
        longest[rank][:, has] = vectors.p[:, order[offsets[has] + rank]]
    a, b, c = longest
    return np.stack([a + b + c, a + b - c, a - b + c, a - b - c])


def _climb(vectors: Vectors, axis: Float) -> Float:
    """(3, B) sums of all vectors turned to the axis's side, moved until no vector turns."""
    px, py, pz = vectors.p
    side: NDArray[np.bool_] | None = None
    for _ in range(MAX_MOVES):
        along = px * axis[0][vectors.event] + py * axis[1][vectors.event] + pz * axis[2][vectors.event]
        new_side = along > 0
        if side is not None and (new_side == side).all():
            break
        side = new_side
        sign = np.where(side, 1.0, -1.0)
        axis = np.stack([vectors.sum(sign * px), vectors.sum(sign * py), vectors.sum(sign * pz)])
    return axis
