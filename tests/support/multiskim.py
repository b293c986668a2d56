"""Samples of two event types with labels of several skims, small enough to learn from in seconds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartbkg.events import EVENT_TYPES, EventBatch, EventWriter, event_type_code
from smartbkg.models.transformer import TransformerConfig
from smartbkg.training.multiskim_config import MultiSkimConfig
from support.events import decay_trees
from support.generated import generated

SMALL_MODEL = TransformerConfig(
    d_model=16, heads=2, layers=1, d_hidden=16, d_embedding=8, queries=2, d_head=16, doublings=2
)
SMALL_CONFIG = MultiSkimConfig(
    model=SMALL_MODEL, epochs=3, epoch_events=256, batch_size=32, validation_fraction=0.3, learning_rate=1e-2, rare=10.0
)
SKIMS = ("manyKaons", "manyPhotons")
REAL_PHOTONS = 12  # half of the generated B pairs have as many


@dataclass(frozen=True)
class Sample:
    """Event files and the skimmed files of the same events."""

    events: tuple[Path, ...]
    labels: tuple[Path, ...]


def typed(batch: EventBatch, event_type: str) -> EventBatch:
    """The same events as if they were of another type."""
    return dataclasses.replace(batch, event_type=np.full(len(batch), event_type_code(event_type), np.int8))


def counts_of(batch: EventBatch, *pdgs: int) -> NDArray[np.int64]:
    """(B,) particles of these codes, either charge."""
    chosen = np.isin(np.abs(batch.particles.pdg), pdgs)
    return np.bincount(batch.event_index, chosen, len(batch)).astype(np.int64)


def skim_labels(batch: EventBatch, photons: int = 1) -> dict[str, NDArray[np.bool_]]:
    """Two skims that a network can learn: events with at least so many kaons, or photons."""
    return {"manyKaons": counts_of(batch, 321, 310) >= 3, "manyPhotons": counts_of(batch, 22) >= photons}


def write_events(path: Path, batch: EventBatch) -> Path:
    """An event file."""
    with EventWriter(path) as writer:
        writer.write(batch)
    return path


def write_flags(path: Path, batch: EventBatch, flags: dict[str, NDArray[np.bool_]]) -> Path:
    """A file as `smartbkg skim` writes it, with one variable beside the flags."""
    keys = {"exp": batch.exp, "run": batch.run, "event": batch.event}
    kinds = [EVENT_TYPES[number] for number in batch.event_type]
    pq.write_table(pa.table({**keys, "event_type": kinds, **flags, "n_tracks": batch.counts.astype(np.float32)}), path)
    return path


def write_sample(folder: Path, *batches: EventBatch, photons: int = 1) -> Sample:
    """Files of batches that are labelled with `skim_labels`."""
    events = tuple(write_events(folder / f"{i}.parquet", batch) for i, batch in enumerate(batches))
    labels = tuple(write_flags(folder / f"{i}.skim.parquet", b, skim_labels(b, photons)) for i, b in enumerate(batches))
    return Sample(events, labels)


def real_sample(folder: Path, n_events: int = 500) -> Sample:
    """Generated B pairs and light quarks, numbered alike."""
    return write_sample(folder, generated("mixed", n_events), generated("uubar", n_events), photons=REAL_PHOTONS)


def toy_batches(n_events: int = 60) -> tuple[EventBatch, EventBatch]:
    """Random decay trees as two types, numbered alike."""
    return typed(decay_trees(n_events, seed=1), "mixed"), typed(decay_trees(n_events, seed=2, depth=2), "uubar")
