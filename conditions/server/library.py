"""The indexes that a worker holds, and when one is compiled.

A tag is compiled after it was asked for some times, and not at once again after its content changed: what compiling
took is waited for `REST` times over, so that a large tag under a stream of small changes costs a tenth of one processor
at most, and is answered by SQL meanwhile. One index is compiled at a time.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from conditions.errors import StoreError
from conditions.resolve import TagFacts
from conditions.server.answers import Answers, Bodies
from conditions.server.compiling import compile_tag
from conditions.server.index import TagIndex
from conditions.server.index_files import BadIndexFile, index_path, load_index
from conditions.server.index_folder import index_folder

ASKS: Final = 5  # for one content, before it is compiled; a tag that somebody only looks at is not worth it
REST: Final = 10
LEAST_REST_S: Final = 2.0
REST_AFTER_FAILURE_S: Final = 30.0
MOST_COUNTED: Final = 10_000
_log = logging.getLogger(__name__)


class Library:
    """Answers of compiled tags, for one event loop.

    Args:
        address: URL of the database.
        folder: where the workers of one server share their indexes; None: a folder of this worker alone.
        most_bytes: of all indexes together; those not used for longest go first.
        body_bytes: of answers made ready.
    """

    def __init__(self, address: str, folder: Path | None, most_bytes: int, body_bytes: int) -> None:
        self._address, self._shared, self._most_bytes = address, folder, most_bytes
        self._own: Path | None = None
        self._closing = ExitStack()
        self._bodies = Bodies(body_bytes)
        self._held: OrderedDict[int, Answers] = OrderedDict()
        self._asked: dict[int, tuple[int, int]] = {}  # content revision and how often it was asked for, by tag
        self._not_before: dict[int, float] = {}
        self._compiling: asyncio.Future[TagIndex] | None = None
        self._thread = ThreadPoolExecutor(1, "compiling")
        self._closed = False

    def find(self, facts: TagFacts) -> Answers | None:
        """The answers of exactly this content; None while there are none yet."""
        answers = self._held.get(facts.id)
        if answers is not None and answers.index.facts.content_revision == facts.content_revision:
            self._held.move_to_end(facts.id)
            return answers
        self._want(facts)
        return None

    def close(self) -> None:
        """Wait for what is being compiled, and take the folder away."""
        self._closed = True
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._closing.close()

    def _want(self, facts: TagFacts) -> None:
        """Count an ask, and begin to compile when it is worth it."""
        revision, count = self._asked.get(facts.id, (facts.content_revision, 0))
        count = count + 1 if revision == facts.content_revision else 1
        if len(self._asked) >= MOST_COUNTED:
            self._asked.clear()
        self._asked[facts.id] = facts.content_revision, count
        if count < ASKS or self._compiling is not None or self._closed:
            return
        if time.monotonic() < self._not_before.get(facts.id, 0):
            return
        loop = asyncio.get_running_loop()
        began = time.monotonic()
        self._compiling = loop.run_in_executor(self._thread, self._make, facts)
        self._compiling.add_done_callback(lambda made: self._take(facts, made, time.monotonic() - began))

    def _make(self, facts: TagFacts) -> TagIndex:
        """The index, from the file of another worker or from a process that compiles it."""
        if self._shared is None and self._own is None:
            self._own = self._closing.enter_context(index_folder(None))
        folder = self._shared or self._own
        assert folder is not None  # noqa: S101 - one of the two was set
        path = index_path(folder, facts.id, facts.content_revision)
        if not path.exists():
            path = compile_tag(self._address, folder, facts.id)
        index = load_index(path)
        if self._shared is None:
            path.unlink()  # mapped: the space is given back when this worker lets go of it, however it ends
        return index

    def _take(self, facts: TagFacts, made: asyncio.Future[TagIndex], took_s: float) -> None:
        """Hold a new index in place of the tag's earlier one."""
        self._compiling = None
        if made.cancelled():
            return
        error = made.exception()
        if error is not None:
            if not isinstance(error, StoreError | BadIndexFile | OSError):
                raise error
            _log.warning("%s is answered by SQL: %s", facts.name, error)
            self._not_before[facts.id] = time.monotonic() + REST_AFTER_FAILURE_S
            return
        index = made.result()
        self._not_before[facts.id] = time.monotonic() + max(LEAST_REST_S, REST * took_s)
        self._asked.pop(facts.id, None)
        if index.n_bytes > self._most_bytes:
            _log.warning("%s is answered by SQL: its index takes %d bytes", facts.name, index.n_bytes)
            self._not_before[facts.id] = float("inf")
            return
        before = self._held.pop(facts.id, None)
        if before is not None:
            before.close()
        self._held[facts.id] = Answers(index, self._bodies)
        while sum(answers.index.n_bytes for answers in self._held.values()) > self._most_bytes:
            self._held.popitem(last=False)[1].close()
