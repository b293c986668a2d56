"""Which content a tag has now: one cheap query for all who ask at the same time, none for what cannot change.

A request is never answered from a query that began before the request came. Those that come while a query is under
way wait for the next one, and share it; so the number of queries is bounded by their duration, not by the requests.

What cannot change any more (PUBLISHED, INVALID) is remembered. Only its state is looked after, by one query a second
for all such tags: PUBLISHED may become INVALID, which is seen within `REFRESH_S` and the time of that query. While the
database is away, what is remembered stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

from conditions.errors import ConditionsError
from conditions.resolve import TagFacts
from conditions.store.index_verbs import TagWatch
from conditions.store.session import Store
from conditions.store.tag_wire import TagWire
from conditions.tags import TagState

REFRESH_S: Final = 1.0
MOST_FIXED: Final = 10_000  # tags remembered; more are asked for again
FIXED_STATES: Final = frozenset({TagState.PUBLISHED, TagState.INVALID})
_log = logging.getLogger(__name__)


class Revisions:
    """The facts of tags, for one event loop."""

    def __init__(self, store: Store) -> None:
        self.fixed: dict[str, TagFacts] = {}
        self.n_queries = 0
        self._store = store
        self._threads = ThreadPoolExecutor(2, "facts")  # one for requests, one for the refresh
        self._wire: TagWire | None = None
        self._asking: TagWatch | None = None
        self._refreshing: TagWatch | None = None
        self._waiting: dict[str, asyncio.Future[TagFacts | None]] = {}
        self._running: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._was_away = False

    async def facts(self, name: str) -> TagFacts | None:
        """The facts of a tag, committed when this was called or later; None when there is no such tag.

        Raises:
            StoreError: the database is away.
        """
        found = self._waiting.get(name)
        if found is None:
            found = self._waiting[name] = asyncio.get_running_loop().create_future()
            if self._running is None:
                self._running = asyncio.ensure_future(self._ask())
        return await asyncio.shield(found)

    def close(self) -> None:
        """Let go of the connections."""
        if self._timer is not None:
            self._timer.cancel()
        if self._wire is not None:
            self._wire.close()
        self._threads.shutdown(wait=True)
        for watch in (self._asking, self._refreshing):
            if watch is not None:
                with suppress(ConditionsError):
                    watch.close()

    async def _ask(self) -> None:
        """Ask for all who wait, then for those who came meanwhile."""
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, {}
                try:
                    found = await self._found(list(waiting))
                except Exception as error:
                    _settle(waiting.values(), lambda future, error=error: future.set_exception(error))  # type: ignore[misc]
                    continue
                for name, future in waiting.items():
                    self._remember(found.get(name))
                    if not future.done():
                        future.set_result(found.get(name))
        finally:
            self._running = None

    async def _found(self, names: list[str]) -> dict[str, TagFacts]:
        """What the database says now: over the wire where there is one, else, and to get one, from a thread."""
        self.n_queries += 1
        if self._wire is not None:
            try:
                return await self._wire.facts(names)
            except ConditionsError as error:
                _log.info("connecting again: %s", error)
                self._wire.close()
                self._wire = None
        found, self._wire = await asyncio.get_running_loop().run_in_executor(self._threads, self._query, names)
        if self._wire is not None:
            self._wire.attach()
        return found

    def _query(self, names: Iterable[str]) -> tuple[dict[str, TagFacts], TagWire | None]:
        """The cheap query over a connection that is kept for it, and a wire for the next ones."""
        if self._asking is None:
            self._asking = self._store.watch_tags()
        found = self._asking.facts(names)
        try:
            return found, self._store.wire_tags()
        except ConditionsError as error:
            _log.warning("tags are asked for from a thread, which is slower: %s", error)
            return found, None

    def _remember(self, facts: TagFacts | None) -> None:
        if facts is None or facts.state not in FIXED_STATES or len(self.fixed) >= MOST_FIXED:
            return
        self.fixed[facts.name] = facts
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(REFRESH_S, self._begin_refresh)

    def _begin_refresh(self) -> None:
        numbers = [facts.id for facts in self.fixed.values()]
        asked = asyncio.get_running_loop().run_in_executor(self._threads, self._refresh_query, numbers)
        asked.add_done_callback(self._end_refresh)

    def _refresh_query(self, numbers: list[int]) -> dict[int, TagFacts]:
        if self._refreshing is None:
            self._refreshing = self._store.watch_tags()
        return self._refreshing.facts_of(numbers)

    def _end_refresh(self, asked: asyncio.Future[dict[int, TagFacts]]) -> None:
        """Take over what changed; keep everything while the database is away."""
        error = None if asked.cancelled() else asked.exception()
        if not asked.cancelled() and error is None:
            found = asked.result()
            # A tag whose number is gone, or that is no longer fixed, was changed behind our back: ask again.
            kept = {name: found.get(facts.id) for name, facts in self.fixed.items()}
            self.fixed = {
                n: facts for n, facts in kept.items() if facts and facts.name == n and facts.state in FIXED_STATES
            }
            self._was_away = False
        elif error is not None and not self._was_away:
            self._was_away = True
            _log.warning("states of tags are not refreshed while the database is away: %s", error)
        self._timer = asyncio.get_running_loop().call_later(REFRESH_S, self._begin_refresh)


def _settle(
    futures: Iterable[asyncio.Future[TagFacts | None]], act: Callable[[asyncio.Future[TagFacts | None]], None]
) -> None:
    for future in futures:
        if not future.done():
            act(future)
            future.exception()  # seen, also where everybody who waited has gone
