"""Files of events: generated, reconstructed, skimmed. They carry the job's metadata and all extra info."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from smartbkg.events import EventWriter
from smartbkg.framework.output import Output
from smartbkg.framework.store import MC_PARTICLES, Store


class EventOutput(Output):
    """Writes generated events and their extra info; the file appears when the whole job has gone well.

    Args:
        output_file: path of the event file.
    """

    collections: ClassVar[tuple[str, ...]] = (MC_PARTICLES,)

    def __init__(self, output_file: Path | str) -> None:
        self.output_file = Path(output_file)

    def initialize(self) -> None:
        """Open a temporary file beside the target."""
        super().initialize()
        self._writer = self.resource(EventWriter(self.output_file))
        # The same dictionary, so that what modules add up to the end is in the file.
        self._writer.metadata = self.job.metadata

    def write(self, store: Store) -> None:
        """Append events."""
        self._writer.write(store.events)
