"""Lists of candidates: what the combiner reads and makes.

A candidate belongs to a group, 2 * event for a particle and 2 * event + 1 for an antiparticle; its own antiparticle
stands in the even group. Momenta are in the collision frame, GeV. The tracks and clusters used are bits of two
64-bit words, so that nothing is used twice. Letters: `B` events, `G` = 2 B groups, `N` candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.kinematics import offsets_of

Float = NDArray[np.float64]
Index = NDArray[np.int64]
Bits = NDArray[np.uint64]

# Tracks and clusters after the 64th of an event are in no candidate: a B pair has 11 tracks and 15 clusters.
MAX_BITS = 64


@dataclass(frozen=True)
class Candidates:
    """Candidates of one particle and its antiparticle, sorted by group."""

    n_events: int
    mass_gev: float  # nominal, for bounds; 0 where none is known
    group: Index
    momentum: Float  # (4, N): E, px, py, pz
    tracks: Bits
    clusters: Bits
    channel: NDArray[np.int16]  # which channel of the rule made it

    def __len__(self) -> int:
        return len(self.group)

    @cached_property
    def offsets(self) -> Index:
        """(G+1,) where each group begins."""
        return offsets_of(self.group, 2 * self.n_events)

    @property
    def event_index(self) -> Index:
        """(N,) position in the batch of each candidate's event."""
        return self.group >> 1

    @property
    def p(self) -> Float:
        """(N,) momentum."""
        _, px, py, pz = self.momentum
        return np.asarray(np.sqrt(px**2 + py**2 + pz**2))

    @property
    def mass(self) -> Float:
        """(N,) invariant mass."""
        return invariant_mass(self.momentum)

    @cached_property
    def largest(self) -> tuple[Float, Float]:
        """(G,) and (G,) largest energy and momentum among each group's candidates, 0 where there are none."""
        energy, p = np.zeros(2 * self.n_events), np.zeros(2 * self.n_events)
        np.maximum.at(energy, self.group, self.momentum[0])
        np.maximum.at(p, self.group, self.p)
        return energy, p

    def take(self, rows: NDArray[np.bool_] | Index) -> Candidates:
        """Some of the candidates, in rising order."""
        return Candidates(
            self.n_events,
            self.mass_gev,
            self.group[rows],
            self.momentum[:, rows],
            self.tracks[rows],
            self.clusters[rows],
            self.channel[rows],
        )


def invariant_mass(momentum: Float) -> Float:
    """(N,) masses of four-momenta (4, N); 0 where rounding makes the square negative."""
    energy, px, py, pz = momentum
    return np.asarray(np.sqrt(np.maximum(energy**2 - px**2 - py**2 - pz**2, 0)))


def merge(parts: list[Candidates], mass_gev: float) -> Candidates:
    """One list of the candidates of several channels, sorted by group; the channel is the part's position."""
    group = np.concatenate([part.group for part in parts])
    order = np.argsort(group, kind="stable")
    channel = np.repeat(np.arange(len(parts), dtype=np.int16), [len(part) for part in parts])
    return Candidates(
        parts[0].n_events,
        mass_gev,
        group[order],
        np.concatenate([part.momentum for part in parts], axis=1)[:, order],
        np.concatenate([part.tracks for part in parts])[order],
        np.concatenate([part.clusters for part in parts])[order],
        channel[order],
    )
