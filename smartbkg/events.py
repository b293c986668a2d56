"""Generated events as arrays, and the event file.

Units: GeV, cm, ns; laboratory frame. Letters: `B` events, `N` particles of all events together.

The event file is Parquet, one row an event: `exp, run, event, event_type`, the list of generated particles, and
one column for each extra info (scores, weights). Mother indices count inside the event; -1 means none.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import IntFlag
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartbkg.errors import BadEvent, ColumnsMissing, UnknownName
from smartbkg.parquet import BATCH_SIZE, BatchWriter, read_metadata, read_schema, read_tables

__all__ = [
    "EVENT_TYPES",
    "EventBatch",
    "EventWriter",
    "MCParticles",
    "MCStatus",
    "event_type_code",
    "read_batches",
    "read_events",
    "read_metadata",
]

EVENT_TYPES = ("ccbar", "charged", "ddbar", "mixed", "ssbar", "taupair", "uubar")
UNKNOWN_TYPE = -1
KEY_COLUMNS = ("exp", "run", "event", "event_type")


class MCStatus(IntFlag):
    """Bits of a generated particle's status word."""

    PRIMARY = 1
    STABLE = 2
    VIRTUAL = 16
    INITIAL = 32
    ISR_PHOTON = 64
    FSR_PHOTON = 128


@dataclass(frozen=True)
class MCParticles:
    """Generated particles of many events, one flat array (N,) a quantity; float32 as in the file."""

    pdg: NDArray[np.int64]
    mother: NDArray[np.int32]
    status: NDArray[np.int32]
    mass_gev: NDArray[np.float32]
    charge: NDArray[np.float32]
    energy_gev: NDArray[np.float32]
    px_gev: NDArray[np.float32]
    py_gev: NDArray[np.float32]
    pz_gev: NDArray[np.float32]
    x_cm: NDArray[np.float32]
    y_cm: NDArray[np.float32]
    z_cm: NDArray[np.float32]
    time_ns: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.pdg)

    def take(self, rows: NDArray[Any] | slice) -> MCParticles:
        """The particles at these rows (indices, mask or slice); mother indices stay as they are."""
        return MCParticles(*(getattr(self, f.name)[rows] for f in fields(self)))


# Column in the file's struct -> (field of MCParticles, Arrow type), in the order of the users' own files.
PARTICLE_COLUMNS: dict[str, tuple[str, pa.DataType]] = {
    "mass": ("mass_gev", pa.float32()),
    "charge": ("charge", pa.float32()),
    "energy": ("energy_gev", pa.float32()),
    "prodTime": ("time_ns", pa.float32()),
    "x": ("x_cm", pa.float32()),
    "y": ("y_cm", pa.float32()),
    "z": ("z_cm", pa.float32()),
    "px": ("px_gev", pa.float32()),
    "py": ("py_gev", pa.float32()),
    "pz": ("pz_gev", pa.float32()),
    "PDG": ("pdg", pa.int64()),
    "motherIndex": ("mother", pa.int32()),
    "status": ("status", pa.int32()),
}
PARTICLE_TYPE = pa.struct([("arrayIndex", pa.int32()), *((name, kind) for name, (_, kind) in PARTICLE_COLUMNS.items())])
KEY_FIELDS = [
    pa.field("exp", pa.int32()),
    pa.field("run", pa.int32()),
    pa.field("event", pa.int64()),
    pa.field("event_type", pa.dictionary(pa.int8(), pa.string())),
]


def event_type_code(name: str) -> int:
    """Position of an event type in EVENT_TYPES.

    Raises:
        UnknownName: with what is near.
    """
    if name not in EVENT_TYPES:
        raise UnknownName("event type", name, EVENT_TYPES)
    return EVENT_TYPES.index(name)


