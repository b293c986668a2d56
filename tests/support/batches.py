"""The smallest valid generated events, made of seeds: no generator needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smartbkg.events import EventBatch, EventWriter, MCParticles, event_type_code
from smartbkg.pdg import PdgTable


def some_events(  # a builder: every argument has a default
    n_events: int, *, exp: int = 0, run: int = 1, first_event: int = 1, event_type: str = "mixed", seed: int = 1
) -> EventBatch:
    """Events of one run with 2 to 12 primary particles each; an event depends on its numbers and the seed alone."""
    return EventBatch.concat([_one(exp, run, first_event + i, event_type, seed) for i in range(n_events)])


def write_events(path: Path, *batches: EventBatch, metadata: dict[str, Any] | None = None) -> Path:
    """An event file of these batches."""
    with EventWriter(path, metadata or {}) as writer:
        for batch in batches:
            writer.write(batch)
    return path


def numbers(batch: EventBatch) -> Sequence[tuple[int, int, int]]:
    """(exp, run, event) of each event."""
    return list(zip(batch.exp.tolist(), batch.run.tolist(), batch.event.tolist(), strict=True))


def _one(exp: int, run: int, event: int, event_type: str, seed: int) -> EventBatch:
    rng = np.random.default_rng([seed, exp, run, event])
    n = int(rng.integers(2, 13))
    momentum = rng.normal(0.0, 0.7, (n, 3))
    mass = np.abs(rng.normal(0.5, 0.3, n))
    vertex = rng.normal(0.0, 0.02, (n, 3))
    mother = np.concatenate([[-1], [int(rng.integers(0, i)) for i in range(1, n)]])
    quantities = {
        "mass_gev": mass,
        "charge": rng.integers(-1, 2, n),
        "energy_gev": np.sqrt((momentum**2).sum(axis=1) + mass**2),
        **dict(zip(("px_gev", "py_gev", "pz_gev"), momentum.T, strict=True)),
        **dict(zip(("x_cm", "y_cm", "z_cm"), vertex.T, strict=True)),
        "time_ns": np.abs(rng.normal(0.0, 0.01, n)),
    }
    return EventBatch(
        exp=np.array([exp], dtype=np.int32),
        run=np.array([run], dtype=np.int32),
        event=np.array([event], dtype=np.int64),
        event_type=np.array([event_type_code(event_type)], dtype=np.int8),
        offsets=np.array([0, n], dtype=np.int64),
        particles=MCParticles(
            pdg=rng.choice(np.array(PdgTable.gatgap().codes), n).astype(np.int64),
            mother=mother.astype(np.int32),
            status=np.full(n, 3, dtype=np.int32),  # primary and stable
            **{name: np.asarray(values, dtype=np.float32) for name, values in quantities.items()},
        ),
    )
