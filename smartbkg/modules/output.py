"""Files of events: generated, reconstructed, skimmed. They carry the job's metadata and all extra info."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pyarrow as pa

from smartbkg.detector import RecoBatch, RecoWriter
from smartbkg.events import EventWriter, key_arrays
from smartbkg.framework.output import Output
from smartbkg.framework.store import MC_PARTICLES, RECO, Store
from smartbkg.modules.skim import PASSES, SKIMMED, check_same_columns
from smartbkg.parquet import TableWriter


class _ParquetOutput(Output):
    """An output with a Parquet file, which carries the job's metadata."""

    kind: ClassVar[str]
    _writer: TableWriter

    def finish(self) -> None:
        """Write the rest, and what every module has added to the metadata."""
        self._writer.metadata |= {**self.job.metadata, "kind": self.kind}
        self._writer.finish()


class EventOutput(_ParquetOutput):
    """Writes generated events and their extra info."""

    kind = "events"
    _writer: EventWriter

    collections: ClassVar[tuple[str, ...]] = (MC_PARTICLES,)

    def initialize(self) -> None:
        """Open a temporary file beside the target."""
        super().initialize()
        self._writer = self.resource(EventWriter(self.output_file))

    def write(self, store: Store) -> None:
        """Append events."""
        self._writer.write(store.events)


class RecoOutput(_ParquetOutput):
    """Writes reconstructed events and their extra info."""

    kind = "reco"
    _writer: RecoWriter

    collections: ClassVar[tuple[str, ...]] = (RECO,)

    def initialize(self) -> None:
        """Open a temporary file beside the target."""
        super().initialize()
        self._writer = self.resource(RecoWriter(self.output_file))

    def write(self, store: Store) -> None:
        """Append events."""
        reco: RecoBatch = store[RECO]
        self._writer.write(replace(reco, extra=store.extra))


class SkimOutput(_ParquetOutput):
    """Writes one row an event, as `smartbkg skim` does: a column a skim, its variables, observables, extra info."""

    kind = "skimmed"

    collections: ClassVar[tuple[str, ...]] = (SKIMMED,)

    def initialize(self) -> None:
        """Open a temporary file beside the target; the first events decide its columns."""
        super().initialize()
        self._writer = self.resource(TableWriter(self.output_file, pa.schema([])))
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