@dataclass(frozen=True)
class EventBatch:
    """Some events: their numbers (B,), their particles (N,) and where each event's particles begin (B+1,)."""

    exp: NDArray[np.int32]
    run: NDArray[np.int32]
    event: NDArray[np.int64]
    event_type: NDArray[np.int8]
    offsets: NDArray[np.int64]
    particles: MCParticles
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.event)

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(B,) particles of each event."""
        return np.diff(self.offsets)

    @cached_property
    def event_index(self) -> NDArray[np.int64]:
        """(N,) position in the batch of each particle's event."""
        return np.repeat(np.arange(len(self)), self.counts)

    def select(self, rows: NDArray[Any]) -> EventBatch:
        """The events at these rows: a mask (B,) or indices, in their order."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        flat, offsets = take_ragged(self.offsets, rows)
        return EventBatch(
            exp=self.exp[rows],
            run=self.run[rows],
            event=self.event[rows],
            event_type=self.event_type[rows],
            offsets=offsets,
            particles=self.particles.take(flat),
            extra={name: column[rows] for name, column in self.extra.items()},
        )

    def __getitem__(self, rows: slice) -> EventBatch:
        return self.select(np.arange(len(self))[rows])

    def with_extra(self, **columns: NDArray[Any]) -> EventBatch:
        """The same events with further extra-info columns (B,); a column of the same name is replaced."""
        for name, column in columns.items():
            if len(column) != len(self):
                raise BadEvent(f"extra info {name!r} has {len(column)} values for {len(self)} events")
        return EventBatch(**{**self._own_fields(), "extra": {**self.extra, **columns}})

    def _own_fields(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def concat(cls, batches: Iterable[EventBatch]) -> EventBatch:
        """One batch of all events, in order. Extra columns must be the same in all."""
        batches = list(batches)
        if not batches:
            return cls.empty()
        if any(set(b.extra) != set(batches[0].extra) for b in batches):
            raise BadEvent(f"batches with different extra info: {sorted({tuple(sorted(b.extra)) for b in batches})}")
        return cls(
            **{name: np.concatenate([getattr(b, name) for b in batches]) for name in KEY_COLUMNS},
            offsets=np.concatenate([[0], np.cumsum(np.concatenate([b.counts for b in batches]))]).astype(np.int64),
            particles=MCParticles(
                *(np.concatenate([getattr(b.particles, f.name) for b in batches]) for f in fields(MCParticles))
            ),
            extra={name: np.concatenate([b.extra[name] for b in batches]) for name in batches[0].extra},
        )

    @classmethod
    def empty(cls) -> EventBatch:
        """No events at all."""
        return cls.from_table(empty_table())

    def to_table(self) -> pa.Table:
        """Rows of the event file."""
        columns = {name: getattr(self.particles, attribute) for name, (attribute, _) in PARTICLE_COLUMNS.items()}
        index = np.arange(len(self.particles)) - np.repeat(self.offsets[:-1] - self.offsets[0], self.counts)
        arrays = [pa.array(index, pa.int32()), *(pa.array(columns[n], k) for n, (_, k) in PARTICLE_COLUMNS.items())]
        structs = pa.StructArray.from_arrays(arrays, fields=list(PARTICLE_TYPE))
        offsets = pa.array(self.offsets - self.offsets[0], pa.int32())
        return pa.table(
            {
                **key_arrays(self.exp, self.run, self.event, self.event_type),
                "particles": pa.ListArray.from_arrays(offsets, structs),
                **{name: pa.array(column) for name, column in self.extra.items()},
            }
        )

    @classmethod
    def from_table(cls, table: pa.Table, source: Path | str = "the table") -> EventBatch:
        """Events of rows of an event file.

        Raises:
            ColumnsMissing: a key or particle column is not there.
            BadEvent: missing values, or a mother index outside its event.
        """
        _check_columns(table.schema, source)
        keys = read_keys(table, source)
        offsets, structs = ragged_column(table, "particles", source)
        particles = MCParticles(
            **{
                attribute: to_array(structs.field(name), kind, f"particles.{name}", source)
                for name, (attribute, kind) in PARTICLE_COLUMNS.items()
            }
        )
        extra = read_extra(table, {*KEY_COLUMNS, "particles"}, source)
        batch = cls(**keys, offsets=offsets, particles=particles, extra=extra)
        _check_mothers(batch, source)
        return batch


class EventWriter(BatchWriter):
    """Writes batches to an event file that takes its name only when it is complete."""

    def __init__(
        self,
        path: Path | str,
        metadata: dict[str, Any] | None = None,
        *,
        extra: Mapping[str, pa.DataType] | None = None,
    ) -> None:
        """Name the extra-info columns in `extra`, or leave it out and the first batch decides."""
        schema = empty_table().schema
        for name, kind in (extra or {}).items():
            schema = schema.append(pa.field(name, kind))
        super().__init__(path, schema, metadata, decided=extra is not None)


def read_batches(path: Path | str, batch_size: int = BATCH_SIZE) -> Iterator[EventBatch]:
    """Batches of an event file, streaming: memory does not grow with the file.

    Raises:
        FileNotFoundError, NotAnEventFile, ColumnsMissing, BadEvent.
    """
    _check_columns(read_schema(path), path)
    for table in read_tables(path, batch_size=batch_size):
        yield EventBatch.from_table(table, path)


def read_events(path: Path | str) -> EventBatch:
    """All events of a file at once."""
    batches = list(read_batches(path))
    if batches:
        return EventBatch.concat(batches)
    return EventBatch.from_table(read_schema(path).empty_table(), path)


def empty_table() -> pa.Table:
    """An event file's table without rows and extra info."""
    return pa.schema([*KEY_FIELDS, pa.field("particles", pa.list_(PARTICLE_TYPE))]).empty_table()


