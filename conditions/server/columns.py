"""The columns of a form: how the cells of each kind of value are made for the rows of an answer.

What takes few different values - revisions, people, times, the ends of segments - is said once, in a table of cells, so
that an answer only copies. The rest is written digit by digit, four at a time.

n rows of an answer, S segments of the index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from conditions.iov import RUN_BITS
from conditions.server import cells
from conditions.server.index import TagIndex

Maker: TypeAlias = Callable[[NDArray[np.void], NDArray[np.void]], NDArray[Any]]  # of the n rows and their payloads
MAX_TABLE: Final = 1 << 18  # cells made ready; at most 40 bytes each
DIGESTS: Final = {"md5": 32, "sha256": 64}
_NO_RUN: Final = 2**RUN_BITS - 1
_MOMENT: Final = "2001-02-03T04:05:06.+00:00"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the value of a kind is kept: in the rows or in their payloads, and its largest number's name."""

    of_payload: bool
    column: str
    largest: str = ""


NUMBERS: Final[Mapping[str, Source]] = {
    "payload_id": Source(True, "id", "id"),
    "revision": Source(True, "revision", "revision"),
    "size": Source(True, "size", "size"),
    "iov_id": Source(False, "id", "iov"),
    "first_exp": Source(False, "first", "exp"),
    "first_run": Source(False, "first", "run"),
    "final_exp": Source(False, "last", "exp"),
    "final_run": Source(False, "last", "run"),
}
MOMENTS: Final[Mapping[str, Source]] = {
    "uploaded": Source(True, "created"),
    "created": Source(False, "created"),
    "modified": Source(False, "modified"),
}
PEOPLE: Final[Mapping[str, Source]] = {"uploader": Source(True, "by"), "author": Source(False, "by")}


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one index.

    Args:
        index: whose rows they are.
        style: how times are written.
        fill: what pads cells.
        open_end: what stands for an end that is open.
    """

    index: TagIndex
    style: cells.MomentStyle
    fill: bytes
    open_end: bytes

    def width(self, kind: str, suffix: bytes) -> int:
        """Bytes of a cell that holds any value of this kind, and a suffix."""
        if kind in DIGESTS:
            return DIGESTS[kind]
        if kind in MOMENTS:
            return len(_MOMENT) + self.style.digits + len(suffix)
        if kind in PEOPLE:
            return max((len(escaped(name)) for name in self.index.people), default=0) + len(suffix)
        width = cells.pieces_for(self._largest(kind)) * cells.DIGITS
        return (max(width, len(self.open_end)) if kind.startswith("final") else width) + len(suffix)

    def maker(self, kind: str, suffix: bytes) -> Maker:
        """What makes the cells of a kind for rows of an answer; `suffix` follows values in texts at once."""
        if kind in DIGESTS:
            return lambda _rows, payloads: cells.hexadecimals(payloads[kind])
        if kind in PEOPLE:
            names = [escaped(name) + suffix for name in self.index.people]
            return _copied(PEOPLE[kind], cells.texts_of(names, self.width(kind, suffix), self.fill))
        if kind in MOMENTS:
            return self._moments(MOMENTS[kind], suffix)
        return self._numbers(kind, suffix)

    def _moments(self, source: Source, suffix: bytes) -> Maker:
        """Times, from the table of the index when they are few."""
        if len(self.index.moments):
            return _copied(source, cells.moments(self.index.moments, self.style, suffix, self.fill))
        column = source.column

        def made(rows: NDArray[np.void], payloads: NDArray[np.void]) -> NDArray[Any]:
            times = (payloads if source.of_payload else rows)[column].astype(np.int64)
            return cells.moments(times, self.style, suffix, self.fill)

        return made

    def _numbers(self, kind: str, suffix: bytes) -> Maker:
        """Numbers: of segments or small ones from a table, others written."""
        source, width = NUMBERS[kind], self.width(kind, suffix)
        is_end, column = source.column in ("first", "last"), source.column
        n_values = len(self.index.bounds) - 1 if is_end else self._largest(kind) + 1
        if n_values <= MAX_TABLE:
            codes = np.arange(n_values)
            return _copied(source, self._written(self._ends(kind, codes) if is_end else codes, width, suffix))

        def made(rows: NDArray[np.void], payloads: NDArray[np.void]) -> NDArray[Any]:
            codes = (payloads if source.of_payload else rows)[column].astype(np.int64)
            return self._written(self._ends(kind, codes) if is_end else codes, width, suffix)

        return made

    def _ends(self, kind: str, segments: NDArray[np.int64]) -> NDArray[np.int64]:
        """Experiments or runs in which these segments begin, or end; -1 for open ends."""
        bounds = self.index.bounds
        places = bounds.take(segments) if kind.startswith("first") else bounds.take(segments + 1) - 1
        numbers = places >> RUN_BITS if kind.endswith("exp") else places & _NO_RUN
        # A segment may begin at the place of an open end, where no run is; no row begins there.
        numbers[numbers == _NO_RUN] = -1
        return numbers

    def _written(self, numbers: NDArray[np.int64], width: int, suffix: bytes) -> NDArray[np.void]:
        """Numbers as cells, those in texts at the left with their suffix."""
        if suffix:
            said = [self.open_end if number < 0 else b"%d" % number for number in numbers.tolist()]
            return cells.texts_of([text + suffix for text in said], width, self.fill)
        n_pieces = -(-width // cells.DIGITS)
        opened = numbers < 0
        if opened.any():
            texts = cells.numbers(np.where(opened, 0, numbers), n_pieces, self.fill)
            texts[opened] = np.void(self.open_end.rjust(cells.DIGITS * n_pieces, self.fill))
        else:
            texts = cells.numbers(numbers, n_pieces, self.fill)
        return texts if texts.dtype.itemsize == width else cells.right_part(texts, width)

    def _largest(self, kind: str) -> int:
        return self.index.largest[NUMBERS[kind].largest]


def escaped(text: str) -> bytes:
    """A text as it stands between quotes in JSON."""
    return orjson.dumps(text)[1:-1]


def _copied(source: Source, table: NDArray[np.void]) -> Maker:
    """Cells from a table."""
    column = source.column
    if source.of_payload:
        return lambda _rows, payloads: table.take(payloads[column])
    return lambda rows, _payloads: table.take(rows[column])
