"""Labelled events of several types for filters of many skims."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from smartbkg.events import EventBatch, EventWriter, event_type_code
from support.events import decay_trees
from support.foreign import SKIMS


@dataclass(frozen=True)
class LabelledSample:
    """Event file, skimmed file of the same events, and both in memory."""

    events: Path
    labels: Path
    batch: EventBatch
    passed: dict[str, NDArray[np.bool_]]


def write_sample(
    folder: Path, n_events: int = 300, types: tuple[str, ...] = ("mixed", "uubar", "taupair"), seed: int = 1
) -> LabelledSample:
    """Events that take turns in their type; each skim of `SKIMS` passes by its own rule, `TauGeneric` never."""
    batch = decay_trees(n_events, seed, depth=3)
    codes = np.resize([event_type_code(name) for name in types], n_events).astype(np.int8)
    batch = dataclasses.replace(batch, event_type=codes)
    energy = np.bincount(batch.event_index, batch.particles.energy_gev, n_events)
    kaons = np.bincount(batch.event_index, np.abs(batch.particles.pdg) == 321, n_events)
    rules = {"feiHadronic": batch.counts > np.median(batch.counts), "feiSL": kaons > 0, "TauGeneric": batch.counts < 0}
    passed = {name: rules.get(name, energy > np.quantile(energy, 0.6)) for name in SKIMS}
    sample = LabelledSample(folder / f"events{seed}.parquet", folder / f"labels{seed}.parquet", batch, passed)
    with EventWriter(sample.events) as writer:
        writer.write(batch)
    observables = {
        "n_particles": batch.counts,
        "energy_gev": energy,
        "feiSL_kaons": np.where(passed["feiSL"], kaons, np.nan),
    }
    columns = {"exp": batch.exp, "run": batch.run, "event": batch.event, **passed}
    numbers = {name: pa.array(values, pa.float32()) for name, values in observables.items()}
    pq.write_table(pa.table({**columns, **numbers}), sample.labels)
    return sample
