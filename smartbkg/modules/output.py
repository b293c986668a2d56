"""Files of events: generated, reconstructed, skimmed. They carry the job's metadata and all extra info."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import ClassVar, TypeVar

import pyarrow as pa

from smartbkg.detector import RecoBatch, RecoWriter
from smartbkg.events import EventWriter, key_arrays
from smartbkg.framework.job import Job
from smartbkg.framework.output import Output
from smartbkg.framework.store import MC_PARTICLES, RECO, Store
from smartbkg.modules.skim import PASSES, SKIMMED, check_same_columns
from smartbkg.parquet import TableWriter

Writer = TypeVar("Writer", bound=TableWriter)


class EventOutput(Output):
    """Writes generated events and their extra info."""

    collections: ClassVar[tuple[str, ...]] = (MC_PARTICLES,)

    def initialize(self) -> None:
        """Open a temporary file beside the target."""
        super().initialize()
        self._writer = self.resource(_carrying(EventWriter(self.output_file), self.job, "events"))

    def write(self, store: Store) -> None:
        """Append events."""
        self._writer.write(store.events)


class RecoOutput(Output):
    """Writes reconstructed events and their extra info."""

    collections: ClassVar[tuple[str, ...]] = (RECO,)

    def initialize(self) -> None:
        """Open a temporary file beside the target."""
        super().initialize()
        self._writer = self.resource(_carrying(RecoWriter(self.output_file), self.job, "reco"))

    def write(self, store: Store) -> None:
        """Append events."""
        reco: RecoBatch = store[RECO]
        self._writer.write(replace(reco, extra=store.extra))


class SkimOutput(Output):
    """Writes one row an event, as `smartbkg skim` does: a column a skim, its variables, observables, extra info."""

    collections: ClassVar[tuple[str, ...]] = (SKIMMED,)

    def initialize(self) -> None:
        """Open a temporary file beside the target; the first events decide its columns."""
        super().initialize()
        self._writer = self.resource(_carrying(TableWriter(self.output_file, pa.schema([])), self.job, "skimmed"))
        self._decided = False

    def write(self, store: Store) -> None:
        """Append rows. What a skim says is in its own column, not in a second one of the extra info."""
        extra = {name: column for name, column in store.extra.items() if not name.startswith(PASSES)}
        keys = key_arrays(store.exp, store.run, store.event, store.event_type)
        table = pa.table({**keys, **{n: pa.array(c) for n, c in {**store[SKIMMED].columns, **extra}.items()}})
        if not self._decided:
            self._writer.set_schema(table.schema)
            self._decided = True
        check_same_columns(self._writer.schema.names, table.column_names)
        self._writer.write_table(table)


@contextmanager
def _carrying(writer: Writer, job: Job, kind: str) -> Iterator[Writer]:
    """A writer that takes the job's metadata at the very end, when every module has added its own."""
    with writer:
        yield writer
        writer.metadata |= {**job.metadata, "kind": kind}
