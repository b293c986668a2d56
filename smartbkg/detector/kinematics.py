"""Masses, directions and the pairing of objects inside an event.

Letters: `N` objects of all events, `K` pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Index = NDArray[np.int64]

# PDG 2024, GeV.
ELECTRON_GEV, MUON_GEV, PION_GEV, KAON_GEV, PROTON_GEV = 0.000511, 0.105658, 0.139570, 0.493677, 0.938272
PI0_GEV, K_SHORT_GEV = 0.134977, 0.497611


def pairs_within(offsets: Index) -> tuple[Index, Index]:
    """All pairs i < j of objects of the same event.

    Args:
        offsets: (B+1,) where each event's objects begin.

    Returns:
        (K,) and (K,) positions of first and second.

    >>> [x.tolist() for x in pairs_within(np.array([0, 3, 4, 6]))]
    [[0, 0, 1, 4], [1, 2, 2, 5]]
    """
    first = np.arange(offsets[-1])
    after = np.repeat(offsets[1:], np.diff(offsets)) - first - 1  # (N,) partners behind each object
    i = np.repeat(first, after)
    starts = np.cumsum(after) - after
    return i, np.arange(len(i)) - np.repeat(starts, after) + i + 1


def offsets_of(event_index: Index, n_events: int) -> Index:
    """(B+1,) offsets of objects sorted by event."""
    return np.concatenate([[0], np.cumsum(np.bincount(event_index, minlength=n_events))]).astype(np.int64)


def sum_by(event_index: Index, value: Float, n_events: int) -> Float:
    """(B,) sum of a quantity of each event's objects, in their order."""
    return np.asarray(np.bincount(event_index, value, n_events), dtype=np.float64)


def unit_vectors(theta: Float, phi: Float) -> Float:
    """(3, N) directions."""
    sine = np.sin(theta)
    return np.stack([sine * np.cos(phi), sine * np.sin(phi), np.cos(theta)])


def dot(a: Float, b: Float) -> Float:
    """(N,) scalar products of (3, N) vectors, summed in a fixed order."""
    return np.asarray(a[0] * b[0] + a[1] * b[1] + a[2] * b[2])
