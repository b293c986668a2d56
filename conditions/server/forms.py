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

from conditions.iov import RUN_BITS, IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import IovEntry
from conditions.server import cells
from conditions.server.index import TagIndex

Say: TypeAlias = Callable[[IovEntry], Any]
SPACE: Final = b" "
NUL: Final = b"\0"
MAX_WIDTH: Final = 16_384  # of one row; 200 rows of that width fill in as long as SQL takes
MAX_TABLE: Final = 65_536  # texts made ready, of revisions in names of files
_NO_RUN: Final = 2**RUN_BITS - 1
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
_LARGEST_OF: Final = {"payload_id": "id", "revision": "revision", "size": "size", "iov_id": "iov"} | {
    f"{end}_{part}": part for end in ("first", "final") for part in ("exp", "run")
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
    width: int
    suffix: bytes
    is_text: bool


class Form:
    """Says rows of a tag as JSON. `number` is never another form's; `fingerprint` is that of everything it says."""

    def __init__(self, index: TagIndex, say: Say, *, fill: bytes = SPACE, open_end: bytes = b"-1") -> None:
        self._index, self._fill, self._open_end = index, fill, open_end
        self._say, self._style = say, _style_of(say)
        self._names = index.names or [""]  # an empty tag has a form too
        examples = [_split(orjson.dumps(say(_example(index.facts.name, name)))) for name in self._names]
        self._n_pieces = max(cells.pieces_for(max(index.largest.values())), -(-len(open_end) // cells.DIGITS))
        self._cells = self._layout(examples)
        self._payloads = index.payloads.view(f"V{index.payloads.itemsize}")
        self._ready = self._ready_tables()
        self._check()
        self.number = next(_numbers_of_forms)
        self.fingerprint = hashlib.sha256(repr(self._kind).encode() + self._template.tobytes()).hexdigest()

    def fill(self, rows: NDArray[np.void], before: bytes, after: bytes) -> bytes:
        """The rows between two texts, without a comma after the last."""
        n, start = len(rows), len(before)
        if n == 0:
            return before + after
        payloads = self._payloads.take(rows["payload"]).view(self._index.payloads.dtype)
        end = start + n * self._width
        out = np.empty(end + len(after), dtype=np.uint8)
        out[:start], out[end:] = np.frombuffer(before, np.uint8), np.frombuffer(after, np.uint8)
        body = out[start:end].view(self._template.dtype)
        self._template.take(payloads["name"], out=body, mode="clip")
        self._fill_cells(body.view(self._kind), rows, payloads)
        out[end - 1] = self._fill[0]
        text = out.tobytes()
        return text.translate(None, NUL) if self._fill == NUL else text

    def _fill_cells(self, body: NDArray[np.void], rows: NDArray[np.void], payloads: NDArray[np.void]) -> None:
        """Write every cell of the rows."""
        values = self._values(rows, payloads)
        made = self._numbers(values)
        for cell in self._cells:
            if cell.kind in _NUMBERS:
                if cell.is_text:
                    body[cell.field] = self._number_texts(values[cell.kind], cell)
                else:
                    body[cell.field] = made[cell.kind]
                continue
            key = cell.kind + str(cell.suffix)
            if key not in made:
                made[key] = self._text_cells(cell, rows, payloads)
            body[cell.field] = made[key]

    def _values(self, rows: NDArray[np.void], payloads: NDArray[np.void]) -> dict[str, NDArray[np.int64]]:
        """The numbers of the rows that the form asks for."""
        bounds, wanted = self._index.bounds, self._wanted
        values: dict[str, NDArray[np.int64]] = {}
        if "payload_id" in wanted:
            values["payload_id"] = payloads["id"]
        if "revision" in wanted:
            values["revision"] = payloads["revision"]
        if "size" in wanted:
            values["size"] = payloads["size"]
        if "iov_id" in wanted:
            values["iov_id"] = rows["id"]
        if "first_exp" in wanted:
            first = bounds.take(rows["first"])
            values["first_exp"], values["first_run"] = first >> RUN_BITS, first & _NO_RUN
        if "final_exp" in wanted:
            final = bounds[1:].take(rows["last"]) - 1
            values["final_exp"], values["final_run"] = final >> RUN_BITS, final & _NO_RUN
        return values

    def _numbers(self, values: dict[str, NDArray[np.int64]]) -> dict[str, NDArray[np.void]]:
        """Cells of all numbers at once."""
        if not values:
            return {}
        grid = np.empty((len(values), len(next(iter(values.values())))), dtype=np.int64)
        opened: dict[str, NDArray[np.bool_]] = {}
        for place, (name, column) in enumerate(values.items()):
            grid[place] = column
            if name.startswith("final"):  # an open end's place is the last one, of experiments as of runs
                opened[name] = column == _NO_RUN
                grid[place, opened[name]] = 0
        made = dict(zip(values, cells.numbers(grid, self._n_pieces, self._fill), strict=True))
        for name, where in opened.items():
            made[name][where] = np.void(self._open_end.rjust(cells.DIGITS * self._n_pieces, self._fill))
        narrow = self._narrow
        return {name: _right(texts, narrow[name]) if name in narrow else texts for name, texts in made.items()}

    def _number_texts(self, values: NDArray[np.int64], cell: Cell) -> NDArray[np.void]:
        """Numbers inside a text, at its left."""
        table = self._ready.get(cell.field)
        if table is not None:
            return table.take(values)
        return cells.texts_of([b"%d%s" % (value, cell.suffix) for value in values.tolist()], cell.width, self._fill)

    def _text_cells(self, cell: Cell, rows: NDArray[np.void], payloads: NDArray[np.void]) -> NDArray[np.void]:
        """Digests, times and names of people."""
        if cell.kind in _DIGESTS:
            return cells.hexadecimals(payloads[cell.kind], cell.suffix)
        codes = {"uploaded": payloads, "uploader": payloads}.get(cell.kind, rows)[_COLUMN_OF[cell.kind]]
        table = self._ready.get(cell.field)
        if table is not None:
            return table.take(codes)
        return cells.moments(codes.astype(np.int64), self._style, cell.suffix, self._fill)

    def _layout(self, examples: list[tuple[list[bytes], list[tuple[str, bool]]]]) -> list[Cell]:
        """Lay texts and cells side by side; makes the template, its type and the numbers that are asked for."""
        marks = examples[0][1]
        if any(found != marks for _, found in examples):
            raise FormUnfit("a payload's name looks like a mark of the form")
        columns = [list(texts) for texts in zip(*(texts for texts, _ in examples), strict=True)]
        columns[-1] = [text + b"," for text in columns[-1]]
        laid: list[list[bytes] | Cell] = [columns[0]]
        for place, (kind, is_text) in enumerate(marks):
            suffixes = {text[: text.find(b'"') + 1] if is_text else b"" for text in columns[place + 1]}
            if self._fill == SPACE and (len(suffixes) > 1 or (is_text and b"" in suffixes)):
                raise FormUnfit("a text of the form holds two values")
            suffix = suffixes.pop() if self._fill == SPACE else b""
            laid += [self._cell(place, kind, suffix, is_text), [text[len(suffix) :] for text in columns[place + 1]]]
        self._template, self._kind = self._template_of(laid)
        self._width = self._template.dtype.itemsize
        found = [each for each in laid if isinstance(each, Cell)]
        self._wanted = {cell.kind for cell in found}
        self._narrow = {cell.kind: cell.width for cell in found if cell.kind in _NUMBERS and not cell.is_text}
        return found

    def _cell(self, place: int, kind: str, suffix: bytes, is_text: bool) -> Cell:
        """The cell of a mark, as wide as its widest value."""
        if kind in _NUMBERS:
            largest = self._largest(kind)
            width = cells.pieces_for(largest) * cells.DIGITS
            if kind.startswith("final"):
                width = max(width, len(self._open_end))
            if is_text and self._fill == SPACE:
                return Cell(f"c{place}", kind, len(str(largest)) + len(suffix), suffix, True)
            return Cell(f"c{place}", kind, width, b"", False)
        if kind in _PEOPLE:
            width = max((len(_escaped(name)) for name in self._index.people), default=0)
        elif kind in _TIMES:
            width = len("2001-02-03T04:05:06.") + self._style.digits + len("+00:00")
        else:
            width = len(_DIGESTS[kind])
        return Cell(f"c{place}", kind, width + len(suffix), suffix, True)

    def _template_of(self, laid: list[list[bytes] | Cell]) -> tuple[NDArray[np.void], np.dtype[np.void]]:
        """The form of each payload name, its texts filled in, and where its cells are."""
        parts: list[list[bytes]] = []
        fields: dict[str, tuple[str, int]] = {}
        width = 0
        for each in laid:
            if isinstance(each, Cell):
                fields[each.field] = (f"V{each.width}", width)
                parts.append([self._fill * each.width] * len(self._names))
                width += each.width
            else:
                widest = max(map(len, each))
                parts.append([text.rjust(widest, self._fill) for text in each])
                width += widest
        if width > MAX_WIDTH:
            raise FormUnfit(f"a row takes up to {width} bytes, more than {MAX_WIDTH}")
        template = np.frombuffer(b"".join(b"".join(texts) for texts in zip(*parts, strict=True)), dtype=f"V{width}")
        formats, offsets = [kind for kind, _ in fields.values()], [offset for _, offset in fields.values()]
        kind = np.dtype({"names": list(fields), "formats": formats, "offsets": offsets, "itemsize": width})
        return template, kind

    def _ready_tables(self) -> dict[str, NDArray[np.void]]:
        """Texts made ready: of people, of times when they are few, of numbers inside texts."""
        index, ready = self._index, {}
        for cell in self._cells:
            if cell.kind in _PEOPLE:
                texts = [_escaped(name) + cell.suffix for name in index.people]
                ready[cell.field] = cells.texts_of(texts, cell.width, self._fill)
            elif cell.kind in _TIMES and len(index.moments):
                ready[cell.field] = cells.moments(index.moments, self._style, cell.suffix, self._fill)
            elif cell.kind in _NUMBERS and cell.is_text and self._largest(cell.kind) < MAX_TABLE:
                texts = [b"%d%s" % (number, cell.suffix) for number in range(self._largest(cell.kind) + 1)]
                ready[cell.field] = cells.texts_of(texts, cell.width, self._fill)
        return ready

    def _largest(self, kind: str) -> int:
        """The largest number of a kind in the tag."""
        return self._index.largest[_LARGEST_OF[kind]]

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


_COLUMN_OF: Final = {
    "uploaded": "created",
    "created": "created",
    "modified": "modified",
    "uploader": "by",
    "author": "by",
}


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


def _style_of(say: Say) -> cells.MomentStyle:
    """How times are written, seen in examples with and without a fraction of a second."""
    whole = orjson.dumps(say(_example("", "", microsecond=0)))
    return cells.MomentStyle(6 if b".700001" in orjson.dumps(say(_example("", ""))) else 3, short=b".000" not in whole)


def _split(said: bytes) -> tuple[list[bytes], list[tuple[str, bool]]]:
    """The texts around the marks of an example, and each mark with whether it stands inside a text."""
    texts, marks, end = [], [], 0
    for mark in _MARK.finditer(said):
        texts.append(said[end : mark.start()])
        marks.append((str(mark.lastgroup), said[mark.start() - 1 : mark.start()] not in (b":", b"[", b",")))
        end = mark.end()
    return [*texts, said[end:]], marks


def _escaped(text: str) -> bytes:
    """A text as it stands between quotes in JSON."""
    return orjson.dumps(text)[1:-1]


def _right(texts: NDArray[np.void], width: int) -> NDArray[np.void]:
    """The right part of cells."""
    whole = texts.dtype.itemsize
    if width >= whole:
        return texts
    return np.ascontiguousarray(texts).view([("left", f"V{whole - width}"), ("right", f"V{width}")])["right"]
