"""What every verb of a store stands on: connections, transactions, the payload folder and who acts.

A store may be used by several threads, and by the children of a fork; each has connections of its own.
"""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from conditions.errors import StoreBusy, StoreUnavailable
from conditions.payload import Payload, check_text
from conditions.store import queries, schema
from conditions.store.audit import Change
from conditions.store.check import CheckReport, check_files
from conditions.store.engine import check_alive, our_errors, reading, shown, snapshots, sqlite_path, writing
from conditions.store.owner import Owner
from conditions.store.places import Files, files_at


@dataclass
class _Transaction:
    """An outermost transaction of one thread, and what it holds until its end."""

    connection: Connection
    held: ExitStack
    pid: int
    uploading: bool = False


class _TakeBack(Exception):
    """Ends a transaction whose block failed, without being taken for an error of the database."""


class StoreCore:
    """Connections, transactions and files of a store, without any verb."""

    def __init__(self, url: URL, engine: Engine, files: Path | str | None, user: str, revision: str) -> None:
        self.url, self.user, self.revision = shown(url), user, revision
        self._url, self._engine = url, engine
        self._reader, self._writer, self._snapshots = reading(engine), writing(engine), snapshots(engine)
        self._place = None if files is None else files_at(files)
        self._store_id: str | None = None  # read when it is needed; it never changes
        self._local = threading.local()
        self._pid = os.getpid()
        self._is_borrowed = False  # the connections are another store's, which will close them

    def acting_as(self, user: str) -> Self:
        """The same store on behalf of somebody else: same connections, files and transactions, another name."""
        other = copy.copy(self)
        other.user, other._is_borrowed = check_text("user", user), True
        return other

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """Make all changes inside one: they are kept together at the end, or not at all when it fails.

        A change that was refused inside, and whose error was caught, leaves nothing either. Others who want to
        change the same tag or upload the same name wait (on SQLite: all writers wait), so keep it short. What is
        raised inside leaves as it is.
        """
        raised: Exception | None = None
        try:
            with self._change():
                try:
                    yield self
                except Exception as error:  # the caller's own: not the database's, whatever its kind
                    raised = error
                    raise _TakeBack from error
        except _TakeBack:
            pass
        if raised is not None:
            raise raised

    def check(self, *, repair: bool = False) -> CheckReport:
        """Compare files and rows; a repair removes files that no row speaks of.

        Raises:
            FilesNotOurs: the folder is another store's; or a repair cannot tell whose it is.
        """
        if self._transaction is not None:
            raise StoreBusy(self.url, "a check cannot be part of a transaction")
        path = sqlite_path(self._url)
        unfinished = [] if path is None else schema.unfinished(path)
        return check_files(self._owner(), unfinished, repair=repair)

    def close(self) -> None:
        """Let go of the database; a closed store connects again when it is used."""
        if not self._is_borrowed:
            self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _files(self) -> Files:
        if self._place is None:
            way_out = "give --files DIR or --files s3://BUCKET/PREFIX, or set CONDITIONS_FILES"
            raise StoreUnavailable(self.url, f"nobody said where payload files are: {way_out}")
        return self._place

    @property
    def _transaction(self) -> _Transaction | None:
        """The transaction this thread is in; a parent's, before a fork, is not ours."""
        self._leave_parents_connections()
        found: _Transaction | None = getattr(self._local, "transaction", None)
        return found if found is not None and found.pid == self._pid else None

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """A connection to read with: that of this thread's transaction, so that it sees its own changes."""
        if self._transaction is not None:
            with our_errors(self._url):
                yield self._transaction.connection
            return
        with our_errors(self._url), self._reader.connect() as connection:
            yield connection

    @contextmanager
    def _at_one_moment(self) -> Iterator[Connection]:
        """A connection whose queries all see the database as it is at the first of them."""
        if self._transaction is not None:
            with our_errors(self._url):
                yield self._transaction.connection
            return
        with our_errors(self._url), self._snapshots.begin() as connection:
            yield connection

    @contextmanager
    def _change(self) -> Iterator[Change]:
        """A transaction, or a part of this thread's transaction that can fail without the rest."""
        now = datetime.now(UTC)
        outer = self._transaction
        if outer is not None:
            check_alive(self._url, outer.connection)
            with our_errors(self._url), outer.connection.begin_nested():
                yield Change(outer.connection, self.user, now)
            return
        with ExitStack() as held, our_errors(self._url), self._writer.begin() as connection:
            self._local.transaction = _Transaction(connection, held, os.getpid())
            try:
                yield Change(connection, self.user, now)
                check_alive(self._url, connection)
            finally:
                self._local.transaction = None

    @contextmanager
    def _uploading(self) -> Iterator[Files]:
        """The files, with repairs kept away until the rows are committed."""
        files, outer = self._files, self._transaction
        if outer is None:
            with self._owner().uploading():
                yield files
            return
        if not outer.uploading:
            outer.held.enter_context(self._owner().uploading())
            outer.uploading = True
        yield files

    def _owner(self) -> Owner:
        if self._store_id is None:
            with self._reading() as connection:
                self._store_id = queries.store_id(connection)
        return Owner(self._files, self._store_id, self._all_payloads)

    def _all_payloads(self) -> list[Payload]:
        with self._reading() as connection:
            return list(queries.all_payloads(connection))

    def _leave_parents_connections(self) -> None:
        """After a fork: connections belong to the parent, this process makes its own."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._engine.dispose(close=False)
