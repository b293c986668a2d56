"""A store's verbs for a server's indexes: all rows of a tag at once, and the one cheap query about tags."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from conditions.resolve import TagFacts
from conditions.store.core import StoreCore
from conditions.store.engine import our_errors
from conditions.tags import TagState

if TYPE_CHECKING:
    from conditions.store.index_rows import TagRows
    from conditions.store.tag_wire import TagWire


class IndexVerbs(StoreCore):
    """Read what an index is compiled from, and what tells whether it still holds."""

    def tag_rows(self, tag_id: int) -> TagRows:
        """All rows of the tag with this number as arrays, with the facts of the same moment.

        Raises:
            TagNotFound: no tag has this number.
        """
        from conditions.store.index_rows import read_rows

        with self._snapshot() as connection:
            return read_rows(connection, tag_id)

    def address(self) -> str:
        """The database's URL with its password: for a process that we start, never for people."""
        return self._url.render_as_string(hide_password=False)

    def watch_tags(self) -> TagWatch:
        """A connection of its own for the one cheap query; the caller closes it."""
        return TagWatch(self)

    def wire_tags(self) -> TagWire | None:
        """The same for an event loop, where the database can do that; blocks while it connects.

        Raises:
            StoreUnavailable: the database is away.
        """
        from conditions.store.tag_wire import TagWire

        return TagWire(self._engine, self._url) if self._url.get_backend_name() == "postgresql" else None

    @contextmanager
    def _snapshot(self) -> Iterator[Connection]:
        """A connection in a transaction that sees the database as it is now until its end."""
        with our_errors(self._url), self._engine.connect() as connection:
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            else:
                connection = connection.execution_options(isolation_level="REPEATABLE READ")  # noqa: PLW2901
            try:
                yield connection
            finally:
                connection.rollback()
                if connection.dialect.name == "sqlite" and connection.connection.dbapi_connection.in_transaction:  # type: ignore[union-attr]
                    connection.exec_driver_sql("ROLLBACK")


class TagWatch:
    """Asks for the facts of tags over one connection that it keeps. For one thread at a time."""

    def __init__(self, store: IndexVerbs) -> None:
        self._store = store
        self._connection: Connection | None = None

    def facts(self, names: Iterable[str]) -> dict[str, TagFacts]:
        """The facts of these tags by name, as they are committed at this moment; a name without a tag is left out.

        Raises:
            StoreUnavailable: the database is away.
        """
        return {facts.name: facts for facts in self._ask("name", sorted(set(names)))}

    def facts_of(self, numbers: Iterable[int]) -> dict[int, TagFacts]:
        """The facts of the tags with these numbers."""
        return {facts.id: facts for facts in self._ask("id", sorted(set(numbers)))}

    def close(self) -> None:
        """Let go of the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _ask(self, column: str, wanted: Sequence[str] | Sequence[int]) -> list[TagFacts]:
        with our_errors(self._store._url):
            if self._connection is not None:
                try:
                    return self._query(self._connection, column, wanted)
                except DBAPIError:  # the server was started again; a new connection tells
                    self._drop()
            self._connection = self._store._reader.connect()
            try:
                return self._query(self._connection, column, wanted)
            except BaseException:
                self._drop()
                raise

    def _drop(self) -> None:
        """Throw away a connection that may be broken, rather than give it back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    @staticmethod
    def _query(connection: Connection, column: str, wanted: Sequence[str] | Sequence[int]) -> list[TagFacts]:
        is_sqlite = connection.dialect.name == "sqlite"
        statement = _STATEMENTS[connection.dialect.name, column]
        rows = connection.execute(statement, {"wanted": json.dumps(wanted) if is_sqlite else list(wanted)})
        return [facts_from(row) for row in rows]


def facts_from(row: Sequence[Any]) -> TagFacts:
    """What decides whether an index still holds, from (id, name, state, content_revision, published_digest)."""
    number, name, state, revision, digest = row
    return TagFacts(name, TagState(state), revision, digest, number)


_SQL: Final = "SELECT id, name, state, content_revision, published_digest FROM tags WHERE {} IN (SELECT {})"
_STATEMENTS: Final = {
    ("sqlite", "name"): text(_SQL.format("name", "value FROM json_each(:wanted)")),
    ("sqlite", "id"): text(_SQL.format("id", "value FROM json_each(:wanted)")),
    ("postgresql", "name"): text(_SQL.format("name", "unnest(CAST(:wanted AS varchar[]))")),
    ("postgresql", "id"): text(_SQL.format("id", "unnest(CAST(:wanted AS bigint[]))")),
}
