"""Events and their labels -> a training set on disk, its split and its balanced batches. No torch.

The features lie in memory-mapped files beside the training's output, so data may be larger than memory, and a
resumed training does not build them again. Letters: `B` events, `N` particles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartbkg.draws import block_seed, uniform
from smartbkg.errors import ColumnsMissing, TrainingError
from smartbkg.events import EventBatch, to_array
from smartbkg.features import GATGAP_SPEC, Features, FeatureSpec, build
from smartbkg.matching import NOT_FOUND, EventIndex, EventKeys, event_name, join_keys
from smartbkg.parquet import read_schema, read_tables
from smartbkg.training.arrays import (
    event_batches,
    identity_of,
    mapped,
    naming_file,
    read_index,
    write_arrays,
    write_index,
)

# x as the network reads it; tokens and mothers small, since a training set may have 10^8 particles.
_PARTICLE_FILES = {"x": np.float32, "token": np.int16, "mother": np.int32}
_EVENT_FILES = {"counts": np.int64, "passed": np.bool_, "exp": np.int32, "run": np.int32, "event": np.int64}
KEYS = {"exp": pa.int32(), "run": pa.int32(), "event": pa.int64()}


class Labels:
    """Which events pass a skim, found by (exp, run, event).

    Raises:
        EventTwice: an event with two labels.
    """

    def __init__(self, keys: EventKeys, passed: NDArray[np.bool_]) -> None:
        self.keys, self.passed = keys, passed
        self._index = EventIndex(keys, "labelled")

    def of(self, keys: EventKeys) -> NDArray[np.bool_]:
        """(B,) labels of these events.

        Raises:
            TrainingError: an event without a label.
        """
        rows = self._index.rows_of(keys)
        missing = np.flatnonzero(rows == NOT_FOUND)
        if len(missing):
            raise TrainingError(
                f"{len(missing)} of {len(rows)} events have no label, the first is {event_name(keys, missing[0])}: "
                f"label the same event files that are trained on"
            )
        return self.passed[rows]


def read_labels(paths: Iterable[Path | str], skim: str) -> Labels:
    """Labels of skimmed files.

    Raises:
        ColumnsMissing: a file without the keys or the skim's column; it names the columns that are there.
        BadEvent: numbers of an event that are none.
        EventTwice: an event with two labels.
        TrainingError: a column that is no yes or no.
    """
    keys, passed = [], []
    for path in paths:
        check_flag(path, skim)
        for table in read_tables(path, [*KEYS, skim]):
            keys.append(read_names(table, path))
            passed.append(read_flag(table, skim, path))
    if not keys:
        raise TrainingError(f"no labels for {skim}: the files are empty")
    return Labels(join_keys(keys), np.concatenate(passed))


def check_flag(path: Path | str, skim: str) -> None:
    """Refuse a file in which the column of the skim says nothing; raises as `read_labels`."""
    schema = read_schema(path)
    if skim not in schema.names:
        flags = [field.name for field in schema if pa.types.is_boolean(field.type)]
        raise ColumnsMissing(path, [skim], flags or schema.names)
    if not pa.types.is_boolean(schema.field(skim).type):
        raise TrainingError(f"the column {skim} of {path} holds {schema.field(skim).type}, not yes or no")


def read_names(table: pa.Table, source: Path | str) -> EventKeys:
    """exp, run and event (B,) of each row, in the types of the event files; BadEvent where they do not fit."""
    exp, run, event = (to_array(table[name], kind, name, source) for name, kind in KEYS.items())
    return exp, run, event


def read_flag(table: pa.Table, skim: str, source: Path | str) -> NDArray[np.bool_]:
    """(B,) whether each row passes; TrainingError where that is not said."""
    if table[skim].null_count:
        raise TrainingError(f"{table[skim].null_count} of {len(table)} events of {source} have no label for {skim}")
    return np.asarray(table[skim].to_numpy(), dtype=np.bool_)


@dataclass(frozen=True)
class TrainingSet:
    """Features, labels and names of events; arrays mapped from disk."""

    features: Features
    passed: NDArray[np.bool_]
    keys: EventKeys
    digest: str
    spec: FeatureSpec = GATGAP_SPEC

    def __len__(self) -> int:
        return len(self.passed)

    @property
    def retention(self) -> float:
        """Fraction that passes."""
        return float(self.passed.mean())

    def validation_mask(self, fraction: float) -> NDArray[np.bool_]:
        """(B,) True for validation: a property of the event's name, whatever the order or number of files."""
        return uniform(0, *self.keys, stream="validation") < fraction


