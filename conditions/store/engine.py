"""Where the database is and how to talk to it: SQLite in one machine, PostgreSQL for a site.

SQLite: the driver's own transactions are switched off. Reads run by themselves; a write says BEGIN IMMEDIATE, so
that it holds the one write lock from its first look at the rows to its commit. PostgreSQL: reads run in autocommit,
writes in READ COMMITTED with the rows they decide about locked.
"""

from __future__ import annotations

import glob
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, NoSuchModuleError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from conditions.client.places import STORE_FILE, usual_store
from conditions.errors import BadInputError, StoreBusy, StoreError, StoreFull, StoreUnavailable
from conditions.store.files import NO_SPACE

BUSY_TIMEOUT_S: Final = 60  # how long a writer waits for the others; a bulk insert of 10^6 rows takes about 10 s
CONNECT_TIMEOUT_S: Final = 10
OLDEST_SQLITE: Final = (3, 35, 0)  # RETURNING
PROBE_BYTES: Final = 64 * 1024  # twice the piece by which SQLite lets the memory grow that its processes share
_URL_FORMS: Final = "sqlite:///PATH or postgresql://HOST/NAME"
WRITES: Final = "conditions_writes"  # execution option of the engine that writes
SNAPSHOTS: Final = "conditions_snapshots"  # and of the one whose reads belong together
POOL_OVERFLOW: Final = 10  # connections beyond those that are kept, closed after use


def database_url(where: str | os.PathLike[str] | None) -> URL:
    """The URL of a database: a URL, a path of a SQLite file or of its folder, or None for the default.

    The default is `CONDITIONS_URL`, else a SQLite file in the user's data folder.
    """
    if where is None:
        where = os.environ.get("CONDITIONS_URL") or usual_store()
    text = os.fspath(where)
    if "://" not in text:
        path = Path(text).expanduser().absolute()
        if path.is_dir() or not path.suffix:
            path /= STORE_FILE
        return URL.create("sqlite", database=str(path))
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # Neither the text nor what was wrong with it is repeated: any part of it may be a password.
        kind = re.split(r"[^\w+]", text)[0]
        raise BadInputError(f"a URL that cannot be read begins with {kind!r}: write {_URL_FORMS}") from None
    if url.drivername in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+psycopg")
    if url.drivername not in ("sqlite", "postgresql+psycopg"):
        raise BadInputError(f"{shown(url)!r} is no database we know: use {_URL_FORMS}")
    if url.drivername == "sqlite" and (not url.database or url.database == ":memory:" or "uri" in url.query):
        raise BadInputError(f"{shown(url)!r} names no file: use sqlite:///PATH")
    return url


def sqlite_path(url: URL) -> Path | None:
    """The file of an embedded database, None for a server."""
    return Path(str(url.database)).absolute() if url.get_backend_name() == "sqlite" else None


def shown(url: URL) -> str:
    """The URL as people write it and as it may be shown: no password, which may stand among the options, too."""
    if url.drivername == "postgresql+psycopg":
        url = url.set(drivername="postgresql")
    return url.difference_update_query([key for key in url.query if "pass" in key]).render_as_string(hide_password=True)


def make_engine(url: URL, pool_size: int = 5) -> Engine:
    """An engine to make those from that read and write; they share their connections.

    Args:
        url: where the database is.
        pool_size: connections that are kept open; a server wants as many as it has threads.
    """
    pool = {"pool_size": pool_size, "max_overflow": POOL_OVERFLOW}
    try:
        if url.get_backend_name() == "sqlite":
            _check_sqlite_version(url)
            engine = create_engine(url, connect_args={"timeout": _busy_timeout_s(url)}, **pool)
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
            return engine
        options = {"connect_timeout": CONNECT_TIMEOUT_S}
        # A server that was restarted has closed our connections: each is tried before it is used.
        return create_engine(url, connect_args=options, pool_pre_ping=True, isolation_level="READ COMMITTED", **pool)
    except (ImportError, NoSuchModuleError) as error:
        raise StoreUnavailable(
            shown(url), f"its driver is missing ({error}): pip install 'smartbkg[postgres]'"
        ) from error


def reading(engine: Engine) -> Engine:
    """The same engine and connections, for single queries without a transaction around them."""
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="AUTOCOMMIT")


def writing(engine: Engine) -> Engine:
    """The same engine and connections, for transactions that write."""
    return engine.execution_options(**{WRITES: True})


