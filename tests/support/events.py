"""Smallest valid events: by hand, one particle a line, or random decay trees of massive four-vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartbkg.events import EventBatch, MCParticles, event_type_code

# A few species of a B decay, heaviest first: PDG code and mass in GeV.
SPECIES = ((421, 1.865), (411, 1.870), (113, 0.775), (310, 0.498), (321, 0.494), (111, 0.135), (211, 0.140), (22, 0.0))
B_MASS_GEV = 5.2795
BOOST_Z = 0.287  # βγ of the beams


@dataclass(frozen=True)
class Particle:
    """One generated particle; by default a primary pion at rest in the origin without a mother."""

    pdg: int = 211
    mother: int = -1
    status: int = 1
    mass_gev: float = 0.13957
    charge: float = 1.0
    energy_gev: float = 0.13957
    px_gev: float = 0.0
    py_gev: float = 0.0
    pz_gev: float = 0.0
    x_cm: float = 0.0
    y_cm: float = 0.0
    z_cm: float = 0.0
    time_ns: float = 0.0


def event_batch(
    events: Sequence[Sequence[Particle]], *, exp: int = 0, run: int = 1, first_event: int = 1, kind: str = "mixed"
) -> EventBatch:
    """A batch of events that are lists of particles."""
    rows = [particle for event in events for particle in event]
    kinds = {"pdg": np.int64, "mother": np.int32, "status": np.int32}
    columns = {
        f.name: np.array([getattr(row, f.name) for row in rows], dtype=kinds.get(f.name, np.float32))
        for f in fields(MCParticles)
    }
    n = len(events)
    return EventBatch(
        exp=np.full(n, exp, np.int32),
        run=np.full(n, run, np.int32),
        event=np.arange(first_event, first_event + n, dtype=np.int64),
        event_type=np.full(n, event_type_code(kind), np.int8),
        offsets=np.concatenate([[0], np.cumsum([len(event) for event in events])]).astype(np.int64),
        particles=MCParticles(**columns),
    )


def decay_trees(n_events: int, seed: int = 1, *, depth: int = 3, run: int = 1, first_event: int = 1) -> EventBatch:
    """Events of two B mesons that decay, and whose daughters decay, `depth` times; every step conserves momentum."""
    rng = np.random.default_rng(seed)
    events = [_two_b_mesons(rng, depth) for _ in range(n_events)]
    return event_batch(events, run=run, first_event=first_event)


def kaon_labels(batch: EventBatch, kaons: int = 3) -> NDArray[np.bool_]:
    """(B,) a label that a network can learn: events with at least that many kaons."""
    is_kaon = np.isin(np.abs(batch.particles.pdg), (321, 310))
    return np.bincount(batch.event_index, is_kaon, len(batch)) >= kaons


def write_labels(path: object, batch: EventBatch, passed: NDArray[np.bool_], skim: str = "toySkim") -> None:
    """A file as `smartbkg skim` writes it, with one variable beside the flag."""
    keys = {"exp": batch.exp, "run": batch.run, "event": batch.event}
    values = {skim: passed, "n_tracks": batch.counts.astype(np.float32)}
    pq.write_table(pa.table({**keys, "event_type": ["mixed"] * len(batch), **values}), path)


def _two_b_mesons(rng: np.random.Generator, depth: int) -> list[Particle]:
    event: list[Particle] = []
    direction = _direction(rng)
    for sign in (1.0, -1.0):
        momentum = sign * 0.33 * direction + np.array([0.0, 0.0, BOOST_Z * B_MASS_GEV])
        _append(event, int(sign) * 511, B_MASS_GEV, momentum, -1, np.zeros(4))
        _decay(event, len(event) - 1, rng, depth)
    return event


def _decay(event: list[Particle], at: int, rng: np.random.Generator, depth: int) -> None:
    """Two daughters, flat in angle; they decay further while `depth` lasts."""
    mother = event[at]
    light = [(pdg, mass) for pdg, mass in SPECIES if mass < 0.5 * mother.mass_gev]
    if depth == 0 or len(light) < 2 or rng.random() < 0.2:
        return
    chosen = [light[i] for i in rng.integers(0, len(light), 2)]
    total, (m1, m2) = mother.mass_gev, (chosen[0][1], chosen[1][1])
    p = math.sqrt(max((total**2 - (m1 + m2) ** 2) * (total**2 - (m1 - m2) ** 2), 0.0)) / (2.0 * total)
    along = p * _direction(rng)
    flight = rng.exponential(0.02) * np.array([mother.px_gev, mother.py_gev, mother.pz_gev, mother.energy_gev])
    vertex = np.array([mother.x_cm, mother.y_cm, mother.z_cm, mother.time_ns]) + flight / mother.mass_gev
    for (pdg, mass), sign in zip(chosen, (1.0, -1.0), strict=True):
        momentum = _boosted(sign * along, mass, mother)
        charge_sign = -1 if pdg not in (22, 111, 113, 310) and rng.random() < 0.5 else 1
        _append(event, charge_sign * pdg, mass, momentum, at, vertex)
        _decay(event, len(event) - 1, rng, depth - 1)


def _append(
    event: list[Particle],
    pdg: int,
    mass: float,
    momentum: NDArray[np.float64],
    mother: int,
    vertex: NDArray[np.float64],
) -> None:
    px, py, pz = map(float, momentum)
    x, y, z, t = map(float, vertex)
    energy = math.sqrt(mass**2 + px**2 + py**2 + pz**2)
    event.append(Particle(pdg, mother, 1, mass, 0.0, energy, px, py, pz, x, y, z, t))


def _boosted(momentum: NDArray[np.float64], mass: float, frame: Particle) -> NDArray[np.float64]:
    """Momentum in the laboratory of a particle with this momentum in the frame of another one."""
    energy = math.sqrt(mass**2 + float(momentum @ momentum))
    flow = np.array([frame.px_gev, frame.py_gev, frame.pz_gev]) / frame.mass_gev
    gamma = math.sqrt(1.0 + float(flow @ flow))
    return momentum + flow * (float(flow @ momentum) / (gamma + 1.0) + energy)


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    vector = rng.normal(size=3)
    return vector / np.linalg.norm(vector)
