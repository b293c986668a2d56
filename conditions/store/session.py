"""The store: tags, payloads and intervals in a database, payload bytes in a folder.

Every change is one transaction with its audit rows. What a state forbids is refused here, under the lock of the
tag's row. A store may be used by several threads, and by the children of a fork; each has connections of its own.
"""

from __future__ import annotations

import getpass
import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import URL

from conditions.errors import BadInputError, StoreBusy, StoreUnavailable
from conditions.iov import IntervalOfValidity, Last, Run
from conditions.payload import Payload, check_metadata, check_payload_name, check_text
from conditions.resolve import IovEntry, Resolved, check_stack
from conditions.store import iov_changes, payload_changes, queries, schema, tag_changes
from conditions.store.audit import Change
from conditions.store.check import CheckReport, check_files
from conditions.store.covering import resolve_runs
from conditions.store.engine import (
    check_alive,
    database_url,
    make_engine,
    our_errors,
    reading,
    shown,
    sqlite_path,
    writing,
)
from conditions.store.files import PayloadFiles, opened
from conditions.store.owner import Owner
from conditions.tags import AuditEntry, Tag, TagState, check_tag_name, parse_state


def open_store(
    url: str | os.PathLike[str] | None = None,
    files: str | os.PathLike[str] | None = None,
    user: str | None = None,
) -> Store:
    """Open a store. An embedded one is made when it is not there, and brought up to date when it is old.

    Args:
        url: database URL, or path of a SQLite file or of its folder; None means `CONDITIONS_URL`, else the
            user's own store.
        files: payload folder; None means `CONDITIONS_FILES` for a server and for the store that `CONDITIONS_URL`
            names, else `payloads` beside the SQLite file.
        user: who changes things, for the audit trail; None means `CONDITIONS_USER`, `BELLE2_USER`, or the
            user of this process.

    Raises:
        SchemaMismatch: the database is a server's and not up to date, or is newer than this program.
        StoreUnavailable: it cannot be reached.
    """
    where = database_url(url)
    engine = make_engine(where)
    try:
        revision = schema.prepare(where, engine)
    except BaseException:
        engine.dispose()
        raise
    return Store(where, engine, _files_folder(where, files), check_text("user", _user(user)), revision)


@dataclass
class _Transaction:
    """An outermost transaction of one thread, and what it holds until its end."""

    connection: Connection
    held: ExitStack
    pid: int
    uploading: bool = False


