"""What a tag gives out, run by run, and one digest of it.

The effective content of a tag is, for each payload name, the runs cut into pieces with the payload that wins there:
the highest revision that covers the run, of two rows of one revision the younger. Neighbouring pieces with the same
bytes are one piece, so two tags have the same effective content exactly when every run gets the same bytes from both,
whatever rows they are made of.

The digest is the sha256 of its lines, `name TAB sha256 TAB first_exp,first_run,final_exp,final_run LF` with -1 for
open ends, in order of name (as UTF-8) and first run. Revisions are a store's own numbers and are not in it.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final, TypeAlias, TypeVar

from conditions.errors import BadInputError
from conditions.iov import FOREVER_KEY, MAX_NUMBER, RUN_BITS, IntervalOfValidity
from conditions.payload import Payload
from conditions.resolve import IovEntry

T = TypeVar("T")
Row: TypeAlias = tuple[int, int, int, int, T]  # first_key, final_key, revision, number of the row, what it gives out
Piece: TypeAlias = tuple[int, int, T]  # first_key, final_key, what wins there
_OPEN_BITS: Final = 2**RUN_BITS - 1
_LAST_EXP_KEY: Final = MAX_NUMBER << RUN_BITS | MAX_NUMBER  # no run comes after this one
_LINES_AT_ONCE: Final = 4096  # hashed together, which is quicker than line by line


def effective(entries: Iterable[IovEntry]) -> Iterator[tuple[str, IntervalOfValidity, Payload]]:
    """Which payload wins where in one tag: (name, piece of runs, payload) in order of name and first run."""
    of_name: dict[str, list[IovEntry]] = {}
    for entry in entries:
        of_name.setdefault(entry.payload.name, []).append(entry)
    for name in sorted(of_name, key=str.encode):
        payloads: dict[str, Payload] = {}
        rows: list[Row[str]] = []
        for entry in of_name[name]:
            # Where only md5 is known, it tells the bytes apart.
            bytes_id = entry.payload.sha256 or entry.payload.md5
            payloads.setdefault(bytes_id, entry.payload)
            rows.append((entry.iov.first_key, entry.iov.final_key, entry.payload.revision, entry.id, bytes_id))
        for first_key, final_key, bytes_id in winning(sorted(rows)):
            yield name, IntervalOfValidity.from_keys(first_key, final_key), payloads[bytes_id]


def tag_digest(entries: Iterable[IovEntry]) -> str:
    """The digest of the effective content of one tag, as 64 hexadecimal digits.

    Raises:
        BadInputError: the sha256 of a payload is not known.
    """

    def pieces() -> Iterator[tuple[str, str, int, int]]:
        for name, iov, payload in effective(entries):
            if not payload.sha256:
                raise BadInputError(f"a digest needs the sha256 of {payload}, of which only md5 is known")
            yield name, payload.sha256, iov.first_key, iov.final_key

    return digest_of_pieces(pieces())


def digest_of_rows(rows: Iterable[tuple[str, int, int, int, int, str]]) -> str:
    """The same digest from (name, first_key, final_key, revision, number, sha256) in order of name and first_key.

    No value is made for a row, and no more is kept than the rows of one name that overlap: 10^6 rows take seconds.
    """

    def pieces() -> Iterator[tuple[str, str, int, int]]:
        for name, of_name in groupby(rows, key=itemgetter(0)):
            for first_key, final_key, sha256 in winning(row[1:] for row in of_name):
                yield name, sha256, first_key, final_key

    return digest_of_pieces(pieces())


def digest_of_pieces(pieces: Iterable[tuple[str, str, int, int]]) -> str:
    """The digest of effective content that comes as (name, sha256, first_key, final_key) in its order."""
    digest = hashlib.sha256()
    lines: list[str] = []
    for name, sha256, first_key, final_key in pieces:
        lines.append(f"{name}\t{sha256}\t{first_key >> RUN_BITS},{first_key & _OPEN_BITS},{_end(final_key)}\n")
        if len(lines) == _LINES_AT_ONCE:
            digest.update("".join(lines).encode())
            lines.clear()
    digest.update("".join(lines).encode())
    return digest.hexdigest()


def winning(rows: Iterable[Row[T]]) -> Iterator[Piece[T]]:
    """The pieces of runs of one payload name and what wins there; neighbours that give out the same are one piece.

    Args:
        rows: the rows of one name, in order of first_key.
    """
    held: Piece[T] | None = None
    for first_key, final_key, given in _cut(rows):
        first, final = _plain(first_key, final_key)
        if first > final:  # no run lies there
            continue
        if held is not None and held[1] + 1 == first and held[2] == given:
            held = held[0], final, given
            continue
        if held is not None:
            yield held
        held = first, final, given
    if held is not None:
        yield held


def _cut(rows: Iterable[Row[T]]) -> Iterator[Piece[T]]:
    """Walk along the line of runs: at each place the best of the rows that have begun and not ended wins."""
    begun: list[tuple[int, int, int, T]] = []  # a heap with the best row on top: -revision, -number, final_key, given
    place = 0
    for first_key, final_key, revision, number, given in rows:
        while begun and place < first_key:
            end = min(begun[0][2], first_key - 1)
            if end >= place:
                yield place, end, begun[0][3]
                place = end + 1
            if begun[0][2] < place:
                heapq.heappop(begun)
        place = first_key
        heapq.heappush(begun, (-revision, -number, final_key, given))
    while begun:
        _, _, end, given = heapq.heappop(begun)
        if end >= place:
            yield place, end, given
            place = end + 1


def _plain(first_key: int, final_key: int) -> tuple[int, int]:
    """The same runs with one way to write each end: a place that no run can have is never the first one."""
    if first_key & _OPEN_BITS == _OPEN_BITS:
        first_key += 1
    if final_key & _OPEN_BITS == MAX_NUMBER:  # up to the last run there can be is up to the end of the experiment
        final_key += 1
    return first_key, FOREVER_KEY if final_key >= _LAST_EXP_KEY else final_key


def _end(final_key: int) -> str:
    """The last run as the edges write it."""
    if final_key == FOREVER_KEY:
        return "-1,-1"
    exp, run = final_key >> RUN_BITS, final_key & _OPEN_BITS
    return f"{exp},-1" if run == _OPEN_BITS else f"{exp},{run}"
