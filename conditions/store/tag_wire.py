"""The one cheap query about tags, asked from within an event loop: no thread, no waiting, twelve microseconds.

PostgreSQL's own library underneath psycopg can send a prepared query and be told later that the answer is there. One
query is under way at a time; whoever has more names to ask for collects them meanwhile.
"""

from __future__ import annotations

import asyncio
import os
import re
import select
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine
from sqlalchemy.engine import URL

from conditions.errors import StoreUnavailable
from conditions.resolve import TagFacts
from conditions.store.engine import CONNECT_TIMEOUT_S, shown
from conditions.tags import TagState

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn, PGresult

PATIENCE_S: Final = 10.0  # for one answer; a server that went without a word is noticed by nothing else
_TAG_NAME: Final = re.compile(r"[A-Za-z0-9+\-_:]+")  # what no tag's name can be is not asked for, and needs no quoting
_NAME: Final = b"tag_facts"
_SQL: Final = b"SELECT id, name, state, content_revision, published_digest FROM tags WHERE name = ANY($1)"
_TEXT_ARRAY: Final = 1009  # PostgreSQL's number of the type text[]


class TagWire:
    """A connection of its own to PostgreSQL, for one event loop."""

    def __init__(self, engine: Engine, url: URL) -> None:
        """Connect; this blocks.

        Raises:
            StoreUnavailable: the database is away.
        """
        import psycopg
        from psycopg import pq
        from psycopg.conninfo import make_conninfo

        self._shown = shown(url)
        self._errors: type[Exception] = psycopg.Error
        _, options = engine.dialect.create_connect_args(url)
        options.pop("context", None)  # psycopg's own, no option of a connection
        options.setdefault("connect_timeout", CONNECT_TIMEOUT_S)
        try:
            self._connection: PGconn = pq.PGconn.connect(make_conninfo(**options).encode())
            if self._connection.status != pq.ConnStatus.OK:
                raise StoreUnavailable(self._shown, self._said(self._connection.error_message))
            prepared = self._connection.prepare(_NAME, _SQL, [_TEXT_ARRAY])
            if prepared.status != pq.ExecStatus.COMMAND_OK:
                raise StoreUnavailable(self._shown, self._said(prepared.error_message))
            self._connection.nonblocking = 1
        except psycopg.Error as error:
            raise StoreUnavailable(self._shown, str(error).strip()) from error
        self._good = pq.ExecStatus.TUPLES_OK
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched: int | None = None
        self._asked: asyncio.Future[PGresult] | None = None
        self._found: PGresult | None = None
        self._more = select.poll()

    def attach(self) -> None:
        """Belong to the event loop that runs."""
        self._loop = asyncio.get_running_loop()
        # The library closes its socket by itself when the server is gone; the loop may only watch what stays open.
        self._watched = os.dup(self._connection.socket)
        self._loop.add_reader(self._watched, self._readable)
        # A loop may tell of a connection that was reset once and never again, so nothing is left unread in it.
        self._more.register(self._watched, select.POLLIN)

    async def facts(self, names: Iterable[str]) -> dict[str, TagFacts]:
        """The facts of these tags by name, as they are committed at this moment.

        Raises:
            StoreUnavailable: the connection is of no use any more; close it.
        """
        assert self._loop is not None  # noqa: S101 - attached before it is asked
        wanted = ",".join(f'"{name}"' for name in names if _TAG_NAME.fullmatch(name) is not None)
        asked = self._asked = self._loop.create_future()
        patience = self._loop.call_later(PATIENCE_S, self._fail, f"no answer within {PATIENCE_S:g} s")
        try:
            self._connection.send_query_prepared(_NAME, [b"{" + wanted.encode() + b"}"])
            self._connection.flush()
            found = await asked
        except self._errors as error:
            raise StoreUnavailable(self._shown, str(error).strip()) from error
        finally:
            patience.cancel()
            self._asked = None
        if found.status != self._good:
            raise StoreUnavailable(self._shown, self._said(found.error_message))
        return {facts.name: facts for facts in (_facts(found, row) for row in range(found.ntuples))}

    def close(self) -> None:
        """Let go of the connection."""
        if self._loop is not None and not self._loop.is_closed():
            self._fail("the connection was closed")
        self._ignore()
        self._connection.finish()

    def _readable(self) -> None:
        """Take the answer once it is whole."""
        try:
            while not self._read():
                if not self._more.poll(0):
                    return
        except self._errors as error:
            self._ignore()
            self._fail(str(error).strip())
            return
        found, self._found = self._found, None
        if found is None:
            self._fail("the connection ended without an answer")
        elif self._asked is not None and not self._asked.done():
            self._asked.set_result(found)

    def _read(self) -> bool:
        """Take what has come; whether the answer, or what a server that goes says last, is complete."""
        self._connection.consume_input()
        while not self._connection.is_busy():
            found = self._connection.get_result()
            if found is None:
                return True
            self._found = self._found or found  # the first one counts, the others say what followed from it
        return False

    def _ignore(self) -> None:
        """Watch the connection no longer."""
        watched, self._watched = self._watched, None
        if watched is not None and self._loop is not None:
            self._more.unregister(watched)
            if not self._loop.is_closed():
                self._loop.remove_reader(watched)
            os.close(watched)

    def _fail(self, reason: str) -> None:
        if self._asked is not None and not self._asked.done():
            self._asked.set_exception(StoreUnavailable(self._shown, reason))

    @staticmethod
    def _said(message: bytes | str | None) -> str:
        return (message.decode("utf-8", "replace") if isinstance(message, bytes) else message or "").strip()


def _facts(found: Any, row: int) -> TagFacts:
    """A row of the answer, which comes as texts."""
    number, name, state, revision, digest = (found.get_value(row, column) for column in range(5))
    said = None if digest is None else digest.decode()
    return TagFacts(name.decode(), TagState(state.decode()), int(revision), said, int(number))
