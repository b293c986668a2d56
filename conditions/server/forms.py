"""A form: the JSON of one row, with cells for what differs from row to row, so that many rows are filled in at once.

Nobody writes a form by hand. It is read off an example: whoever says rows as JSON says one whose every value is a mark,
once for each payload name, and where a mark turns up, the cell of that value belongs. A row of the tag is then said
both ways and compared, so that a form which does not fit is refused rather than used.

n rows of an answer, W bytes of a form.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

import numpy as np
import orjson
from numpy.typing import NDArray

from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import IovEntry
from conditions.server.cells import MomentStyle
from conditions.server.columns import DIGESTS, Columns
from conditions.server.index import TagIndex

Say: TypeAlias = Callable[[IovEntry], Any]
SPACE: Final = b" "
NUL: Final = b"\0"
MAX_WIDTH: Final = 16_384  # of one row; 200 rows of that width fill in as long as SQL takes
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# Marks: numbers, digests, times and names that no row has.
_NUMBERS: Final = {
    "payload_id": 9_100_000_000_000_001,
    "revision": 9_100_000_000_000_002,
    "size": 9_100_000_000_000_003,
    "iov_id": 9_100_000_000_000_004,
    "first_exp": 2_111_111_111,
    "first_run": 2_111_111_112,
    "final_exp": 2_111_111_113,
    "final_run": 2_111_111_114,
}
_DIGESTS: Final = {"md5": "5d" * 16, "sha256": "5a" * 32}
_TIMES: Final = {
    name: datetime(1901, 2, 3, 4, 5, number, 700_001, UTC)
    for number, name in enumerate(("uploaded", "created", "modified"), 1)
}
_PEOPLE: Final = {"uploader": "~\u007fuploader~", "author": "~\u007fauthor~"}
_TEXTS: Final = {
    **{name: str(number) for name, number in _NUMBERS.items()},
    **_DIGESTS,
    **{
        name: re.escape(moment.isoformat(timespec="milliseconds")[:-6]) + r"(?:001)?\+00:00"
        for name, moment in _TIMES.items()
    },
    **{name: re.escape(orjson.dumps(text)[1:-1].decode()) for name, text in _PEOPLE.items()},
}
_MARK: Final = re.compile("|".join(f"(?P<{name}>{text})" for name, text in _TEXTS.items()).encode())


_numbers_of_forms = itertools.count(1)


class FormUnfit(Exception):
    """A tag whose rows this form cannot say; the answer is then made without one."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Where a value of a row stands; `suffix` follows it at once, before it is padded."""

    field: str
    kind: str
    suffix: bytes
    width: int


