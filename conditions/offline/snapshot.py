"""Reading a snapshot: tags and payloads of a moment in one file, for jobs without a server.

A snapshot answers as the store it was made from. A tag is read into memory when it is first asked for; any number of
processes may read one file, also on a read-only file system. Who writes one gives it its name when it is finished
(`writer.py`), so a job keeps the file that it opened.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import unquote

from conditions.errors import BadInputError, BadSnapshot, PastUnknown, PayloadNotFound, StoreUnavailable, TagNotFound
from conditions.iov import FOREVER_KEY, IntervalOfValidity, Run
from conditions.offline.locations import PayloadFolder, find_payload
from conditions.offline.schema import (
    APPLICATION_ID,
    SQLITE_MAGIC,
    check_integrity,
    conventional_url,
    has_details,
    open_snapshot,
    our_errors,
)
from conditions.offline.tag_index import TagIndex, index_of
from conditions.payload import Payload
from conditions.resolve import UNKNOWN_REVISION, Held, Resolved, TagFacts, TagRef, check_stack, parse_stack
from conditions.tags import TagState, check_usable, near_names, parse_state

log = logging.getLogger(__name__)

UNKNOWN_TIME: Final = datetime.fromtimestamp(0, UTC)  # where a snapshot without details has nothing to say
_KEPT_PAYLOADS: Final = 10_000  # values kept for the next lookup; the index can make them again
_ID_AT: Final = 68  # where the head of a SQLite file has the application_id
_HTTP: Final = re.compile(r"https?://[^\s\\]+", re.IGNORECASE)
_BELOW: Final = re.compile(r"(?![A-Za-z][A-Za-z0-9+.-]*:)[^\\\x00-\x1f\x7f]+")  # no scheme, no control characters
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class SnapshotTag:
    """A tag in a snapshot. What only the details know is unknown in one without them."""

    facts: TagFacts
    n_iovs: int
    n_payloads: int
    type: str | None = None
    description: str | None = None
    digest: str | None = None
    runs: str | None = None


class SnapshotSource:
    """Conditions from a snapshot file, with payload files from folders.

    Args:
        path: the snapshot.
        payloads: payload folders in order; None means `payloads` beside the snapshot.

    Raises:
        BadSnapshot: the file is damaged, unfinished, or something else.
        StoreUnavailable: it is not there, or cannot be read.
    """

    def __init__(self, path: Path | str, payloads: Sequence[Path | str] | None = None) -> None:
        self.path = Path(path).expanduser().absolute()
        folders = (self.path.parent / "payloads",) if payloads is None else payloads
        self.folders = tuple(PayloadFolder(folder) for folder in folders)
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._connection: sqlite3.Connection | None = None
        self._opened: tuple[int, int, int] | None = None  # which file it was
        self._facts: dict[str, TagFacts] = {}
        self._indexes: dict[str, TagIndex] = {}
        self._payloads: dict[int, Payload] = {}
        self.detailed = False
        with self._reading():
            pass

    @property
    def url(self) -> str:
        """Where it is, for messages."""
        return str(self.path)

    def resolve_many(
        self,
        stack: Sequence[str] | str,
        runs: Iterable[Run],
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
        as_of: datetime | None = None,
    ) -> dict[Run, dict[str, Resolved]]:
        """The winners for each run, by payload name; all names when none are given.

        Raises:
            TagNotFound, TagNotUsable: a tag of the stack is not in the file, is INVALID, or OPEN and not allowed to be.
            PastUnknown: the past was asked for, of which a snapshot knows nothing.
        """
        indexes = self._stack(stack, allow_open=allow_open, as_of=as_of)
        wanted = None if names is None else _name_list(names)
        return {run: self._resolved(indexes, run.key, wanted)[0] for run in sorted(set(runs))}

    def resolve_held(
        self,
        stack: Sequence[str] | str,
        run: Run,
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
        as_of: datetime | None = None,
    ) -> Held:
        """The winners for a run, and the runs around it that have the same winners."""
        indexes = self._stack(stack, allow_open=allow_open, as_of=as_of)
        wanted = None if names is None else _name_list(names)
        answer, first_key, final_key = self._resolved(indexes, run.key, wanted)
        return Held(answer, IntervalOfValidity.from_keys(first_key, final_key), self.tag_facts(stack))

    def tag_facts(self, stack: Sequence[str] | str) -> tuple[TagFacts, ...]:
        """State and content revision of each tag of a stack; an unknown revision when the snapshot has no details."""
        with self._reading():
            return tuple(self._tag(ref) for ref in parse_stack(stack))

    def tags(self) -> list[SnapshotTag]:
        """All tags of the file, in order of name."""
        with self._reading() as connection:
            return _read_tags(self._facts, connection, self.detailed)

    def check(self) -> None:
        """Read the whole file and every tag in it.

        Raises:
            BadSnapshot: something in it is damaged, or cannot be meant.
        """
        with self._reading() as connection:
            check_integrity(self.path, connection)
            for facts in self._facts.values():
                index_of(self.path, connection, facts.name, facts.id)

    def payload_path(self, payload: Payload) -> Path:
        """A local file with the payload's bytes, verified, from the first folder that has it.

        Raises:
            PayloadNotHere: no folder has it.
        """
        return find_payload(self.folders, payload)

    def payload_url(self, payload: Payload) -> tuple[str, str] | None:
        """Where the payload can be fetched: base URL, and the path below it; None when the file does not say where.

        Raises:
            BadSnapshot: a path that leads elsewhere, or a base URL that no server has.
        """
        statement = """
            SELECT payloadUrl, baseUrl FROM payloads JOIN payloadNames USING (payloadNameId)
            LEFT JOIN baseUrls USING (baseUrlId) WHERE payloadName = ? AND revision = ?
        """
        with self._reading() as connection:
            found = connection.execute(statement, (payload.name, payload.revision)).fetchone()
        if found is None:
            raise PayloadNotFound(payload.name, payload.revision)
        below, base = found
        if not base:
            return None
        if below is None:
            below = conventional_url(payload.name, payload.revision)
        return _checked_base(self.path, payload, base), _checked_path(self.path, payload, below)

    def close(self) -> None:
        """Let go of the file; a closed source opens it again when it is used."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _stack(
        self, stack: Sequence[str] | str, *, allow_open: bool, as_of: datetime | None
    ) -> list[tuple[str, TagIndex]]:
        """The entries of a stack that may be used, with their indexes."""
        chosen = []
        with self._reading() as connection:  # one file for all tags, also where it has to be opened again
            for entry, ref in zip(check_stack(stack), parse_stack(stack), strict=True):
                facts = self._tag(ref)
                check_usable(ref.name, facts.state, allow_open=allow_open)
                if as_of is not None:
                    raise PastUnknown(ref.name, as_of, "a snapshot knows one moment only; ask the server")
                chosen.append((entry, facts))
            return [(entry, self._index(connection, facts)) for entry, facts in chosen]

    def _tag(self, ref: TagRef) -> TagFacts:
        facts = self._facts.get(ref.name)
        if facts is None:
            raise TagNotFound(ref.name, near_names(ref.name, self._facts), str(self.path))
        if ref.content_revision is not None and ref.content_revision != facts.content_revision:
            has = f"has revision {facts.content_revision}" if self.detailed else "was made without --details"
            raise PastUnknown(ref.name, f"revision {ref.content_revision}", f"the snapshot {self.path} {has}")
        return facts

    def _index(self, connection: sqlite3.Connection, facts: TagFacts) -> TagIndex:
        found = self._indexes.get(facts.name)
        if found is None:
            found = self._indexes[facts.name] = index_of(self.path, connection, facts.name, facts.id)
        return found

    def _resolved(
        self, indexes: Sequence[tuple[str, TagIndex]], key: int, names: Sequence[str] | None
    ) -> tuple[dict[str, Resolved], int, int]:
        """The winners at a place, and the first and the last place around it where they are the same."""
        if names is None:
            names = sorted({name for _, index in indexes for name in index.pieces})
        answer: dict[str, Resolved] = {}
        first_key, final_key = 0, FOREVER_KEY
        for name in names:
            for entry, index in indexes:
                if (pieces := index.pieces.get(name)) is None:
                    continue
                row, first, final = pieces.at(key)
                first_key, final_key = max(first_key, first), min(final_key, final)
                if row is not None:
                    payload = self._payload(index, name, index.payloads[row])
                    answer[name] = Resolved(payload, index.interval(row), entry)
                    break
        return answer, first_key, final_key

    def _payload(self, index: TagIndex, name: str, number: int) -> Payload:
        """A payload of a tag as a value."""
        payload_id = index.ids[number]
        payload = self._payloads.get(payload_id)
        if payload is None:
            payload = Payload(
                name, index.revisions[number], "", index.md5(number), -1, {}, UNKNOWN_TIME, "", payload_id
            )
            if self.detailed:
                payload = self._with_details(payload)
            if len(self._payloads) >= _KEPT_PAYLOADS:
                self._payloads.clear()
            self._payloads[payload_id] = payload
        return payload

    def _with_details(self, payload: Payload) -> Payload:
        statement = "SELECT sha256, sizeBytes, metadata, createdAt, createdBy FROM payloadDetails WHERE payloadId = ?"
        with self._reading() as connection:
            found = connection.execute(statement, (payload.id,)).fetchone()
        return payload if found is None else _detailed(self.path, payload, *found)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, used by one thread at a time; a child of a fork opens its own."""
        if self._pid != os.getpid():  # the lock may have been held by a thread that did not come along
            self._lock, self._connection, self._pid = threading.RLock(), None, os.getpid()
        with self._lock, our_errors(self.path):
            if self._connection is None:
                self._connection = self._open()
            yield self._connection

    def _open(self) -> sqlite3.Connection:
        connection = open_snapshot(self.path)
        try:
            stat = self.path.stat()
            found = (stat.st_dev, stat.st_ino, stat.st_mtime_ns)
            if found != self._opened:
                if self._opened is not None:
                    log.warning("%s was replaced while it was used; from now on the new file is read", self.path)
                self.detailed = has_details(connection)
                self._facts = {facts.name: facts for facts in _read_facts(self.path, connection, self.detailed)}
                self._indexes, self._payloads = {}, {}
                self._opened = found
        except OSError as error:
            connection.close()
            raise StoreUnavailable(self.path, error.strerror or str(error)) from error
        except BaseException:
            connection.close()
            raise
        return connection


def is_snapshot(path: Path) -> bool:
    """Whether a file says of itself that it is a snapshot, of whatever version."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_ID_AT + 4)
    except OSError:
        return False
    return head.startswith(SQLITE_MAGIC) and int.from_bytes(head[_ID_AT:], "big") == APPLICATION_ID


