"""Reconstructed events as arrays, and the file of reconstructed events.

Letters: `B` events. The file is Parquet, one row an event: `exp, run, event, event_type`, one list of structs for
each collection, and the columns of extra info (scores, weights) that came with the generated events.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartbkg.detector.objects import Clusters, Collection, KShorts, Pi0s, Tracks
from smartbkg.errors import BadEvent, ColumnsMissing
from smartbkg.events import KEY_COLUMNS, key_arrays, read_extra, read_keys
from smartbkg.parquet import BATCH_SIZE, BatchWriter, read_tables

COLLECTIONS: dict[str, type[Collection]] = {"tracks": Tracks, "clusters": Clusters, "k_shorts": KShorts, "pi0s": Pi0s}


@dataclass(frozen=True)
class RecoBatch:
    """Some reconstructed events: their numbers (B,), their collections, their extra info (B,)."""

    exp: NDArray[np.int32]
    run: NDArray[np.int32]
    event: NDArray[np.int64]
    event_type: NDArray[np.int8]
    tracks: Tracks
    clusters: Clusters
    k_shorts: KShorts
    pi0s: Pi0s
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.event)

    def select(self, rows: NDArray[Any]) -> RecoBatch:
        """The events at these rows: a mask (B,) or indices, in their order."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        keys: dict[str, Any] = {name: getattr(self, name)[rows] for name in KEY_COLUMNS}
        parts: dict[str, Any] = {name: getattr(self, name).select_events(rows) for name in COLLECTIONS}
        return RecoBatch(**keys, **parts, extra={name: column[rows] for name, column in self.extra.items()})

    def __getitem__(self, rows: slice) -> RecoBatch:
        return self.select(np.arange(len(self))[rows])

    def with_extra(self, **columns: NDArray[Any]) -> RecoBatch:
        """The same events with further extra-info columns (B,); a column of the same name is replaced."""
        for name, column in columns.items():
            if len(column) != len(self):
                raise BadEvent(f"extra info {name!r} has {len(column)} values for {len(self)} events")
        own = {f.name: getattr(self, f.name) for f in fields(self)}
        return RecoBatch(**{**own, "extra": {**self.extra, **columns}})

    @classmethod
    def concat(cls, batches: Iterable[RecoBatch]) -> RecoBatch:
        """One batch of all events, in order. Extra columns must be the same in all."""
        batches = list(batches)
        if not batches:
            return cls.from_table(empty_reco_table())
        if any(set(b.extra) != set(batches[0].extra) for b in batches):
            raise BadEvent(f"batches with different extra info: {sorted({tuple(sorted(b.extra)) for b in batches})}")
        keys: dict[str, Any] = {name: np.concatenate([getattr(b, name) for b in batches]) for name in KEY_COLUMNS}
        parts: dict[str, Any] = {n: kind.concat([getattr(b, n) for b in batches]) for n, kind in COLLECTIONS.items()}
        extra = {name: np.concatenate([b.extra[name] for b in batches]) for name in batches[0].extra}
        return cls(**keys, **parts, extra=extra)

    def to_table(self) -> pa.Table:
        """Rows of the file."""
        return pa.table(
            {
                **key_arrays(self.exp, self.run, self.event, self.event_type),
                **{name: getattr(self, name).to_arrow() for name in COLLECTIONS},
                **{name: pa.array(column) for name, column in self.extra.items()},
            }
        )

    @classmethod
    def from_table(cls, table: pa.Table, source: Path | str = "the table") -> RecoBatch:
        """Events of rows of a file of reconstructed events.

        Raises:
            ColumnsMissing: a key, a collection or a column of one is not there.
            BadEvent: missing values.
        """
        missing = {*KEY_COLUMNS, *COLLECTIONS} - set(table.column_names)
        if missing:
            raise ColumnsMissing(source, missing, table.column_names)
        keys: dict[str, Any] = read_keys(table, source)
        parts: dict[str, Any] = {name: kind.from_arrow(table, name, source) for name, kind in COLLECTIONS.items()}
        return cls(**keys, **parts, extra=read_extra(table, {*KEY_COLUMNS, *COLLECTIONS}, source))


class RecoWriter(BatchWriter):
    """Writes batches to a file of reconstructed events that takes its name only when it is complete."""

    def __init__(self, path: Path | str, metadata: dict[str, Any] | None = None) -> None:
        super().__init__(path, empty_reco_table().schema, metadata)


def read_reco_batches(path: Path | str, batch_size: int = BATCH_SIZE) -> Iterator[RecoBatch]:
    """Batches of a file of reconstructed events, streaming.

    Raises:
        FileNotFoundError, NotAnEventFile, ColumnsMissing, BadEvent.
    """
    for table in read_tables(path, batch_size=batch_size):
        yield RecoBatch.from_table(table, path)


def read_reco(path: Path | str) -> RecoBatch:
    """All events of the file."""
    return RecoBatch.concat(read_reco_batches(path))


def empty_reco_table() -> pa.Table:
    """The columns, no rows."""
    none = np.empty(0, np.int64)
    columns = {name: pa.array([], kind.arrow_type()) for name, kind in COLLECTIONS.items()}
    return pa.table({**key_arrays(none, none, none, none), **columns})
