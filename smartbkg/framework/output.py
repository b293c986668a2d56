"""What all output modules share: events arrive from several branches and leave in the order they were read."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from smartbkg.errors import FrameworkError
from smartbkg.framework.module import Module
from smartbkg.framework.store import Store


class Output(Module):
    """Gathers events and hands them to `write` in order, with the same extra info for all of them.

    Args:
        output_file: where they go; it appears when the whole job has gone well.
    """

    # Collections the file is made of; others are let go at once.
    collections: ClassVar[tuple[str, ...]] = ()

    def __init__(self, output_file: Path | str) -> None:
        self.output_file = Path(output_file)

    def write(self, store: Store) -> None:
        """Write these events. Called at least once, with no events when none came: it shows the columns."""
        raise FrameworkError(f"{self.name} does not write {len(store)} events")

    def initialize(self) -> None:
        """Forget what an earlier job left."""
        self._here: list[Store] = []
        self._empty: Store | None = None
        self._columns: dict[str, str] | None = None

    def declare(self, store: Store) -> None:
        """Learn the columns of the events that can arrive here, over all branches."""
        if self._empty is None:
            self._empty = store.copy(self.collections)
        for name in store.extra.keys() - self._empty.extra.keys():
            self._empty.extra[name] = store.extra[name]

    def event_batch(self, store: Store) -> None:
        """Keep what is there now: later modules may write to the same store."""
        self._here.append(store.copy(self.collections))

    def end_batch(self) -> None:
        """Put the branches' events in order and write them."""
        if not self._here:
            return
        expected = {} if self._empty is None else self._empty.extra
        fills = {name: value for name, value in self.job.extra_info.items() if name in expected}
        for part in self._here:
            part.fill_missing(fills)
        joined = Store.concat(self._here).in_order()
        self._here = []
        joined.extra = self._same_columns(joined)
        self.write(joined)

    def terminate(self) -> None:
        """Show the columns when no event came."""
        if not self.failed and self._columns is None and self._empty is not None:
            self.write(self._empty)

    def finish(self) -> None:
        """Write all that is left to write, when every module has terminated and before any file takes its name."""

    def _same_columns(self, store: Store) -> dict[str, NDArray[Any]]:
        """The store's extra info in the order of the first events written, and nothing else."""
        found: dict[str, str] = {name: column.dtype.kind for name, column in store.extra.items()}
        first = found if self._columns is None else self._columns
        self._columns = first
        if found != first:
            odd = sorted({name for name, _ in found.items() ^ first.items()})
            raise FrameworkError(
                f"extra info {', '.join(map(repr, odd))} is not the same for all events of {self.name}: write it for"
                " every event and in one type, or name it in the module's `extra_info`"
            )
        return {name: store.extra[name] for name in first}