def _read_facts(path: Path, connection: sqlite3.Connection, detailed: bool) -> Iterator[TagFacts]:
    """Every tag of a snapshot, looked at."""
    statement = "SELECT globalTagId, globalTagName, globalTagStatus, NULL, NULL FROM globaltags"
    if detailed:
        statement = """
            SELECT globalTagId, globalTagName, globalTagStatus, contentRevision, digest
            FROM globaltags LEFT JOIN tagDetails USING (globalTagId)
        """
    for tag_id, name, status, known_revision, digest in connection.execute(statement):
        content_revision = UNKNOWN_REVISION if known_revision is None else known_revision
        if type(tag_id) is not int or not isinstance(name, str) or type(content_revision) is not int:
            raise BadSnapshot(path, f"tag {name!r} has the number {tag_id!r} and content revision {content_revision!r}")
        try:
            state = parse_state(str(status))
        except BadInputError as error:  # of a later program, perhaps; the other tags are as good as ever
            log.warning("tag %r of snapshot %s is passed over: %s", name, path, error)
            continue
        yield TagFacts(name, state, content_revision, digest if state is TagState.PUBLISHED else None, tag_id)


def _read_tags(facts: Mapping[str, TagFacts], connection: sqlite3.Connection, detailed: bool) -> list[SnapshotTag]:
    counted = "SELECT globalTagId, count(*), count(DISTINCT payloadId) FROM iovs GROUP BY globalTagId"
    counts = {tag_id: (n_iovs, n_payloads) for tag_id, n_iovs, n_payloads in connection.execute(counted)}
    details: dict[int, list[str | None]] = {}
    if detailed:
        told = connection.execute("SELECT globalTagId, globalTagType, description, digest, runs FROM tagDetails")
        details = {tag_id: texts for tag_id, *texts in told}
    return [SnapshotTag(tag, *counts.get(tag.id, (0, 0)), *details.get(tag.id, ())) for _, tag in sorted(facts.items())]