class Store:
    """A conditions store; `open_store` makes one. `revision` is that of its schema."""

    def __init__(self, url: URL, engine: Engine, files: Path | None, user: str, revision: str) -> None:
        self.url, self.user, self.revision = shown(url), user, revision
        self._url, self._engine = url, engine
        self._reader, self._writer = reading(engine), writing(engine)
        self._folder = files
        self._store_id: str | None = None  # read when it is needed; it never changes
        self._local = threading.local()
        self._pid = os.getpid()

    # Tags.

    def create_tag(self, name: str, *, description: str = "", type: str = "DEV") -> Tag:  # noqa: A002
        """Make an empty, OPEN tag; TagExists when the name is taken."""
        tag_changes.check_new_tag(name, description, type)
        with self._change() as change:
            return tag_changes.create_tag(change, name, description, type)

    def get_tag(self, name: str) -> Tag:
        """The tag of that name; TagNotFound when there is none."""
        with self._reading() as connection:
            return queries.get_tag(connection, name)

    def find_tag(self, name: str) -> Tag | None:
        """The tag of that name, None when there is none."""
        with self._reading() as connection:
            return queries.find_tag(connection, name)

    def list_tags(
        self, *, pattern: str | None = None, state: TagState | str | None = None, include_invalid: bool = False
    ) -> list[Tag]:
        """Tags in order of name. `pattern` knows `*` and `?`; INVALID ones are hidden unless asked for."""
        wanted = None if state is None else parse_state(state)
        with self._reading() as connection:
            return queries.list_tags(connection, pattern, wanted, include_invalid=include_invalid)

    def modify_tag(self, name: str, *, new_name: str | None = None, description: str | None = None) -> Tag:
        """Rename or describe a tag while it is OPEN."""
        with self._change() as change:
            return tag_changes.modify_tag(change, name, new_name, description)

    def clone_tag(self, name: str, new_name: str) -> Tag:
        """Make an OPEN tag with the content of another one."""
        check_tag_name(new_name)
        with self._change() as change:
            return tag_changes.clone_tag(change, name, new_name)

    def set_state(self, name: str, state: TagState | str) -> Tag:
        """Move a tag to another state; TransitionRefused when that cannot follow the present one."""
        wanted = parse_state(state)
        with self._change() as change:
            return tag_changes.set_state(change, name, wanted)

    def tag_history(self, name: str) -> list[AuditEntry]:
        """What happened to a tag, in order, also under its earlier names."""
        with self._reading() as connection:
            return queries.tag_history(connection, name)

    # Payloads.

    def upload(
        self,
        name: str,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        metadata: Mapping[str, Any] | None = None,
    ) -> Payload:
        """Keep a file's or a stream's bytes as the next revision of a payload.

        The same bytes under the same name again give the revision that is there, with the metadata it came with;
        so an upload may be repeated safely. The same bytes under another name share the file.

        Raises:
            BadName, BadMetadata, BadSource: what was given cannot be a payload.
            StoreFull: no space left; nothing is kept.
            FilesNotOurs: the payload folder is another store's.
        """
        check_payload_name(name)
        plain = check_metadata(metadata)
        with opened(source) as stream, self._uploading() as files:
            stored = files.keep(stream)
            with self._change() as change:
                return payload_changes.add_payload(change, name, stored, plain)

    def get_payload(self, name: str, revision: int | None = None) -> Payload:
        """One revision of a payload, by default the latest; PayloadNotFound when there is none."""
        with self._reading() as connection:
            return queries.get_payload(connection, name, revision)

    def list_payloads(self, *, pattern: str | None = None, tag: str | None = None) -> list[Payload]:
        """Payloads in order of name and revision. `pattern` knows `*` and `?`."""
        with self._reading() as connection:
            return queries.list_payloads(connection, pattern, tag)

    def payload_path(self, payload: Payload) -> Path:
        """The payload's file, read-only, after its size and sha256 were compared.

        Raises:
            PayloadCorrupt, PayloadLost: the file holds other bytes, or is not there.
        """
        return self._files.verified_path(payload)

    def verify(self, payload: Payload) -> None:
        """Compare a payload's file with its row; raises as `payload_path` does."""
        self.payload_path(payload)

    # Intervals of validity.

    def add_iov(self, tag: str, name: str, revision: int | None, iov: IntervalOfValidity) -> IovEntry:
        """Add a payload, by default its latest revision, to a tag; the same row again gives the one there is."""
        with self._change() as change:
            payload = queries.get_payload(change.connection, name, revision)
            return iov_changes.add_iov(change, tag, payload, iov)

    def add_iovs(self, tag: str, entries: Iterable[tuple[Payload, IntervalOfValidity]]) -> int:
        """Add many rows to a tag, or none when one is refused; returns how many were not there before."""
        with self._change() as change:
            return iov_changes.add_iovs(change, tag, list(entries))

    def list_iovs(
        self,
        tag: str,
        *,
        names: Iterable[str] | None = None,
        run: Run | None = None,
        within: IntervalOfValidity | None = None,
    ) -> list[IovEntry]:
        """Rows of a tag by payload name, first run and revision.

        Args:
            tag: the tag's name.
            names: only these payload names.
            run: only rows that cover this run.
            within: only rows that share a run with this interval.
        """
        with self._reading() as connection:
            return queries.list_iovs(connection, tag, names, run, within)

    def close_iov(self, tag: str, iov_id: int, last: Last) -> IovEntry:
        """Give a row an earlier last run: any row of an OPEN tag, one without an end in a RUNNING tag."""
        with self._change() as change:
            return iov_changes.close_iov(change, tag, iov_id, last)

    def delete_iov(self, tag: str, iov_id: int) -> None:
        """Take a row out of an OPEN tag."""
        with self._change() as change:
            iov_changes.delete_iov(change, tag, iov_id)

    # Resolution.

    def resolve(
        self,
        stack: Sequence[str] | str,
        run: Run,
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
    ) -> dict[str, Resolved]:
        """The winners for a run by payload name, in one query; a name without one is not in the answer.

        Raises:
            TagNotFound, TagNotUsable: a tag of the stack does not exist, is INVALID, or OPEN and not allowed to be.
        """
        return self.resolve_many(stack, [run], names, allow_open=allow_open)[run]

    def resolve_many(
        self,
        stack: Sequence[str] | str,
        runs: Iterable[Run],
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
    ) -> dict[Run, dict[str, Resolved]]:
        """The winners for each of several runs, in one query."""
        tags = check_stack(stack)
        with self._reading() as connection:
            return resolve_runs(connection, tags, runs, names, allow_open=allow_open)

    # The store itself.

    @contextmanager
    def transaction(self) -> Iterator[Self]:
        """Make all changes inside one: they are kept together at the end, or not at all when it fails.

        A change that was refused inside, and whose error was caught, leaves nothing either. Others who want to
        change the same tag or upload the same name wait (on SQLite: all writers wait), so keep it short.
        """
        with self._change():
            yield self

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
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def _files(self) -> PayloadFiles:
        if self._folder is None:
            raise StoreUnavailable(self.url, "nobody said where payload files are; give a folder, or CONDITIONS_FILES")
        return PayloadFiles(self._folder)

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
    def _uploading(self) -> Iterator[PayloadFiles]:
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


def _files_folder(url: URL, files: str | os.PathLike[str] | None) -> Path | None:
    """The payload folder, None when nobody named one for a server's database."""
    path = sqlite_path(url)
    # An embedded store that was named by hand must not take, or repair away, the files of the one in the environment.
    if files is None and (path is None or path == sqlite_path(database_url(None))):
        files = os.environ.get("CONDITIONS_FILES") or None
    if files is not None:
        return Path(files).expanduser().absolute()
    return None if path is None else path.parent / "payloads"


def _user(user: str | None) -> str:
    """Who changes things."""
    name = user or os.environ.get("CONDITIONS_USER") or os.environ.get("BELLE2_USER")
    if name:
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a container's user without an entry in passwd
        raise BadInputError("this process' user has no name; set CONDITIONS_USER") from error
