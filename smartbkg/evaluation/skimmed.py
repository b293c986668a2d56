"""Skimmed files: which events pass which skims, and the observables of those that pass any, on disk.

Letters: `L` rows of the files, `V` rows that pass at least one of the skims, `S` skims.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartbkg.errors import BadEvent, ColumnsMissing, TrainingError
from smartbkg.evaluation.spool import Spool
from smartbkg.matching import EventKeys, join_keys
from smartbkg.parquet import read_schema, read_tables
from smartbkg.training.data import KEYS, read_flag, read_names

Mask = NDArray[np.bool_]
# Extra info that filters leave: what they did, not what an event is.
_OF_FILTERS = ("NN_prediction", "SmartBKG_Prediction_", "weight")


@dataclass(frozen=True)
class Skimmed:
    """Rows of skimmed files.

    Args:
        skims: that were asked for.
        keys: (L,) exp, run and event of each row.
        observables: of all files, by name the skim they belong to, None for those of the whole event.
    """

    skims: tuple[str, ...]
    keys: EventKeys
    observables: dict[str, str | None]
    _flags: NDArray[np.uint8]  # (L, ceil(S/8)), one bit a skim
    _place: NDArray[np.int64]  # (L,) where a row is among the V
    _spool: Spool

    def passed(self, skim: str) -> Mask:
        """(L,) which rows pass."""
        byte, bit = divmod(self.skims.index(skim), 8)
        return np.asarray((self._flags[:, byte] & np.uint8(128 >> bit)) != 0)

    def values(self, skim: str, rows: NDArray[np.int64]) -> Iterator[tuple[str, NDArray[Any]]]:
        """Name and (rows,) values of each observable of events that pass a skim.

        Args:
            skim: the variables of other skims are left out.
            rows: among L, all of which pass it.
        """
        place = self._place[rows]
        for name, owner in self.observables.items():
            if owner in (None, skim):
                yield name, self._spool.column(name)[place]

    def column(self, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """(rows,) values of a column that was asked for, in rows that pass."""
        return np.asarray(self._spool.column(name)[self._place[rows]])


def read_skimmed(paths: Sequence[Path], skims: Sequence[str], spool: Spool, needed: Sequence[str] = ()) -> Skimmed:
    """Read what is there to know of all events, and the observables of passing ones into a spool of their own.

    Args:
        paths: skimmed files; columns of floats that all of them have are observables.
        skims: columns that say which events pass.
        spool: for the observables.
        needed: more columns of numbers, such as weights.

    Raises:
        ColumnsMissing: a file without the keys, a skim's column or a needed one.
        BadEvent: a needed column that holds no numbers, or numbers of an event that are none.
        TrainingError: a skim's column that is no yes or no, or no row at all.
    """
    schemas = {path: read_schema(path) for path in paths}
    for path, schema in schemas.items():
        _check_columns(path, schema, skims, needed)
    observables = _observables(list(schemas.values()))
    columns = [*observables, *(name for name in needed if name not in observables)]
    spool.declare(columns, np.float64)
    names: list[EventKeys] = []
    flags: list[NDArray[np.uint8]] = []
    for path in paths:
        for table in read_tables(path, [*KEYS, *skims, *columns]):
            passed = np.stack([read_flag(table, skim, path) for skim in skims], axis=1)  # (rows, S)
            names.append(read_names(table, path))
            flags.append(np.packbits(passed, axis=1))
            of_use = passed.any(axis=1)
            spool.append({name: table[name].cast(pa.float64()).to_numpy()[of_use] for name in columns})
    if not names:
        raise TrainingError(f"no labels for {', '.join(skims)}: the files are empty")
    packed = np.concatenate(flags)
    return Skimmed(tuple(skims), join_keys(names), observables, packed, np.cumsum(packed.any(axis=1)) - 1, spool)


def flags_of(paths: Sequence[Path]) -> tuple[str, ...]:
    """Columns of yes and no that all files have: their skims, in the order of the first."""
    schemas = [read_schema(path) for path in paths]
    return tuple(
        field.name
        for field in schemas[0]
        if all(field.name in s.names and pa.types.is_boolean(s.field(field.name).type) for s in schemas)
    )


def _observables(schemas: Sequence[pa.Schema]) -> dict[str, str | None]:
    """Columns of floats that all files have, and whose they are."""
    skims = [field.name for field in schemas[0] if pa.types.is_boolean(field.type)]
    found: dict[str, str | None] = {}
    for field in schemas[0]:
        usable = all(field.name in s.names and pa.types.is_floating(s.field(field.name).type) for s in schemas)
        if usable and not field.name.startswith(_OF_FILTERS):
            owners = [skim for skim in skims if field.name.startswith(f"{skim}_")]
            found[field.name] = max(owners, key=len, default=None)
    return found


def _check_columns(path: Path, schema: pa.Schema, skims: Sequence[str], needed: Sequence[str]) -> None:
    """Refuse a file that lacks something, or has columns of another kind."""
    flags = [field.name for field in schema if pa.types.is_boolean(field.type)]
    missing = set(skims) - set(schema.names)
    if missing:
        raise ColumnsMissing(path, missing, flags or schema.names)
    other = [skim for skim in skims if skim not in flags]
    if other:
        raise TrainingError(f"the column {other[0]} of {path} holds {schema.field(other[0]).type}, not yes or no")
    missing = {*KEYS, *needed} - set(schema.names)
    if missing:
        raise ColumnsMissing(path, missing, schema.names)
    for name in needed:
        kind = schema.field(name).type
        if not pa.types.is_floating(kind) and not pa.types.is_integer(kind):
            raise BadEvent(f"{path}: {name} is {kind}, not numbers")