def snapshots(engine: Engine) -> Engine:
    """The same engine and connections, for several queries that must see one and the same moment."""
    if engine.dialect.name == "sqlite":
        return engine.execution_options(**{SNAPSHOTS: True})
    return engine.execution_options(isolation_level="REPEATABLE READ")


@contextmanager
def our_errors(url: URL) -> Iterator[None]:
    """Turn what database and driver raise into errors of ours, which name the database."""
    try:
        yield
    except (DataError, OverflowError, UnicodeEncodeError) as error:
        text = str(getattr(error, "orig", None) or error).strip()
        raise BadInputError(f"a name or number that the database cannot hold: {text}") from error
    except SQLAlchemyError as error:
        raise _translate(url, error) from error


def check_alive(url: URL, connection: Connection) -> None:
    """Refuse to go on in a transaction that SQLite has ended by itself, as it does when the disk is full.

    What came next would be kept at once, each change alone.
    """
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite" and not driver.in_transaction:
        raise StoreUnavailable(shown(url), "an earlier failure ended the transaction; nothing of it was kept")


def _busy_timeout_s(url: URL) -> float:
    """How long a writer waits for the others; `?timeout=SECONDS` of the URL says otherwise."""
    given = url.query.get("timeout", str(BUSY_TIMEOUT_S))
    try:
        return float(str(given))
    except ValueError as error:
        raise BadInputError(f"the timeout {given!r} of {shown(url)} is no number of seconds") from error


def _check_sqlite_version(url: URL) -> None:
    """Refuse a SQLite that does not know our SQL, rather than fail at the first statement it cannot read."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        needed = ".".join(map(str, OLDEST_SQLITE))
        reason = f"this Python has SQLite {sqlite3.sqlite_version}, {needed} or newer is needed"
        raise StoreUnavailable(shown(url), reason)


def _prepare_sqlite(connection: Any, _record: object) -> None:
    """Settings of every new SQLite connection."""
    connection.isolation_level = None  # we say BEGIN ourselves
    cursor = connection.cursor()
    try:
        if not _is_foreign(cursor):
            cursor.execute("PRAGMA journal_mode = WAL")  # readers and the writer do not wait for each other
        cursor.execute("PRAGMA synchronous = FULL")  # a commit survives a power cut
        cursor.execute("PRAGMA foreign_keys = ON")
    finally:
        cursor.close()


def _is_foreign(cursor: Any) -> bool:
    """Whether a file is another program's, where nothing may change; a new one is ours."""
    tables = {name for (name,) in cursor.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return bool(tables) and "alembic_version" not in tables


def _begin_sqlite(connection: Connection) -> None:
    """Take the write lock at once; single reads need no BEGIN, those that belong together one without a lock."""
    options = connection.get_execution_options()
    if options.get(WRITES):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif options.get(SNAPSHOTS):
        connection.exec_driver_sql("BEGIN")


def _translate(url: URL, error: SQLAlchemyError) -> StoreError:
    """Our word for a foreign error."""
    name, text = shown(url), str(getattr(error, "orig", None) or error).strip()
    if isinstance(error, PoolTimeout):
        return StoreBusy(name, "all connections are in use")
    state = getattr(getattr(error, "orig", None), "sqlstate", None) or ""
    code = getattr(getattr(error, "orig", None), "sqlite_errorname", None) or ""
    path = sqlite_path(url)
    is_full = "disk is full" in text or state == "53100"
    if code.startswith("SQLITE_IOERR"):
        # SQLite keeps to itself why: a quota, a limit of the process and a dying disk all read the same.
        is_full, text = path is not None and not _has_room(path), f"{text} ({code})"
    if is_full:
        return StoreFull(path or name)
    if "is locked" in text:
        return StoreBusy(name, f"somebody else has been writing for {_busy_timeout_s(url):g} s")
    if state in ("40P01", "40001", "55P03"):
        return StoreBusy(name, "another change crossed this one")
    if isinstance(error, OperationalError | DBAPIError):
        return StoreUnavailable(name, text)
    return StoreError(f"{name}: {text}")


def _has_room(path: Path) -> bool:
    """Whether a file beside the database can grow beyond the largest of the database's own; leaves nothing there."""
    try:
        largest = max(each.stat().st_size for each in path.parent.glob(f"{glob.escape(path.name)}*"))
        with tempfile.TemporaryFile(dir=path.parent) as probe:
            probe.seek(largest)
            probe.write(bytes(PROBE_BYTES))
            probe.flush()
            os.fsync(probe.fileno())
    except (OSError, ValueError) as error:
        return getattr(error, "errno", None) not in NO_SPACE
    return True
