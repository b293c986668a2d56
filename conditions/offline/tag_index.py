"""A tag of a snapshot made ready for lookups: which of its rows wins where.

For each payload name the line of runs is cut into pieces with the row that wins there, as `resolve` decides, so that
a lookup is a search by halves. Numbers are kept in arrays: 200,000 rows take some ten megabytes.
"""

from __future__ import annotations

import sqlite3
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from re import compile as pattern
from typing import Any, Final

from conditions.digest import winning
from conditions.errors import BadInputError, BadSnapshot
from conditions.iov import FOREVER_KEY, MAX_NUMBER, RUN_BITS, IntervalOfValidity
from conditions.payload import check_payload_name

_OPEN_BITS: Final = 2**RUN_BITS - 1
_MD5: Final = pattern(r"[0-9a-f]{32}")
_MD5_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Pieces:
    """Where on the line of runs which row of one payload name wins; in order, and none overlaps another."""

    first_keys: array[int]
    final_keys: array[int]
    rows: array[int]

    def at(self, key: int) -> tuple[int | None, int, int]:
        """The row that wins at a place, None in a gap, and the first and the last place around it where it does."""
        position = bisect_right(self.first_keys, key) - 1
        if position >= 0 and key <= self.final_keys[position]:
            return self.rows[position], self.first_keys[position], self.final_keys[position]
        before = self.final_keys[position] + 1 if position >= 0 else 0
        after = self.first_keys[position + 1] - 1 if position + 1 < len(self.first_keys) else FOREVER_KEY
        return None, before, after


@dataclass(frozen=True, slots=True)
class TagIndex:
    """A tag's rows and payloads by number, and the pieces of each payload name in order of name."""

    pieces: dict[str, Pieces] = field(default_factory=dict)
    first_keys: array[int] = field(default_factory=lambda: array("q"))
    final_keys: array[int] = field(default_factory=lambda: array("q"))
    payloads: array[int] = field(default_factory=lambda: array("q"))  # of each row, its number in what follows
    ids: array[int] = field(default_factory=lambda: array("q"))
    revisions: array[int] = field(default_factory=lambda: array("q"))
    digests: bytearray = field(default_factory=bytearray)

    def interval(self, row: int) -> IntervalOfValidity:
        """The runs that a row says its payload is valid for."""
        return IntervalOfValidity.from_keys(self.first_keys[row], self.final_keys[row])

    def md5(self, number: int) -> str:
        """The md5 of a payload."""
        return self.digests[number * _MD5_BYTES : (number + 1) * _MD5_BYTES].hex()


def index_of(path: Path, connection: sqlite3.Connection, tag: str, tag_id: int) -> TagIndex:
    """Read a tag.

    Raises:
        BadSnapshot: a row cannot be meant.
    """
    index = TagIndex()
    numbers: dict[int, tuple[int, str]] = {}  # payloadId -> its number here, its name
    for payload_id, name, revision, md5 in _payload_rows(path, connection, tag_id):
        numbers[payload_id] = len(index.ids), name
        index.ids.append(payload_id)
        index.revisions.append(revision)
        index.digests.extend(bytes.fromhex(md5))
    of_name: dict[str, list[tuple[int, int, int, int, int]]] = {}
    statement = "SELECT rowid, payloadId, firstExp, firstRun, finalExp, finalRun FROM iovs WHERE globalTagId = ?"
    for row_id, payload_id, *given in connection.execute(statement, (tag_id,)):
        found = numbers.get(payload_id)
        if found is None:
            raise BadSnapshot(path, f"row {row_id} of tag {tag!r} is about a payload {payload_id!r} that is not there")
        number, name = found
        first_key, final_key = _keys(path, tag, row_id, *given)
        row = len(index.payloads)
        index.first_keys.append(first_key)
        index.final_keys.append(final_key)
        index.payloads.append(number)
        of_name.setdefault(name, []).append((first_key, final_key, index.revisions[number], row_id, row))
    for name in sorted(of_name):
        index.pieces[name] = _pieces(of_name.pop(name))
    return index


def _pieces(rows: list[tuple[int, int, int, int, int]]) -> Pieces:
    rows.sort()
    pieces = Pieces(array("q"), array("q"), array("q"))
    for first_key, final_key, row in winning(rows):
        pieces.first_keys.append(first_key)
        pieces.final_keys.append(final_key)
        pieces.rows.append(row)
    return pieces


def _payload_rows(path: Path, connection: sqlite3.Connection, tag_id: int) -> Iterator[tuple[int, str, int, str]]:
    """(payloadId, name, revision, md5) of each payload of a tag, looked at."""
    statement = """
        SELECT payloadId, payloadName, revision, checksum
        FROM payloads LEFT JOIN payloadNames USING (payloadNameId)
        WHERE payloadId IN (SELECT payloadId FROM iovs WHERE globalTagId = ?)
    """
    known: set[str] = set()
    for payload_id, name, revision, checksum in connection.execute(statement, (tag_id,)):
        if name not in known:
            try:
                known.add(check_payload_name(name))
            except BadInputError as error:
                raise BadSnapshot(path, f"payload {payload_id}: {error}") from error
        if type(payload_id) is not int or type(revision) is not int or revision < 0:
            raise BadSnapshot(path, f"payload {payload_id!r} has the revision {revision!r}")
        md5 = checksum.lower() if isinstance(checksum, str) else ""
        if _MD5.fullmatch(md5) is None:
            raise BadSnapshot(path, f"payload {payload_id} has the checksum {checksum!r}, which is no md5")
        yield payload_id, name, revision, md5


def _keys(path: Path, tag: str, row_id: int, *given: Any) -> tuple[int, int]:
    """The places of a row's first run and of its end."""
    first_exp, first_run, final_exp, final_run = given
    if (
        type(first_exp) is type(first_run) is type(final_exp) is type(final_run) is int
        and 0 <= first_exp <= final_exp <= MAX_NUMBER
        and 0 <= first_run <= MAX_NUMBER
        and -1 <= final_run <= MAX_NUMBER
    ):
        first_key = first_exp << RUN_BITS | first_run
        final_key = final_exp << RUN_BITS | (_OPEN_BITS if final_run == -1 else final_run)
        if first_key <= final_key:
            return first_key, final_key
    try:
        iov = IntervalOfValidity.from_tuple(*given)
    except BadInputError as error:
        raise BadSnapshot(path, f"row {row_id} of tag {tag!r}: {error}") from error
    return iov.first_key, iov.final_key
