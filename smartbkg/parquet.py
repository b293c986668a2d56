"""Parquet files that appear whole or not at all, and are read in batches of bounded memory.

Every file of this package is written beside its target under a temporary name and renamed when it is complete,
so an error, Ctrl-C or kill -9 never leaves half a file under the name that was asked for. What is not content
(times, versions, commands) lies as JSON in the schema's metadata.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import pyarrow as pa
import pyarrow.parquet as pq

from smartbkg.atomic import appearing
from smartbkg.errors import BadEvent, ColumnsMissing, NotAnEventFile

METADATA_KEY = b"smartbkg"
# 4096 events of some 1.6 kB each: 7 MB a row group, small beside any job's memory.
BATCH_SIZE = 4096


class TableWriter:
    """Writes tables of one schema to a Parquet file that takes its name only when it is complete.

    Use as a context manager. `metadata` may be changed until the end.
    """

    def __init__(self, path: Path | str, schema: pa.Schema, metadata: dict[str, Any] | None = None) -> None:
        self.path = Path(path)
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.schema = schema.remove_metadata()
        self._appearing = ExitStack()
        self._temporary: Path | None = None
        self._writer: pq.ParquetWriter | None = None
        self._pending: pa.Table | None = None
        self._finished = False

    def __enter__(self) -> Self:
        self._temporary = self._appearing.enter_context(appearing(self.path))
        return self

    def set_schema(self, schema: pa.Schema) -> None:
        """Decide the columns; possible until the first row is written."""
        if self._writer is not None:
            raise ValueError("rows are written already")
        self.schema = schema.remove_metadata()

    def write_table(self, table: pa.Table) -> None:
        """Append rows. Row groups have BATCH_SIZE rows, however many come at once.

        Raises:
            BadEvent: a column is of another kind than that of the rows before.
        """
        self._opened()
        try:
            table = table.cast(self.schema)
        except pa.ArrowException as error:
            raise BadEvent(f"{self.path}: rows of other kinds than those before: {error}") from error
        self._pending = pa.concat_tables([self._pending, table] if self._pending else [table])
        whole = len(self._pending) // BATCH_SIZE * BATCH_SIZE
        if whole:
            with _naming(self.path):
                self._opened().write_table(self._pending[:whole], row_group_size=BATCH_SIZE)
            self._pending = self._pending[whole:]

    def finish(self) -> None:
        """Write all that is left to write; the file still has no name. The end of the block does this, too."""
        if self._finished:
            return
        with _naming(self.path):
            writer = self._opened()
            if self._pending:
                writer.write_table(self._pending)
            writer.add_key_value_metadata({METADATA_KEY.decode(): json.dumps(self.metadata, sort_keys=True)})
            writer.close()
        self._writer, self._finished = None, True

    def _opened(self) -> pq.ParquetWriter:
        if self._temporary is None or self._finished:
            raise ValueError("the writer is not open: use it in a `with` statement")
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._temporary, self.schema, compression="zstd")
        return self._writer

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._appearing as file:
            # Whatever goes wrong from here on, the temporary file goes away and the target stays as it was.
            file.callback(self._forget)
            if error is not None:
                raise error
            self.finish()

    def _forget(self) -> None:
        if self._writer is not None:
            # The rows are given up already; a disk that is full must not hide the error that led here.
            with suppress(OSError):
                self._writer.close()
        self._writer = self._temporary = self._pending = None


class Tabular(Protocol):
    """A batch of events that knows its rows in a file."""

    def to_table(self) -> pa.Table:
        """The rows."""


class BatchWriter(TableWriter):
    """Writes batches of one kind; unless `decided`, the first one adds the extra-info columns to the schema."""

    def __init__(
        self, path: Path | str, schema: pa.Schema, metadata: dict[str, Any] | None, *, decided: bool = False
    ) -> None:
        super().__init__(path, schema, metadata)
        self._decided = decided

    def write(self, batch: Tabular) -> None:
        """Append events.

        Raises:
            BadEvent: other columns than those of the file.
        """
        table = batch.to_table()
        if not self._decided:
            self.set_schema(table.schema)
            self._decided = True
        if table.column_names != self.schema.names:
            raise BadEvent(f"a batch with columns {table.column_names} for a file with {self.schema.names}")
        self.write_table(table)


def read_tables(
    path: Path | str, columns: Sequence[str] | None = None, batch_size: int = BATCH_SIZE
) -> Iterator[pa.Table]:
    """Tables of at most `batch_size` rows, in file order.

    Args:
        path: a Parquet file.
        columns: only these (and all must be there); None for all.
        batch_size: rows.

    Raises:
        FileNotFoundError, NotAnEventFile, ColumnsMissing.
    """
    path = Path(path)
    with _opened(path) as file:
        names = file.schema_arrow.names
        missing = set(columns or ()) - set(names)
        if missing:
            raise ColumnsMissing(path, missing, names)
        try:
            # One thread: a batch job has one core, and two beside another busy process collapse.
            for batch in file.iter_batches(
                batch_size, columns=None if columns is None else [*columns], use_threads=False
            ):
                yield pa.Table.from_batches([batch])
        except (pa.ArrowException, OSError) as error:
            raise NotAnEventFile(path, str(error)) from error


def read_schema(path: Path | str) -> pa.Schema:
    """The file's columns, without reading any row."""
    with _opened(Path(path)) as file:
        return file.schema_arrow


def count_rows(path: Path | str) -> int:
    """Rows of the file, from its footer."""
    with _opened(Path(path)) as file:
        return int(file.metadata.num_rows)


def merge_metadata(found: Sequence[tuple[dict[str, Any], int]]) -> dict[str, Any]:
    """Metadata for a file made of several: what they agree on, all their steps, and their mean times.

    Args:
        found: metadata and number of rows of each.
    """
    first = found[0][0]
    merged = {name: value for name, value in first.items() if all(other.get(name) == value for other, _ in found)}
    steps = [step for metadata, _ in found for step in metadata.get("provenance", [])]
    merged["provenance"] = [step for place, step in enumerate(steps) if step not in steps[:place]]
    times = [metadata.get("times_ms", {}) for metadata, _ in found]
    rows = [max(count, 1) for _, count in found]
    known = [name for name in times[0] if all(name in other for other in times)]
    merged["times_ms"] = {
        name: sum(own[name] * count for own, count in zip(times, rows, strict=True)) / sum(rows) for name in known
    }
    return merged


def read_metadata(path: Path | str) -> dict[str, Any]:
    """The JSON metadata of a file written here; empty for a Parquet file from elsewhere."""
    with _opened(Path(path)) as file:
        raw = (file.metadata.metadata or {}).get(METADATA_KEY)
    if raw is None:
        return {}
    try:
        metadata = json.loads(raw)
    except ValueError as error:
        raise NotAnEventFile(Path(path), f"its metadata is no JSON: {error}") from error
    if not isinstance(metadata, dict):
        raise NotAnEventFile(Path(path), "its metadata is no JSON object")
    return metadata


def _opened(path: Path) -> pq.ParquetFile:
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    try:
        # Buffering ahead would hold the whole file in memory in the end.
        return pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise NotAnEventFile(path, str(error)) from error


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Name the file in an error of the disk: Arrow's own errors do not."""
    try:
        yield
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
