"""What came along with a program: a snapshot that answers for the program's own tags where nobody else knows them.

It is no provider among others, and never stands in for one that failed: a job must not get other payloads because a
server was down. It answers only

* for a tag that is asked for alone and is one of the program's own, and
* where every place that is configured works and says that it has no such tag.

Who answered for a tag first answers for it until the job ends.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from conditions.client.cache import PayloadCache
from conditions.client.chain import Chain, PassedOver
from conditions.client.snapshot_files import SnapshotWithFiles
from conditions.client.transport import Source, facts_of, file_from, held_of
from conditions.errors import TagNotFound
from conditions.iov import Run
from conditions.offline.locations import PayloadFolder
from conditions.payload import Payload
from conditions.resolve import Held, Resolved, TagFacts

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True)
class Bundled:
    """A snapshot that came along.

    Attributes:
        path: the snapshot; its payload files lie in the folder `payloads` beside it.
        tags: for which it may answer.
        what: what it is, for messages.
    """

    path: Path
    tags: tuple[str, ...]
    what: str = "what came along"


class WithBundled:
    """A source, and what came along for the tags that it does not know.

    Args:
        source: what is configured.
        bundled: what came along; it is opened when it is needed.
        cache: where fetched files are kept.
    """

    def __init__(self, source: Source, bundled: Bundled, cache: PayloadCache) -> None:
        self.bundled, self._source, self._cache = bundled, source, cache
        self._snapshot: SnapshotWithFiles | None = None
        self._folder = PayloadFolder(bundled.path.parent / "payloads")
        self._answers_for: dict[str, bool] = {}  # own tag -> whether it is answered from here
        self._given: set[str] = set()  # md5 of the payloads that were
        self._lock = threading.RLock()

    @property
    def url(self) -> str:
        """Where what is configured is, for messages."""
        return str(getattr(self._source, "url", type(self._source).__name__))

    @property
    def used(self) -> list[str]:
        """Who has answered so far."""
        used = list(self._source.used) if isinstance(self._source, Chain) else [self.url]
        return [*used, str(self.bundled.path)] if any(self._answers_for.values()) else used

    @property
    def passed_over(self) -> list[PassedOver]:
        """Providers that were left, and why."""
        return self._source.passed_over if isinstance(self._source, Chain) else []

    def resolve_many(
        self,
        stack: Sequence[str],
        runs: Iterable[Run],
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
    ) -> dict[Run, dict[str, Resolved]]:
        """The winners for each run."""
        asked, wanted = list(runs), None if names is None else tuple(names)
        found, is_ours = self._ask(stack, lambda s: s.resolve_many(stack, asked, wanted, allow_open=allow_open))
        if is_ours:
            self._given |= {won.payload.md5 for answer in found.values() for won in answer.values()}
        return found

    def resolve_held(
        self, stack: Sequence[str], run: Run, names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> Held:
        """The winners for a run and for how long they hold."""
        return self._held(stack, run, names, allow_open=allow_open, optional=False)

    def resolve_optional(
        self, stack: Sequence[str], run: Run, names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> Held:
        """The same from tags that the job can do without: no provider is left because it lacks them."""
        return self._held(stack, run, names, allow_open=allow_open, optional=True)

    def tag_facts(self, stack: Sequence[str]) -> tuple[TagFacts, ...]:
        """State and content of the tags, from who answers for them."""
        tag = self._own(stack)
        return facts_of(self._opened() if tag is not None and self._answers_for.get(tag) else self._source, stack)

    def payload_path(self, payload: Payload) -> Path:
        """The payload's verified file: its bytes are the same wherever they come from, and these are near."""
        found = self._folder.find(payload)
        if found is not None:
            return found
        if payload.md5 in self._given:
            return self._opened().payload_path(payload)  # says what is missing
        return file_from(self._source, payload)

    def close(self) -> None:
        """Let go of both."""
        if self._snapshot is not None:
            self._snapshot.close()
        self._source.close()

    def _held(
        self, stack: Sequence[str], run: Run, names: Iterable[str] | None, *, allow_open: bool, optional: bool
    ) -> Held:
        wanted = None if names is None else tuple(names)

        def ask(source: Source) -> Held:
            if optional and isinstance(source, Chain):
                return source.resolve_optional(stack, run, wanted, allow_open=allow_open)
            return held_of(source, stack, run, wanted, allow_open=allow_open)

        held, is_ours = self._ask(stack, ask)
        if is_ours:
            self._given |= {won.payload.md5 for won in held.answer.values()}
        return held

    def _ask(self, stack: Sequence[str], action: Callable[[Source], T]) -> tuple[T, bool]:
        """The answer, and whether it is from what came along."""
        with self._lock:
            tag = self._own(stack)
            if tag is None:
                return action(self._source), False
            if self._answers_for.get(tag):
                return action(self._opened()), True
            try:
                found = action(self._source)
            except TagNotFound as error:
                if tag in self._answers_for or not self._is_nowhere(tag, action):
                    raise
                found = self._instead(action, error)
                self._answers_for[tag] = True
                log.warning("%s: it comes from %s, %s", error, self.bundled.what, self.bundled.path)
                return found, True
            self._answers_for[tag] = False
            return found, False

    def _instead(self, action: Callable[[Source], T], error: TagNotFound) -> T:
        try:
            return action(self._opened())
        except TagNotFound:
            raise error from None  # what came along does not have it either: who is configured decides what is said

    def _is_nowhere(self, tag: str, action: Callable[[Source], object]) -> bool:
        """Whether all that is configured works, and none of it knows the tag."""
        return not isinstance(self._source, Chain) or self._source.is_nowhere(tag, action)

    def _own(self, stack: Sequence[str]) -> str | None:
        """The tag that is asked for, when it is one of the program's own, alone, and as it is now."""
        return stack[0] if len(stack) == 1 and stack[0] in self.bundled.tags else None

    def _opened(self) -> SnapshotWithFiles:
        if self._snapshot is None:
            self._snapshot = SnapshotWithFiles(self.bundled.path, self._cache)
        return self._snapshot
