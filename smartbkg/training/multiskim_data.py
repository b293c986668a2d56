"""Events of all types with labels of many skims -> a training set on disk, its split and its numbers. No torch.

A particle takes 36 bytes on disk and none in memory, an event some 40 bytes: two million events are 3 GB of mapped
files and 100 MB. Letters: `B` events, `N` particles, `S` skims, `T` event types.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from smartbkg.bridging import BRIDGED_SPEC, build_bridged
from smartbkg.draws import uniform
from smartbkg.errors import BadEvent, TrainingError
from smartbkg.events import EVENT_TYPES, EventBatch
from smartbkg.features import Features
from smartbkg.matching import EventIndex, EventKeys, event_name
from smartbkg.pdg import PdgTable
from smartbkg.training.arrays import (
    event_batches,
    identity_of,
    mapped,
    naming_file,
    read_index,
    write_arrays,
    write_index,
)
from smartbkg.training.skim_labels import PackedLabels, SkimColumn, find_columns, read_packed_labels, unpacked

_PARTICLES: dict[str, DTypeLike] = {"x": np.float32, "token": np.int16, "mother": np.int16}
_EVENTS: dict[str, DTypeLike] = {
    "counts": np.int32,
    "event_type": np.int8,
    "weight": np.float32,
    "exp": np.int32,
    "run": np.int32,
    "event": np.int64,
    "bits": np.uint8,
}
MAX_PARTICLES = np.iinfo(np.int16).max  # seen in an event; a link to a mother beyond would wrap around on disk
_ROWS = 1 << 16  # events whose labels are unpacked at a time
N_FEATURES = len(BRIDGED_SPEC.features)


@dataclass(frozen=True)
class MultiSkimSet:
    """Features, labels and names of events; what is large is mapped from disk.

    Args:
        features: of all events.
        event_type: (B,) as in EVENT_TYPES.
        weight: (B,) how many events each stands for: 1, or more where failing ones were thinned out.
        keys: exp, run, event.
        bits: (B, K) labels of all skims in the folder, packed.
        columns: these skims.
        skims: those that are used, some or all of `columns`.
        natural: (T,) events of each type before any were left out.
        digest: of the content.
    """

    features: Features
    event_type: NDArray[np.int8]
    weight: NDArray[np.float32]
    keys: EventKeys
    bits: NDArray[np.uint8]
    columns: tuple[SkimColumn, ...]
    skims: tuple[SkimColumn, ...]
    natural: NDArray[np.int64]
    digest: str

    def __len__(self) -> int:
        return len(self.event_type)

    def passed(self, rows: NDArray[Any] | slice) -> NDArray[np.bool_]:
        """(b, S) which skims these events pass."""
        return unpacked(self.bits[rows], len(self.columns))[:, self._places]

    def passes(self, rows: NDArray[np.int64], place: int) -> NDArray[np.bool_]:
        """(b,) whether these events pass the skim at this place of `skims`."""
        byte, bit = divmod(self._places[place], 8)
        return np.asarray((self.bits[rows, byte] >> (7 - bit)) & 1, dtype=np.bool_)

    def only(self, skims: Sequence[SkimColumn]) -> MultiSkimSet:
        """The same events with some of the skims."""
        return dataclasses.replace(self, skims=tuple(skims))

    def chunks(self, rows: NDArray[np.int64] | None = None) -> Iterator[NDArray[np.int64]]:
        """Rows in portions whose labels fit in little memory."""
        rows = np.arange(len(self)) if rows is None else rows
        for first in range(0, len(rows), _ROWS):
            yield rows[first : first + _ROWS]

    def count_passing(self, rows: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """(T, S) events that pass; none of them was ever left out, so these are natural numbers."""
        total = np.zeros((len(EVENT_TYPES), len(self.skims)), dtype=np.int64)
        for part in self.chunks(rows):
            passed = self.passed(part)
            for number in np.unique(self.event_type[part]):
                total[number] += passed[self.event_type[part] == number].sum(axis=0)
        return total

    def sum_weights(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(T,) natural number of events of each type that these stand for."""
        return np.bincount(self.event_type[rows], self.weight[rows], len(EVENT_TYPES)).astype(np.float64)

    @cached_property
    def retention(self) -> NDArray[np.float64]:
        """(T, S) natural fraction that passes; 0 where there are no events."""
        return self.count_passing() / np.maximum(self.natural, 1)[:, None]

    def split(self, fraction: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows to train on and to validate with: a property of the event's name, whatever the order of files.

        Events in which no particle is seen are in neither: there is nothing that a network could learn from them.
        """
        held_out = uniform(0, *self.keys, stream="validation") < fraction
        seen = self.features.counts > 0
        return np.flatnonzero(seen & ~held_out), np.flatnonzero(seen & held_out)

    @cached_property
    def _places(self) -> list[int]:
        return [self.columns.index(skim) for skim in self.skims]


def prepare_multiskim(
    events: Sequence[Path | str],
    labels: Sequence[Path | str],
    folder: Path,
    *,
    skims: Sequence[str] = (),
    keep_failing: float = 1.0,
    progress: Callable[[int], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> MultiSkimSet:
    """Build the training set in `folder`, or open the one that is there when it is of the same files.

    Args:
        events: event files, of any types, several runs in one file if one likes.
        labels: skimmed files that label all these events.
        folder: made when it is missing.
        skims: names of those to train for; all that the label files have, if none are named.
        keep_failing: fraction that is kept of the events that pass no skim, each then with the weight 1 / fraction.
            Which ones follows from their names.
        progress: told the number of events done.
        say: told what is left out.

    Raises:
        TrainingError: an event without label or type, no event at all, or a fraction that is none.
        EventTwice: an event in two files.
        EventDataError: as the files' readers.
    """
    if not 0.0 < keep_failing <= 1.0:
        raise TrainingError(f"the fraction of failing events to keep is above 0 and at most 1, not {keep_failing}")
    columns = find_columns(labels, skims, say)
    sources = {
        "events": identity_of(events),
        "labels": identity_of(labels),
        "skims": [[column.name, column.code] for column in columns],
        "keep_failing": keep_failing,
        "features": [BRIDGED_SPEC.digest, PdgTable.smartbackground().digest],
    }
    if read_index(folder).get("sources") != sources:
        natural = np.zeros(len(EVENT_TYPES), dtype=np.int64)
        parts = _parts(event_batches(events, progress), read_packed_labels(labels, columns), keep_failing, natural)
        digest = write_arrays(folder, {**_PARTICLES, **_EVENTS}, parts, str([sources["skims"], keep_failing]))
        write_index(folder, {"sources": sources, "digest": digest, "natural": natural.tolist()})
    return open_multiskim_set(folder)


def open_multiskim_set(folder: Path) -> MultiSkimSet:
    """The training set in a folder that `prepare_multiskim` has filled.

    Raises:
        TrainingError: there are no events or no particles in it, or it is not there.
        EventTwice: an event is there twice.
    """
    index = read_index(folder)
    if not index:
        raise TrainingError(f"no training data in {folder}: prepare them first")
    events = {name: np.fromfile(folder / name, dtype=kind) for name, kind in _EVENTS.items()}
    n_events = len(events["counts"])
    if not n_events:
        raise TrainingError("the event files hold no event")
    offsets = np.concatenate([[0], np.cumsum(events["counts"], dtype=np.int64)])
    if offsets[-1] == 0:
        raise TrainingError(f"no particle is seen in any of {n_events} events: there is nothing to learn from")
    x, token, mother = (mapped(folder / name, kind) for name, kind in _PARTICLES.items())
    columns = tuple(SkimColumn(name, code) for name, code in index["sources"]["skims"])
    keys = (events["exp"], events["run"], events["event"])
    for number in np.unique(events["event_type"]):
        own = events["event_type"] == number
        EventIndex((keys[0][own], keys[1][own], keys[2][own]))  # refuses events that are there twice
    return MultiSkimSet(
        features=Features(x.reshape(-1, N_FEATURES), token, mother, offsets),
        event_type=events["event_type"],
        weight=events["weight"],
        keys=keys,
        bits=events["bits"].reshape(n_events, -1),
        columns=columns,
        skims=columns,
        natural=np.array(index["natural"], dtype=np.int64),
        digest=index["digest"],
    )


def _parts(
    batches: Iterator[tuple[Path | str, EventBatch]],
    labels: PackedLabels,
    keep_failing: float,
    natural: NDArray[np.int64],
) -> Iterator[dict[str, NDArray[Any]]]:
    """Arrays of each batch as they go to disk; `natural` (T,) is added to."""
    for path, batch in batches:
        keys = (batch.exp, batch.run, batch.event)
        _check_types(batch, keys)
        natural += np.bincount(batch.event_type, minlength=len(EVENT_TYPES))
        bits = labels.of(keys, batch.event_type)
        fails = np.asarray(~bits.any(axis=1))
        rows = np.flatnonzero(~fails | (uniform(0, *keys, stream="keep failing") < keep_failing))
        kept = batch.select(rows)
        features = naming_file(build_bridged, kept, path)
        _check_sizes(features, (kept.exp, kept.run, kept.event), path)
        yield {
            "x": features.x,
            "token": features.token,
            "mother": features.mother,
            "counts": features.counts,
            "event_type": kept.event_type,
            "weight": np.where(fails[rows], 1.0 / keep_failing, 1.0),
            "exp": kept.exp,
            "run": kept.run,
            "event": kept.event,
            "bits": bits[rows],
        }


def _check_types(batch: EventBatch, keys: EventKeys) -> None:
    missing = np.flatnonzero(batch.event_type < 0)
    if len(missing):
        raise TrainingError(
            f"{len(missing)} of {len(batch)} events have no event type, the first is {event_name(keys, missing[0])}; "
            f"the network is told the type, one of {', '.join(EVENT_TYPES)}: generate or import the events with it"
        )


def _check_sizes(features: Features, keys: EventKeys, source: Path | str) -> None:
    large = np.flatnonzero(features.counts > MAX_PARTICLES)
    if len(large):
        raise BadEvent(
            f"{source}: {event_name(keys, int(large[0]))} has {features.counts[large[0]]} particles, "
            f"at most {MAX_PARTICLES} can be trained on: leave it out"
        )