def _detailed(path: Path, payload: Payload, *given: Any) -> Payload:
    """A payload with what the details say of it."""
    sha256, size_bytes, metadata, created_at, created_by = given
    try:
        told = json.loads(metadata)
        if not isinstance(told, dict) or _SHA256.fullmatch(sha256) is None or type(size_bytes) is not int:
            raise ValueError("sha256, size or metadata are not of their kind")
        when = datetime.fromisoformat(created_at)
    except (ValueError, TypeError, RecursionError) as error:
        raise BadSnapshot(path, f"the details of {payload}: {error}") from error
    return replace(
        payload, sha256=sha256, size_bytes=size_bytes, metadata=told, created_at=when, created_by=str(created_by)
    )


def _checked_base(path: Path, payload: Payload, base: object) -> str:
    """A base URL that a file can be fetched from; it ends with a slash."""
    if not isinstance(base, str) or _HTTP.fullmatch(base) is None:
        raise BadSnapshot(path, f"{payload} cannot be fetched from the base URL {base!r}; one of http or https can be")
    return base if base.endswith("/") else f"{base}/"


def _checked_path(path: Path, payload: Payload, below: object) -> str:
    """A path that stays below its base URL."""
    if isinstance(below, str):
        plain = unquote(unquote(below))
        if _BELOW.fullmatch(plain) is not None and not {"", ".", ".."} & set(plain.split("/")):
            return below
    raise BadSnapshot(path, f"the payloadUrl {below!r} of {payload} is no path below a base URL")


def _name_list(names: Iterable[str]) -> list[str]:
    """Each name once, in order; one name alone is a list of one."""
    return [names] if isinstance(names, str) else sorted(set(names))
