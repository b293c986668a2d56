"""Events from files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable
from pathlib import Path

from smartbkg.errors import FrameworkError
from smartbkg.events import EventBatch, read_batches
from smartbkg.framework.module import Source
from smartbkg.framework.store import Store
from smartbkg.parquet import BATCH_SIZE, count_rows, merge_metadata, read_metadata, read_schema


class EventInput(Source):
    """Reads event files one after the other; what their metadata say is carried to the outputs.

    Args:
        input_files: a path or several.
    """

    def __init__(self, input_files: Path | str | Iterable[Path | str]) -> None:
        files = [input_files] if isinstance(input_files, Path | str) else input_files
        self.input_files = [Path(file) for file in files]
        if not self.input_files:
            raise FrameworkError("EventInput needs at least one file")
        twice = [path for path, count in Counter(path.resolve() for path in self.input_files).items() if count > 1]
        if twice:
            raise FrameworkError(f"{twice[0]} is given twice: its events would count double")

    def initialize(self) -> None:
        """Read the metadata; a missing file is found before the first event."""
        found = [(read_metadata(path), count_rows(path)) for path in self.input_files]
        self.job.metadata.update(merge_metadata(found))

    def stores(self) -> Generator[Store]:
        """Batches of all files, and their columns when there is no event at all."""
        n_events = 0
        for path in self.input_files:
            # Reading has a price a call: read many events, and hand out few when few are asked for.
            for batch in read_batches(path, max(self.job.batch_size, BATCH_SIZE)):
                n_events += len(batch)
                for begin in range(0, len(batch), self.job.batch_size):
                    yield Store.from_events(batch[begin : begin + self.job.batch_size])
        if not n_events:
            first = self.input_files[0]
            yield Store.from_events(EventBatch.from_table(read_schema(first).empty_table(), first))
