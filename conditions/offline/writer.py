"""Writing snapshots: a new file, or more tags and newer contents in one that is there.

A snapshot is written beside its place and named when it is finished and on the disk, so who reads sees the old one or
the new one. The same tags give the same bytes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from conditions.errors import BadSnapshot, NotSaved, OtherOrigin, StoreBusy, StoreUnavailable
from conditions.iov import IntervalOfValidity
from conditions.offline.atomic import complete_file
from conditions.offline.schema import (
    DETAILS,
    MARKS,
    TABLES,
    check_integrity,
    has_details,
    open_snapshot,
    our_errors,
)
from conditions.payload import Payload
from conditions.resolve import IovEntry
from conditions.tags import Tag

Change = Literal["added", "refreshed", "unchanged"]
Numbers = tuple[int, int, int, int, int]  # payloadId and the four of an interval
NO_SPACE: Final = "database or disk is full"
LOCK_WAIT_S: Final = 120
LOCK_RETRY_S: Final = 0.1


@dataclass(frozen=True)
class TagContent:
    """A tag as it is written: its rows, cut to an interval of runs when one is given.

    `digest` is that of the whole tag, None where nobody computed it.
    """

    tag: Tag
    entries: Sequence[IovEntry]
    runs: IntervalOfValidity | None = None
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class TagWritten:
    """What became of a tag in the file."""

    name: str
    state: str
    n_iovs: int
    n_payloads: int
    change: Change


def write_snapshot(
    path: Path,
    contents: Iterable[TagContent],
    *,
    base_url: str = "",
    details: bool = False,
    append: bool = False,
    replace: bool = False,
) -> list[TagWritten]:
    """Write tags into a snapshot; all of them, or the file stays as it was.

    Args:
        path: the file.
        contents: the tags; they may be read while they are written.
        base_url: below which a server has the payloads; readers without payload folders need it.
        details: keep what the common tables have no column for, in tables of our own. A file that has them keeps them.
        append: add to the file that is there, and bring tags that it has up to date; one that is not there is made.
        replace: write a new file in place of one that is there.

    Raises:
        NotSaved: the place is taken, or cannot be written.
        OtherOrigin: the file was made from another database.
        BadSnapshot: the file to append to is damaged, or is no snapshot.
    """
    with _held(path, wait=append) as grown, complete_file(path, replace=grown or replace) as temporary:
        if grown:
            _check_whole(path)
            shutil.copyfile(path, temporary)
        connection = sqlite3.connect(temporary, isolation_level=None)
        try:
            connection.execute("PRAGMA journal_mode = OFF")  # the file has no name yet: if this fails, it goes
            connection.execute("PRAGMA synchronous = OFF")
            if not grown:
                connection.executescript(MARKS + TABLES)
            if details:
                connection.executescript(DETAILS)
            connection.execute("BEGIN")
            writer = _Writer(path, connection, base_url, has_details(connection))
            written = [writer.write(content) for content in contents]
            connection.execute("COMMIT")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if str(error) == NO_SPACE:
                raise NotSaved(path, "no space left on the disk") from error
            raise BadSnapshot(path, str(error)) from error
        finally:
            connection.close()
    return written


def _check_whole(path: Path) -> None:
    """Refuse to grow what is damaged, or is no snapshot."""
    connection = open_snapshot(path)
    try:
        with our_errors(path):
            check_integrity(path, connection)
    finally:
        connection.close()


class _Writer:
    """One transaction on a snapshot that has no name yet."""

    def __init__(self, path: Path, connection: sqlite3.Connection, base_url: str, detailed: bool) -> None:
        self.path, self.connection, self.detailed = path, connection, detailed
        self.base_url = base_url
        self._name_ids: dict[str, int] = {}
        self._base_url_id: int | None = None

    def write(self, content: TagContent) -> TagWritten:
        """Add a tag, or bring it up to date."""
        tag, entries = content.tag, _cut(content)
        payloads = {entry.payload.id: entry.payload for entry in entries}
        self._check_origin(tag)
        self._keep_payloads(payloads.values())
        # One row of two that became the same by being cut: the younger one decides its place.
        wanted: dict[Numbers, None] = {}
        for entry in entries:
            numbers = (entry.payload.id, *entry.iov.to_tuple())
            wanted.pop(numbers, None)
            wanted[numbers] = None
        change = self._keep_tag(content, list(wanted))
        return TagWritten(tag.name, tag.state.value, len(wanted), len(payloads), change)

    def _check_origin(self, tag: Tag) -> None:
        found = self.connection.execute("SELECT globalTagId FROM globaltags WHERE globalTagName = ?", (tag.name,))
        for (tag_id,) in found:
            if tag_id != tag.id:
                raise OtherOrigin(self.path, f"its tag {tag.name!r} has the number {tag_id}, not {tag.id}")

    def _keep_payloads(self, payloads: Iterable[Payload]) -> None:
        statement = (
            "SELECT payloadId, payloadName, revision, checksum FROM payloads JOIN payloadNames USING (payloadNameId)"
        )
        known = {payload_id: facts for payload_id, *facts in self.connection.execute(statement)}
        numbered = {(name, revision): payload_id for payload_id, (name, revision, _) in known.items()}
        rows = []
        for payload in sorted(payloads, key=lambda payload: payload.id):
            same = numbered.get((payload.name, payload.revision), payload.id)
            found = known.get(payload.id)
            if same != payload.id or (found and found != [payload.name, payload.revision, payload.md5]):
                raise OtherOrigin(self.path, f"it has another payload {payload.id}, or another {payload}")
            if found is None:
                name_id = self._name_id(payload.name)
                rows.append((payload.id, name_id, payload.revision, payload.md5, self._base_id()))
            if self.detailed:
                self._keep_details(payload)
        self.connection.executemany(
            "INSERT INTO payloads (payloadId, payloadNameId, revision, checksum, baseUrlId) VALUES (?, ?, ?, ?, ?)",
            rows,
        )

    def _keep_details(self, payload: Payload) -> None:
        if not payload.sha256:
            return
        metadata = json.dumps(dict(payload.metadata), sort_keys=True, separators=(",", ":"))
        self.connection.execute(
            "INSERT OR REPLACE INTO payloadDetails VALUES (?, ?, ?, ?, ?, ?)",
            (
                payload.id,
                payload.sha256,
                payload.size_bytes,
                metadata,
                payload.created_at.isoformat(),
                payload.created_by,
            ),
        )

    def _keep_tag(self, content: TagContent, wanted: list[Numbers]) -> Change:
        tag, connection = content.tag, self.connection
        change = self._change_of(tag, wanted)
        if change != "unchanged":
            dropped = connection.execute("SELECT DISTINCT payloadId FROM iovs WHERE globalTagId = ?", (tag.id,))
            before = [payload_id for (payload_id,) in dropped]
            connection.execute("DELETE FROM iovs WHERE globalTagId = ?", (tag.id,))
            connection.execute(
                "INSERT OR REPLACE INTO globaltags (globalTagId, globalTagName, globalTagStatus) VALUES (?, ?, ?)",
                (tag.id, tag.name, tag.state.value),
            )
            connection.executemany(
                "INSERT INTO iovs (globalTagId, payloadId, firstExp, firstRun, finalExp, finalRun)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                ((tag.id, *numbers) for numbers in wanted),
            )
            self._forget_unused(before)
        if self.detailed:
            connection.execute(
                "INSERT OR REPLACE INTO tagDetails VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _tag_details(content)
            )
        return change

    def _change_of(self, tag: Tag, wanted: list[Numbers]) -> Change:
        statement = "SELECT globalTagName, globalTagStatus FROM globaltags WHERE globalTagId = ?"
        found = self.connection.execute(statement, (tag.id,)).fetchone()
        if found is None:
            return "added"
        statement = """
            SELECT payloadId, firstExp, firstRun, finalExp, finalRun FROM iovs WHERE globalTagId = ? ORDER BY rowid
        """
        same = found == (tag.name, tag.state.value) and (
            self.connection.execute(statement, (tag.id,)).fetchall() == wanted
        )
        return "unchanged" if same else "refreshed"

    def _forget_unused(self, payload_ids: Iterable[int]) -> None:
        """Payloads of a tag's earlier content that no tag has now."""
        used = {payload_id for (payload_id,) in self.connection.execute("SELECT DISTINCT payloadId FROM iovs")}
        gone = [(payload_id,) for payload_id in payload_ids if payload_id not in used]
        self.connection.executemany("DELETE FROM payloads WHERE payloadId = ?", gone)
        if self.detailed:
            self.connection.executemany("DELETE FROM payloadDetails WHERE payloadId = ?", gone)

    def _name_id(self, name: str) -> int:
        found = self._name_ids.get(name)
        if found is None:
            self.connection.execute("INSERT OR IGNORE INTO payloadNames (payloadName) VALUES (?)", (name,))
            statement = "SELECT payloadNameId FROM payloadNames WHERE payloadName = ?"
            found = self._name_ids[name] = int(self.connection.execute(statement, (name,)).fetchone()[0])
        return found

    def _base_id(self) -> int:
        if self._base_url_id is None:
            self.connection.execute("INSERT OR IGNORE INTO baseUrls (baseUrl) VALUES (?)", (self.base_url,))
            statement = "SELECT baseUrlId FROM baseUrls WHERE baseUrl = ?"
            self._base_url_id = int(self.connection.execute(statement, (self.base_url,)).fetchone()[0])
        return self._base_url_id


