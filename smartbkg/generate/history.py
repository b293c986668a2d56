"""A generator's record made into the history that users expect: one entry a particle.

Pythia keeps every intermediate step: a quark appears again after each emission and each recoil, beams and virtual
photon likewise. Here all entries of one particle become one. It keeps the mother of its first entry and the momentum
of its last one: quarks and gluons as they enter hadronisation, the virtual photon as it decays. Hadrons and leptons
have the momentum of their daughters; quarks and gluons that radiate or take a recoil have it together with all that
hadronises with them.

Rules:
* an entry continues its mother if the code is the same and no sister has that code too (in q -> q g the quark goes
  on; in g -> g g two new gluons begin);
* beam entries after initial-state radiation are the beam particle itself; radiated photons and the virtual
  photon are its daughters;
* a photon radiated by a quark or lepton becomes its sister, so that mother = lepton + photon holds;
* a hadron made in a string has the first parton of that string as its mother;
* a gluon that is joined with a neighbouring quark before hadronisation stays, without daughters;
* photons under MIN_PHOTON_GEV, which every beam leaves behind for bookkeeping, are dropped.

Mothers come before their daughters. Letters: `N` entries of all records of a block together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from smartbkg.events import MCStatus

MIN_PHOTON_GEV: Final = 1e-6
NO_MOTHER: Final = -1

# Pythia's absolute status codes (manual, "Particle Properties").
_SYSTEM, _BEAM = 11, 12
_INCOMING = (21, 41, 42, 45, 46, 53)  # incoming leptons before, at and after radiation
_RADIATED_BY_BEAM = (43, 63)
_RADIATED_BY_FINAL = (51,)
_JOINED = (72, 73, 74)  # partons combined before hadronisation: the mothers are a pair
_SHOWER = (21, 79)  # between these an entry may be the continuation of its mother
_VIRTUAL_PHOTON = 23


@dataclass(frozen=True)
class Record:
    """Entries of generator records, flat (N,): momenta in GeV, vertices in mm, `mother1/2` rows of this record."""

    event: NDArray[np.int64]
    pdg: NDArray[np.int64]
    status: NDArray[np.int64]
    mother1: NDArray[np.int64]
    mother2: NDArray[np.int64]
    momentum_gev: NDArray[np.float64]
    mass_gev: NDArray[np.float64]
    vertex_mm: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.pdg)


@dataclass(frozen=True)
class History:
    """Particles in the order of the result: rows of the record to take, mothers (row of the result) and status."""

    last_entry: NDArray[np.int64]
    first_entry: NDArray[np.int64]
    mother: NDArray[np.int64]
    status: NDArray[np.int64]


def clean_history(record: Record) -> History:
    """One particle for every chain of entries of the record, sorted by event."""
    continues = _continued_entry(record)  # (N,) the entry that this one continues, or itself
    first = _follow(continues)
    last = _last_of_chain(record, first)
    kind = np.abs(record.status)
    is_first = first == np.arange(len(record))
    soft = np.isin(kind, _RADIATED_BY_BEAM) & (record.momentum_gev[last, 3] < MIN_PHOTON_GEV)
    keep = np.flatnonzero(is_first & (kind != _SYSTEM) & ~soft)
    keep = keep[np.argsort(record.event[keep], kind="stable")]
    mother_of = np.where(record.mother1 >= 0, first[record.mother1], NO_MOTHER)  # (N,) first entries
    mother_entry = mother_of[keep]
    sister = (record.pdg[keep] == 22) & np.isin(kind[keep], _RADIATED_BY_FINAL)
    mother_entry[sister] = mother_of[mother_entry[sister]]
    row = np.full(len(record) + 1, NO_MOTHER)  # one more, so that row[NO_MOTHER] is NO_MOTHER
    row[keep] = np.arange(len(keep))
    return History(last[keep], keep, row[mother_entry], _status_bits(record, keep, last[keep]))


def top_ancestor(mother: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) the motherless entry at the top of each entry's tree.

    >>> top_ancestor(np.array([-1, -1, 0, 2, 1])).tolist()
    [0, 1, 0, 0, 1]
    """
    return _follow(np.where(mother < 0, np.arange(len(mother)), mother))


def _follow(step: NDArray[np.int64]) -> NDArray[np.int64]:
    """Follow the steps until they stay, doubling their length each time."""
    while True:
        further = step[step]
        if np.array_equal(further, step):
            return step
        step = further


def _continued_entry(record: Record) -> NDArray[np.int64]:
    rows = np.arange(len(record))
    kind, mother = np.abs(record.status), record.mother1.copy()
    # A joined parton continues the partner that has its code.
    second = np.isin(kind, _JOINED) & (record.mother2 >= 0)
    second &= (record.pdg[mother] != record.pdg) & (record.pdg[record.mother2] == record.pdg)
    mother[second] = record.mother2[second]
    claims = (mother >= 0) & (kind >= _SHOWER[0]) & (kind <= _SHOWER[1]) & (record.pdg[mother] == record.pdg)
    rivals = np.bincount(mother[claims], minlength=len(record))
    claims[claims] = rivals[mother[claims]] == 1
    result = np.where(claims, mother, rows)
    incoming = np.isin(kind, _INCOMING) & (np.abs(record.pdg) == 11)
    if incoming.any():
        result[incoming] = _beam_of(record, incoming)
    return result


def _beam_of(record: Record, incoming: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Row of the beam particle of each incoming lepton: the beam of the same event and code."""
    beams = np.flatnonzero(np.abs(record.status) == _BEAM)
    table = np.full((int(record.event.max()) + 1, 2), NO_MOTHER)
    table[record.event[beams], (record.pdg[beams] < 0).astype(np.int64)] = beams
    return np.asarray(table[record.event[incoming], (record.pdg[incoming] < 0).astype(np.int64)])


def _last_of_chain(record: Record, first: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) for the first entry of each chain the last one; beams stay as they came in."""
    rows = np.arange(len(record))
    last = rows.copy()
    last[first] = rows  # of several values for one place numpy keeps the last, and rows grow
    is_beam = np.abs(record.status) == _BEAM
    last[is_beam] = rows[is_beam]
    return last


def _status_bits(record: Record, first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.int64]:
    kind, pdg = np.abs(record.status[first]), record.pdg[first]
    bits = np.full(len(first), int(MCStatus.PRIMARY))
    photon = pdg == 22
    for chosen, bit in (
        (record.status[last] > 0, MCStatus.STABLE),
        (kind == _BEAM, MCStatus.INITIAL),
        (pdg == _VIRTUAL_PHOTON, MCStatus.VIRTUAL),
        (photon & np.isin(kind, _RADIATED_BY_BEAM), MCStatus.ISR_PHOTON),
        (photon & np.isin(kind, _RADIATED_BY_FINAL), MCStatus.FSR_PHOTON),
    ):
        bits[chosen] |= int(bit)
    return bits