class Form:
    """Says rows of a tag as JSON. `number` is never another form's; `fingerprint` is that of everything it says."""

    def __init__(self, index: TagIndex, say: Say, *, fill: bytes = SPACE, open_end: bytes = b"-1") -> None:
        self._index, self._say, self._fill = index, say, fill
        self._names = index.names or [""]  # an empty tag has a form too
        columns = Columns(index, _style_of(say), fill, open_end)
        self._template, self._kind, found = self._layout(columns)
        self._width = self._template.dtype.itemsize
        self._payloads = index.payloads.view(f"V{index.payloads.itemsize}")
        fields: dict[tuple[str, bytes], list[str]] = {}
        for cell in found:
            fields.setdefault((cell.kind, cell.suffix), []).append(cell.field)
        self._makers = [(columns.maker(kind, suffix), names) for (kind, suffix), names in fields.items()]
        self.number = next(_numbers_of_forms)
        self.fingerprint = hashlib.sha256(repr(self._kind).encode() + self._template.tobytes()).hexdigest()
        self._check()

    def fill(self, rows: NDArray[np.void], before: bytes, after: bytes) -> bytes:
        """The rows between two texts, without a comma after the last."""
        n, start = len(rows), len(before)
        if n == 0:
            return before + after
        payloads = self._payloads.take(rows["payload"]).view(self._index.payloads.dtype)
        end = start + n * self._width
        out = np.empty(end + len(after), dtype=np.uint8)
        body = out[start:end].view(self._template.dtype)
        self._template.take(payloads["name"], out=body, mode="clip")
        fields = body.view(self._kind)
        for make, names in self._makers:
            made = make(rows, payloads)
            for name in names:
                fields[name] = made
        plain = out.data
        plain[:start], plain[end:], plain[end - 1 : end] = before, after, self._fill
        text = plain.tobytes()
        return text.translate(None, NUL) if self._fill == NUL else text

    def _layout(self, columns: Columns) -> tuple[NDArray[np.void], np.dtype[np.void], list[Cell]]:
        """Texts and cells side by side: the form of each payload name, and where the cells are."""
        examples = [_split(orjson.dumps(self._say(_example(self._index.facts.name, name)))) for name in self._names]
        marks = examples[0][1]
        if any(found != marks for _, found in examples):
            raise FormUnfit("a payload's name looks like a mark of the form")
        texts = [list(each) for each in zip(*(found for found, _ in examples), strict=True)]
        texts[-1] = [text + b"," for text in texts[-1]]
        laid: list[list[bytes] | Cell] = [texts[0]]
        for place, (kind, is_text) in enumerate(marks):
            after = texts[place + 1]
            suffix = self._suffix(after) if is_text and self._fill == SPACE else b""
            after = [text[len(suffix) :] for text in after]
            if kind in DIGESTS:  # always as wide: what follows can stand in the form
                laid += [Cell(f"c{place}", kind, b"", columns.width(kind, b"")), [suffix] * len(after), after]
            else:
                laid += [Cell(f"c{place}", kind, suffix, columns.width(kind, suffix)), after]
        return self._put_together(laid)

    @staticmethod
    def _suffix(texts: list[bytes]) -> bytes:
        """What follows a value up to the end of its text, the same for every payload name."""
        found = {text[: text.find(b'"') + 1] for text in texts}
        if len(found) > 1 or found == {b""}:
            raise FormUnfit("a text of the form holds two values")
        return found.pop()

    def _put_together(self, laid: list[list[bytes] | Cell]) -> tuple[NDArray[np.void], np.dtype[np.void], list[Cell]]:
        """One width for all names, padded where JSON allows it: before the texts between cells."""
        parts: list[list[bytes]] = []
        offsets: list[int] = []
        width = 0
        for each in laid:
            if isinstance(each, Cell):
                offsets.append(width)
                parts.append([self._fill * each.width] * len(self._names))
                width += each.width
            else:
                widest = max(map(len, each))
                parts.append([text.rjust(widest, self._fill) for text in each])
                width += widest
        if width > MAX_WIDTH:
            raise FormUnfit(f"a row takes up to {width} bytes, more than {MAX_WIDTH}")
        found = [each for each in laid if isinstance(each, Cell)]
        template = np.frombuffer(b"".join(b"".join(texts) for texts in zip(*parts, strict=True)), dtype=f"V{width}")
        formats = [f"V{cell.width}" for cell in found]
        fields = {"names": [cell.field for cell in found], "formats": formats, "offsets": offsets, "itemsize": width}
        return template, np.dtype(fields), found  # type: ignore[call-overload]

    def _check(self) -> None:
        """Say a row with the form and without it."""
        index = self._index
        for row in {0, len(index.rows) // 2, len(index.rows) - 1} if len(index.rows) else ():
            found = orjson.loads(self.fill(index.rows[row : row + 1], b"[", b"]"))
            if found != [orjson.loads(orjson.dumps(self._say(entry_of(index, index.rows[row]))))]:
                raise FormUnfit(f"row {index.rows[row]['id']} of {index.facts.name} is said otherwise")


def entry_of(index: TagIndex, row: np.void) -> IovEntry:
    """A row as a value; its payload comes without metadata."""
    about = index.payloads[int(row["payload"])]
    first, final = int(index.bounds[row["first"]]), int(index.bounds[int(row["last"]) + 1]) - 1
    payload = Payload(
        name=index.names[about["name"]],
        revision=int(about["revision"]),
        sha256=about["sha256"].tobytes().hex(),
        md5=about["md5"].tobytes().hex(),
        size_bytes=int(about["size"]),
        metadata={},
        created_at=_moment(index, about["created"]),
        created_by=index.people[about["by"]],
        id=int(about["id"]),
    )
    iov = IntervalOfValidity.from_keys(first, final)
    times = _moment(index, row["created"]), _moment(index, row["modified"])
    return IovEntry(int(row["id"]), payload, iov, index.facts.name, *times, index.people[row["by"]])


def _moment(index: TagIndex, number: Any) -> datetime:
    """The time that a row's number stands for."""
    return _EPOCH + timedelta(microseconds=int(index.moments[number] if len(index.moments) else number))


def _example(tag: str, name: str, microsecond: int | None = None) -> IovEntry:
    """A row whose every value is a mark."""
    times = {key: t if microsecond is None else t.replace(microsecond=microsecond) for key, t in _TIMES.items()}
    first = Run(_NUMBERS["first_exp"], _NUMBERS["first_run"])
    iov = IntervalOfValidity(first, Run(_NUMBERS["final_exp"], _NUMBERS["final_run"]))
    payload = Payload(
        name=name,
        revision=_NUMBERS["revision"],
        sha256=_DIGESTS["sha256"],
        md5=_DIGESTS["md5"],
        size_bytes=_NUMBERS["size"],
        metadata={},
        created_at=times["uploaded"],
        created_by=_PEOPLE["uploader"],
        id=_NUMBERS["payload_id"],
    )
    return IovEntry(_NUMBERS["iov_id"], payload, iov, tag, times["created"], times["modified"], _PEOPLE["author"])


def _style_of(say: Say) -> MomentStyle:
    """How times are written, seen in examples with and without a fraction of a second."""
    whole = orjson.dumps(say(_example("", "", microsecond=0)))
    return MomentStyle(6 if b".700001" in orjson.dumps(say(_example("", ""))) else 3, short=b".000" not in whole)


def _split(said: bytes) -> tuple[list[bytes], list[tuple[str, bool]]]:
    """The texts around the marks of an example, and each mark with whether it stands inside a text."""
    texts, marks, end = [], [], 0
    for mark in _MARK.finditer(said):
        texts.append(said[end : mark.start()])
        marks.append((str(mark.lastgroup), said[mark.start() - 1 : mark.start()] not in (b":", b"[", b",")))
        end = mark.end()
    return [*texts, said[end:]], marks
