"""Places that hand out conditions, for tests of the client: snapshots of stores, and a source that ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from conditions.client.transport import Source, facts_of, file_from, held_of
from conditions.errors import StoreUnavailable
from conditions.iov import Run
from conditions.offline.download import read_tag
from conditions.offline.locations import PayloadFolder
from conditions.offline.writer import write_snapshot
from conditions.payload import Payload
from conditions.resolve import Held, Resolved, TagFacts
from conditions.store.session import Store


def snapshot_of(
    store: Store, path: Path, *tags: str, details: bool = False, base_url: str = "", files: bool = False
) -> Path:
    """A snapshot of tags as they are now; `files` keeps the payload files in the folder beside it, too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    contents = [read_tag(store, tag, allow_open=True) for tag in tags]
    write_snapshot(path, contents, base_url=base_url, details=details, replace=True)
    if files:
        folder = PayloadFolder(path.parent / "payloads")
        for content in contents:
            for entry in content.entries:
                folder.keep(entry.payload, store.payload_path(entry.payload))
    return path


class Ending:
    """A source that answers some times and is then gone, as a server that is shut down."""

    def __init__(self, source: Source, n_answers: int) -> None:
        self.source, self.n_left = source, n_answers
        self.n_asked = 0

    def resolve_many(
        self, stack: Sequence[str], runs: Iterable[Run], names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> dict[Run, dict[str, Resolved]]:
        self._count()
        return self.source.resolve_many(stack, runs, names, allow_open=allow_open)

    def resolve_held(
        self, stack: Sequence[str], run: Run, names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> Held:
        self._count()
        return held_of(self.source, stack, run, names, allow_open=allow_open)

    def tag_facts(self, stack: Sequence[str]) -> tuple[TagFacts, ...]:
        return facts_of(self.source, stack)

    def payload_path(self, payload: Payload) -> Path:
        self._count()
        return file_from(self.source, payload)

    def close(self) -> None:
        """The source belongs to the test."""

    def _count(self) -> None:
        self.n_asked += 1
        if self.n_asked > self.n_left:
            raise StoreUnavailable("the ending source", "it has gone")
