"""The form of a snapshot: a SQLite file with tables that readers of other hands know, too.

Numbers of tags and payloads are those of the database it was made from. The order of rows in `iovs` is their order
there, the oldest first. `payloadDetails` and `tagDetails` are our own addition for those who ask for it: what the
other tables have no column for. A reader that does not know them does not see them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from conditions.errors import BadSnapshot, StoreUnavailable

APPLICATION_ID: Final = 0xB2CDB
SCHEMA_VERSION: Final = 1
SQLITE_MAGIC: Final = b"SQLite format 3\0"
HEAD_BYTES: Final = 100

MARKS: Final = f"PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {SCHEMA_VERSION};"
TABLES: Final = """
CREATE TABLE baseUrls (baseUrlId INTEGER PRIMARY KEY, baseUrl TEXT UNIQUE);
CREATE TABLE payloadNames (payloadNameId INTEGER PRIMARY KEY, payloadName TEXT UNIQUE);
CREATE TABLE payloads (
    payloadId INTEGER PRIMARY KEY,
    payloadNameId INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    checksum TEXT NOT NULL,
    payloadUrl TEXT DEFAULT NULL,
    baseUrlId INTEGER NOT NULL,
    UNIQUE (payloadNameId, revision)
);
CREATE TABLE globaltags (globalTagId INTEGER PRIMARY KEY, globalTagName TEXT UNIQUE, globalTagStatus TEXT NOT NULL);
CREATE TABLE iovs (
    globalTagId INTEGER NOT NULL,
    payloadId INTEGER NOT NULL,
    firstExp INTEGER NOT NULL,
    firstRun INTEGER NOT NULL,
    finalExp INTEGER NOT NULL,
    finalRun INTEGER NOT NULL
);
CREATE UNIQUE INDEX iovs_of_tag ON iovs (globalTagId, firstExp, firstRun, finalExp, finalRun, payloadId);
CREATE VIEW full_payloads AS
    SELECT payloadId, payloadName, revision, checksum,
        ifnull(
            payloadUrl, 'dbstore/' || payloadName || '/dbstore_' || payloadName || '_rev_' || revision || '.root'
        ) AS payloadUrl,
        baseUrl
    FROM payloads INNER JOIN payloadNames USING (payloadNameId) INNER JOIN baseUrls USING (baseUrlId);
CREATE VIEW iov_payloads AS
    SELECT globalTagName, payloadId, payloadName, revision, checksum, firstExp, firstRun, finalExp, finalRun,
        payloadUrl, baseUrl
    FROM globaltags INNER JOIN iovs USING (globalTagId) INNER JOIN full_payloads USING (payloadId);