def _cut(content: TagContent) -> list[IovEntry]:
    """The rows in order of their age, cut to the runs that were asked for.

    Whole ones would answer for runs outside, too, where a row that was left out may be the one that wins.
    """
    ordered = sorted(content.entries, key=lambda entry: entry.id)
    if content.runs is None:
        return ordered
    pieces = ((entry, content.runs.intersection(entry.iov)) for entry in ordered)
    return [IovEntry(entry.id, entry.payload, iov, entry.tag) for entry, iov in pieces if iov is not None]


def _tag_details(content: TagContent) -> tuple[object, ...]:
    tag = content.tag
    return (
        tag.id,
        tag.type,
        tag.description,
        tag.content_revision,
        content.digest,
        None if content.runs is None else str(content.runs),
        tag.created_at.isoformat(),
        tag.modified_at.isoformat(),
        tag.modified_by,
    )


@contextmanager
def _held(path: Path, *, wait: bool) -> Iterator[bool]:
    """Whether there is a file to grow; it is held, because two at a time would lose what one of them added."""
    try:
        handle = _locked(path) if wait else None
    except FileNotFoundError:
        handle = None
    except OSError as error:
        raise StoreUnavailable(path, error.strerror or str(error)) from error
    try:
        yield handle is not None
    finally:
        if handle is not None:
            os.close(handle)


def _locked(path: Path) -> int:
    """A lock on the file that has this name now; who waited for it finds another file under the name."""
    deadline = time.monotonic() + LOCK_WAIT_S
    while True:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                os.close(handle)
                raise StoreBusy(path, f"another process has been writing it for {LOCK_WAIT_S} s") from error
            time.sleep(LOCK_RETRY_S)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
