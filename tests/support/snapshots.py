"""Snapshots by another hand: a writer and a reader that know the common schema and nothing of our code."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

SCHEMA = """
PRAGMA application_id = 0xb2cdb;
PRAGMA user_version = 1;
CREATE TABLE baseUrls (baseUrlId INTEGER PRIMARY KEY, baseUrl TEXT UNIQUE);
CREATE TABLE payloadNames (payloadNameId INTEGER PRIMARY KEY, payloadName TEXT UNIQUE);
CREATE TABLE payloads (
    payloadId INTEGER PRIMARY KEY, payloadNameId INTEGER, revision INTEGER, checksum TEXT, payloadUrl TEXT,
    baseUrlId INTEGER, UNIQUE (payloadNameId, revision)
);
CREATE TABLE globaltags (globalTagId INTEGER PRIMARY KEY, globalTagName TEXT UNIQUE, globalTagStatus TEXT);
CREATE TABLE iovs (
    globalTagId INTEGER, payloadId INTEGER, firstExp INTEGER, firstRun INTEGER, finalExp INTEGER, finalRun INTEGER
);
CREATE UNIQUE INDEX all_six ON iovs (payloadId, globalTagId, finalRun, finalExp, firstRun, firstExp);
CREATE VIEW full_payloads AS SELECT payloadId, payloadName, revision, checksum,
    coalesce(payloadUrl, printf('dbstore/%s/dbstore_%s_rev_%d.root', payloadName, payloadName, revision)) AS payloadUrl,
    baseUrl FROM payloads NATURAL JOIN payloadNames NATURAL JOIN baseUrls;
CREATE VIEW iov_payloads AS SELECT globalTagName, payloadId, payloadName, revision, checksum, firstExp, firstRun,
    finalExp, finalRun, payloadUrl, baseUrl FROM globaltags NATURAL JOIN iovs NATURAL JOIN full_payloads;
"""
COLUMNS = (
    "globalTagName",
    "payloadId",
    "payloadName",
    "revision",
    "checksum",
    "firstExp",
    "firstRun",
    "finalExp",
    "finalRun",
    "payloadUrl",
    "baseUrl",
)
LOOKUP = """
SELECT payloadName, revision, checksum, payloadUrl, baseUrl FROM iov_payloads
WHERE globalTagName = :tag AND (firstExp < :exp OR (firstExp = :exp AND firstRun <= :run))
AND (finalExp = -1 OR finalExp > :exp OR (finalExp = :exp AND (finalRun = -1 OR finalRun >= :run)))
ORDER BY payloadName, revision
"""


def new_file(path: Path, statements: str = "") -> Path:
    """An empty snapshot by the other writer, changed by SQL."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript(SCHEMA + statements)
    finally:
        connection.close()
    return path


def change(path: Path, statements: str) -> Path:
    """A snapshot changed by SQL."""
    connection = sqlite3.connect(path)
    try:
        connection.executescript(statements)
    finally:
        connection.close()
    return path


def rows(path: Path, statement: str = f"SELECT {', '.join(COLUMNS)} FROM iov_payloads") -> list[tuple[object, ...]]:
    """What a query gives."""
    connection = sqlite3.connect(path)
    try:
        return list(connection.execute(statement))
    finally:
        connection.close()


def winners(path: Path, tags: Iterable[str], exp: int, run: int) -> dict[str, tuple[object, ...]]:
    """The other reader's lookup: (revision, checksum, payloadUrl, baseUrl) of each name, first tag, then revision."""
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    found: dict[str, tuple[object, ...]] = {}
    try:
        for tag in tags:
            of_tag = {}
            for name, *facts in connection.execute(LOOKUP, {"tag": tag, "exp": exp, "run": run}):
                of_tag[name] = tuple(facts)  # in order of revision: the highest stays
            found = of_tag | found
    finally:
        connection.close()
    return found