"""
# Times are ISO 8601; `runs` is the interval that the tag was cut to, NULL for all of it; `digest` is of all of it.
DETAILS: Final = """
CREATE TABLE IF NOT EXISTS payloadDetails (
    payloadId INTEGER PRIMARY KEY,
    sha256 TEXT NOT NULL,
    sizeBytes INTEGER NOT NULL,
    metadata TEXT NOT NULL,
    createdAt TEXT NOT NULL,
    createdBy TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS tagDetails (
    globalTagId INTEGER PRIMARY KEY,
    globalTagType TEXT NOT NULL,
    description TEXT NOT NULL,
    contentRevision INTEGER NOT NULL,
    digest TEXT,
    runs TEXT,
    createdAt TEXT NOT NULL,
    modifiedAt TEXT NOT NULL,
    modifiedBy TEXT NOT NULL
);
"""
_COLUMNS: Final = {
    "baseUrls": "baseUrlId, baseUrl",
    "payloadNames": "payloadNameId, payloadName",
    "payloads": "payloadId, payloadNameId, revision, checksum, payloadUrl, baseUrlId",
    "globaltags": "globalTagId, globalTagName, globalTagStatus",
    "iovs": "globalTagId, payloadId, firstExp, firstRun, finalExp, finalRun",
}
_DETAIL_COLUMNS: Final = {
    "payloadDetails": "payloadId, sha256, sizeBytes, metadata, createdAt, createdBy",
    "tagDetails": (
        "globalTagId, globalTagType, description, contentRevision, digest, runs, createdAt, modifiedAt, modifiedBy"
    ),
}


def conventional_url(name: str, revision: int) -> str:
    """Where a payload lies below its base URL, unless its row says otherwise; the ending is the same for all files."""
    return f"dbstore/{name}/dbstore_{name}_rev_{revision}.root"


def open_snapshot(path: Path) -> sqlite3.Connection:
    """A connection that reads a finished snapshot, also from a read-only file system, without any lock.

    Raises:
        BadSnapshot: the file is damaged, is not finished, or is something else.
        StoreUnavailable: there is no such file, or it cannot be read.
    """
    _check_file(path)
    with our_errors(path):
        # Nobody changes a finished snapshot in place, so SQLite need not look for changes, locks or journals.
        where = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
        connection = sqlite3.connect(where, uri=True, check_same_thread=False, isolation_level=None)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA temp_store = MEMORY")
            check_schema(path, connection)
        except BaseException:
            connection.close()
            raise
    return connection


def check_schema(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a database that is not of the form described here."""
    found = connection.execute("PRAGMA application_id").fetchone()[0]
    if found != APPLICATION_ID:
        raise BadSnapshot(path, f"its application_id is {found:#x}, that of a snapshot is {APPLICATION_ID:#x}")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        raise BadSnapshot(path, f"its schema has version {version}, this program knows {SCHEMA_VERSION}")
    # A view in place of a table could make a reader count for ever.
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if missing := sorted(set(_COLUMNS) - tables):
        raise BadSnapshot(path, f"it has no table {', '.join(missing)}")
    columns = _COLUMNS | (_DETAIL_COLUMNS if has_details(connection) else {})
    for table, names in columns.items():
        connection.execute(f"SELECT {names} FROM {table} LIMIT 0")  # noqa: S608 - both are written above


def check_integrity(path: Path, connection: sqlite3.Connection) -> None:
    """Refuse a file whose pages do not fit together."""
    for (fault,) in connection.execute("PRAGMA integrity_check(1)"):
        if fault != "ok":
            raise BadSnapshot(path, str(fault))


def has_details(connection: sqlite3.Connection) -> bool:
    """Whether the snapshot has our own tables as well."""
    statement = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN ('payloadDetails', 'tagDetails')"
    found: int = connection.execute(statement).fetchone()[0]
    return found == len(_DETAIL_COLUMNS)


@contextmanager
def our_errors(path: Path) -> Iterator[None]:
    """What SQLite finds wrong with a file, as our error; a damaged name in it may be no text."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise BadSnapshot(path, str(error)) from error


def _check_file(path: Path) -> None:
    """What can be seen from outside: it is there, it is a SQLite file, and nobody is writing it."""
    try:
        if not path.is_file():
            raise StoreUnavailable(path, "it is no file" if path.exists() else "there is no such file")
        with path.open("rb") as stream:
            head, size_bytes = stream.read(HEAD_BYTES), os.fstat(stream.fileno()).st_size
        if not head.startswith(SQLITE_MAGIC):
            raise BadSnapshot(path, "it is no SQLite file")
        if size_bytes < _told_size(head):
            raise BadSnapshot(path, f"it is cut off: {size_bytes} bytes are left of {_told_size(head)}")
        for suffix in ("-journal", "-wal"):
            beside = path.with_name(path.name + suffix)
            if beside.is_file() and beside.stat().st_size > 0:
                raise BadSnapshot(path, f"somebody is writing it or was interrupted: {beside.name} lies beside it")
    except OSError as error:
        raise StoreUnavailable(path, error.strerror or str(error)) from error


def _told_size(head: bytes) -> int:
    """The size that the head of a SQLite file speaks of; its own size at least, when that is all it says."""
    page_bytes = int.from_bytes(head[16:18], "big")
    n_pages = int.from_bytes(head[28:32], "big") if head[24:28] == head[92:96] else 0
    return max(HEAD_BYTES, n_pages * (65_536 if page_bytes == 1 else page_bytes))