def prepare(
    events: Sequence[Path | str],
    labels: Sequence[Path | str],
    skim: str,
    folder: Path,
    progress: Callable[[int], None] | None = None,
    spec: FeatureSpec = GATGAP_SPEC,
) -> TrainingSet:
    """Build the training set in `folder`, or open the one that is there when it is of the same files.

    Args:
        events: event files.
        labels: skimmed files that label all these events.
        skim: column of the labels.
        folder: made when it is missing.
        progress: told the number of events done.
        spec: what the network reads.

    Raises:
        TrainingError: an event without a label, or no event at all.
        EventTwice: an event in two files.
        EventDataError: as the files' readers.
    """
    sources = {"events": identity_of(events), "labels": identity_of(labels), "skim": skim, "spec": spec.digest}
    if read_index(folder).get("sources") != sources:
        parts = _parts(event_batches(events, progress), read_labels(labels, skim), spec)
        digest = write_arrays(folder, {**_PARTICLE_FILES, **_EVENT_FILES}, parts, spec.digest)
        write_index(folder, {"sources": sources, "digest": digest})
    opened = _open(folder, read_index(folder)["digest"], spec)
    EventIndex(opened.keys)  # refuses events that are there twice
    return opened


def balanced_batches(
    passing: NDArray[np.int64], failing: NDArray[np.int64], batch_size: int, seed: int, epoch: int
) -> list[NDArray[np.int64]]:
    """Rows of each batch of an epoch: all passing events once and as many failing ones, half and half in each batch.

    The failing ones are drawn anew each epoch; where there are fewer than passing ones they repeat.
    """
    draw = np.random.default_rng(block_seed(seed, "epoch", epoch))
    yes = draw.permutation(passing)
    rounds = -(-len(yes) // len(failing))
    no = np.concatenate([draw.permutation(failing) for _ in range(rounds)])[: len(yes)]
    half = max(batch_size // 2, 1)
    return [np.concatenate([yes[i : i + half], no[i : i + half]]) for i in range(0, len(yes), half)]


def _parts(
    batches: Iterator[tuple[Path | str, EventBatch]], labels: Labels, spec: FeatureSpec
) -> Iterator[dict[str, NDArray[Any]]]:
    """Arrays of each batch as they go to disk."""
    for path, batch in batches:
        features = naming_file(partial(build, spec=spec), batch, path)
        keys = (batch.exp, batch.run, batch.event)
        particles: dict[str, NDArray[Any]] = {"x": features.x, "token": features.token, "mother": features.mother}
        yield {
            **particles,
            "counts": features.counts,
            "passed": labels.of(keys),
            **dict(zip(KEYS, keys, strict=True)),
        }


def _open(folder: Path, digest: str, spec: FeatureSpec) -> TrainingSet:
    events: dict[str, NDArray[Any]] = {
        name: np.fromfile(folder / name, dtype=kind) for name, kind in _EVENT_FILES.items()
    }
    if not len(events["passed"]):
        raise TrainingError("the event files hold no event")
    offsets = np.concatenate([[0], np.cumsum(events["counts"])]).astype(np.int64)
    if offsets[-1] == 0:
        raise TrainingError(f"no particle in any of {len(events['passed'])} events: there is nothing to learn from")
    x, token, mother = (mapped(folder / name, kind) for name, kind in _PARTICLE_FILES.items())
    features = Features(x.reshape(int(offsets[-1]), -1), token, mother, offsets)
    return TrainingSet(features, events["passed"], (events["exp"], events["run"], events["event"]), digest, spec)
