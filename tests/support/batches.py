"""Any number of small events that depend on their own numbers alone, and files of them: no generator needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smartbkg.events import EventBatch, EventWriter
from smartbkg.pdg import PdgTable
from support.events import Particle, event_batch

CODES = np.array(PdgTable.gatgap().codes)


def some_events(  # a builder: every argument has a default
    n_events: int, *, exp: int = 0, run: int = 1, first_event: int = 1, event_type: str = "mixed", seed: int = 1
) -> EventBatch:
    """Events of one run with 2 to 12 primary particles each; an event depends on its numbers and the seed alone."""
    rngs = (np.random.default_rng([seed, exp, run, first_event + i]) for i in range(n_events))
    return event_batch([_particles(rng) for rng in rngs], exp=exp, run=run, first_event=first_event, kind=event_type)


def write_events(path: Path, *batches: EventBatch, metadata: dict[str, Any] | None = None) -> Path:
    """An event file of these batches."""
    with EventWriter(path, metadata) as writer:
        for batch in batches:
            writer.write(batch)
    return path


def numbers(batch: EventBatch) -> Sequence[tuple[int, int, int]]:
    """(exp, run, event) of each event."""
    return list(zip(batch.exp.tolist(), batch.run.tolist(), batch.event.tolist(), strict=True))


def _particles(rng: np.random.Generator) -> list[Particle]:
    """A tree of stable particles with momenta of the right size."""
    n = int(rng.integers(2, 13))
    momentum, mass = rng.normal(0.0, 0.7, (n, 3)), np.abs(rng.normal(0.5, 0.3, n))
    energy = np.sqrt((momentum**2).sum(axis=1) + mass**2)
    vertex, time = rng.normal(0.0, 0.02, (n, 3)), np.abs(rng.normal(0.0, 0.01, n))
    mother = [-1, *(int(rng.integers(0, i)) for i in range(1, n))]
    pdg, charge = rng.choice(CODES, n), rng.integers(-1, 2, n)
    return [
        Particle(int(pdg[i]), mother[i], 3, mass[i], charge[i], energy[i], *momentum[i], *vertex[i], time[i])
        for i in range(n)
    ]