def key_arrays(
    exp: NDArray[Any], run: NDArray[Any], event: NDArray[Any], event_type: NDArray[Any]
) -> dict[str, pa.Array]:
    """The columns that name an event, as every file of this package begins."""
    codes = pa.array(event_type, pa.int8(), mask=np.asarray(event_type) < 0)
    return {
        "exp": pa.array(exp, pa.int32()),
        "run": pa.array(run, pa.int32()),
        "event": pa.array(event, pa.int64()),
        "event_type": pa.DictionaryArray.from_arrays(codes, pa.array(EVENT_TYPES)),
    }


def read_keys(table: pa.Table, source: Path | str) -> dict[str, NDArray[Any]]:
    """exp, run, event and the event type's code of each row; the reverse of `key_arrays`."""
    missing = set(KEY_COLUMNS) - set(table.column_names)
    if missing:
        raise ColumnsMissing(source, missing, table.column_names)
    try:
        names = table["event_type"].cast(pa.string()).combine_chunks()
        codes = names.dictionary_encode()
        found = codes.dictionary.to_pylist()
        lookup = np.array([UNKNOWN_TYPE if n is None else event_type_code(n) for n in found] or [0], dtype=np.int8)
    except (pa.ArrowException, UnknownName) as error:
        raise BadEvent(f"{source}: event_type: {error}") from error
    indices = codes.indices.fill_null(0).to_numpy(zero_copy_only=False)
    types = np.where(names.is_null().to_numpy(zero_copy_only=False), UNKNOWN_TYPE, lookup[indices]).astype(np.int8)
    return {
        "exp": to_array(table["exp"], pa.int32(), "exp", source),
        "run": to_array(table["run"], pa.int32(), "run", source),
        "event": to_array(table["event"], pa.int64(), "event", source),
        "event_type": types,
    }


def read_extra(table: pa.Table, own: Collection[str], source: Path | str) -> dict[str, NDArray[Any]]:
    """Extra info (B,): the columns that are not the file's own. A missing float is NaN; a missing integer is none."""
    extra = {}
    for name in table.column_names:
        if name not in own:
            column = table[name].combine_chunks()
            if column.null_count and pa.types.is_integer(column.type):
                raise BadEvent(f"{source}: {column.null_count} values of {name} are missing")
            extra[name] = column.to_numpy(zero_copy_only=False)
    return extra


def ragged_column(table: pa.Table, name: str, source: Path | str) -> tuple[NDArray[np.int64], pa.StructArray]:
    """Offsets (B+1,) from 0, and the flat structs (N,), of a list-of-structs column.

    Raises:
        BadEvent: a row has no list at all.
    """
    column = table[name].combine_chunks()
    column = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    if column.null_count:
        raise BadEvent(f"{source}: {column.null_count} events have no {name} (null); an empty list means none")
    offsets = column.offsets.to_numpy().astype(np.int64)
    return offsets - offsets[0], column.values.slice(offsets[0], offsets[-1] - offsets[0])


def take_ragged(offsets: NDArray[np.int64], rows: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat positions of the rows' items, and the new offsets.

    >>> take_ragged(np.array([0, 2, 2, 5]), np.array([2, 0]))[0].tolist()
    [2, 3, 4, 0, 1]
    """
    counts = np.diff(offsets)[rows]
    new = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    return np.arange(new[-1]) + np.repeat(offsets[:-1][rows] - new[:-1], counts), new


def _check_columns(schema: pa.Schema, source: Path | str) -> None:
    missing = {*KEY_COLUMNS, "particles"} - set(schema.names)
    if missing:
        raise ColumnsMissing(source, missing, schema.names)
    kind = schema.field("particles").type
    if not pa.types.is_list(kind) or not pa.types.is_struct(kind.value_type):
        raise BadEvent(f"{source}: the column particles is {kind}, not a list of structs")
    missing = {name for name in PARTICLE_COLUMNS if kind.value_type.get_field_index(name) < 0}
    if missing:
        found = [kind.value_type.field(i).name for i in range(kind.value_type.num_fields)]
        raise ColumnsMissing(f"{source} (particles)", missing, found)


def to_array(column: Any, kind: pa.DataType, name: str, source: Path | str) -> NDArray[Any]:
    """One column in its own type; BadEvent names it when values are missing or do not fit."""
    if column.null_count:
        raise BadEvent(f"{source}: {column.null_count} values of {name} are missing")
    try:
        column = column.cast(kind)
    except pa.ArrowException as error:
        raise BadEvent(f"{source}: {name} does not fit {kind}: {error}") from error
    array: NDArray[Any] = column.to_numpy() if isinstance(column, pa.ChunkedArray) else column.to_numpy(False)
    return array


def _check_mothers(batch: EventBatch, source: Path | str) -> None:
    mother, counts = batch.particles.mother, np.repeat(batch.counts, batch.counts)
    wrong = (mother < -1) | (mother >= counts)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        place = int(batch.event_index[first])
        raise BadEvent(
            f"{source}: event {batch.event[place]} of run {batch.exp[place]},{batch.run[place]} has a mother index "
            f"{mother[first]} among {counts[first]} particles"
        )
