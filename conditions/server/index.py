"""A tag's content compiled for lookups: which rows cover a run, found without a database.

The line of runs falls into segments, in each of which the same rows are valid. Rows are sorted by the segment in which
they begin. A mark, at some of the segments, holds all rows that cover it; rows that cover a later segment are in the
mark before it, or begin after that mark, which is one slice of the rows. A mark is set after as many changes as rows
were valid at the mark before it: so there are never more rows in marks than twice the changes, and a lookup never looks
at many more rows than it finds, however intervals overlap.

Every array takes the fewest bytes a number that its largest one needs.

N rows, P payloads, S segments, M marks.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from conditions.iov import FOREVER_KEY, RUN_BITS, IntervalOfValidity
from conditions.resolve import TagFacts

if TYPE_CHECKING:
    from conditions.store.index_rows import TagRows

LEAST_CHANGES: Final = 256  # between two marks; a lookup looks at so many rows in about 2 µs
FEW_MOMENTS: Final = 1 << 18  # different times, up to which rows count in them instead of having times of their own
_NO_RUN: Final = 2**RUN_BITS - 1  # the place of an open end, where no run is


@dataclass(frozen=True)
class TagIndex:
    """The content of a tag at one content revision."""

    store_id: str
    facts: TagFacts
    names: list[str]  # of payloads, in order; `name` of a payload counts in them
    people: list[str]
    largest: dict[str, int]  # number of each kind that an answer may have to say
    bounds: NDArray[np.int64]  # (S + 1,) segment s holds the places bounds[s] to bounds[s + 1] - 1
    starts: NDArray[Any]  # (S + 1,) rows that begin in segment s: starts[s] to starts[s + 1] - 1
    rows: NDArray[np.void]  # (N,) id, payload, first and last segment, created, modified, by
    payloads: NDArray[np.void]  # (P,) id, name, revision, size, created, by, md5, sha256
    moments: NDArray[
        np.int64
    ]  # the times that `created` and `modified` count in; empty when these are times themselves
    marks: NDArray[Any]  # (M,) their segments
    mark_starts: NDArray[np.int64]  # (M + 1,) rows of mark m: mark_rows[mark_starts[m]:mark_starts[m + 1]]
    mark_rows: NDArray[Any]

    def __post_init__(self) -> None:
        # Plain views: one number of them takes a third of the time, and rows are copied without a look at their fields.
        views = {f"_{name}": getattr(self, name).data for name in ("bounds", "starts", "marks", "mark_starts")}
        vars(self).update(views, _packed=self.rows.view(f"V{self.rows.itemsize}"))

    @property
    def n_bytes(self) -> int:
        """Memory of all arrays."""
        return sum(array.nbytes for array in self.arrays().values())

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Every array by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, np.ndarray) and name[0] != "_"}

    def segment_at(self, key: int) -> int:
        """The segment that holds a run's place."""
        return bisect_right(vars(self)["_bounds"], key) - 1

    def holds(self, segment: int) -> IntervalOfValidity:
        """The runs of a segment."""
        first, final = int(self.bounds[segment]), int(self.bounds[segment + 1]) - 1
        return IntervalOfValidity.from_keys(first + 1 if first & _NO_RUN == _NO_RUN else first, final)

    def covering(self, segment: int) -> NDArray[np.void]:
        """The rows that cover a segment, in order of first run and payload name."""
        view = vars(self)
        mark = bisect_right(view["_marks"], segment) - 1
        marked = self.mark_rows[view["_mark_starts"][mark] : view["_mark_starts"][mark + 1]]
        found: NDArray[np.void] = view["_packed"].take(marked).view(self.rows.dtype)
        begun = view["_marks"][mark]
        if begun == segment:
            return found
        later = self.rows[view["_starts"][begun + 1] : view["_starts"][segment + 1]]
        found = np.concatenate((found, later))
        covering: NDArray[np.void] = found[found["last"] >= segment]
        return covering


def compile_index(rows: TagRows) -> TagIndex:
    """The index of a tag's rows. It takes them: each array is let go of as soon as the index has what it holds."""
    largest = _largest(rows)
    edges = np.array([0, FOREVER_KEY + 1], dtype=np.int64)
    bounds = np.unique(np.concatenate((edges, rows.iovs["first_key"], rows.iovs["final_key"] + 1)))
    moments = _moments(rows.iovs["created"], rows.iovs["modified"], rows.payloads["created"])
    columns = _columns(rows, bounds, moments)
    rows.iovs = rows.iovs[:0].copy()
    n_segments = len(bounds) - 1
    starts = np.searchsorted(columns["first"], np.arange(len(bounds)))
    changes = np.cumsum(np.bincount(columns["first"], minlength=n_segments))
    changes[1:] += np.cumsum(np.bincount(columns["last"], minlength=n_segments))[:-1]
    marks, mark_starts, mark_rows = _marks(columns["last"], starts, changes)
    table = _table(columns)
    columns.clear()
    about = {name: rows.payloads[name] for name in ("id", "name", "revision", "size", "by", "md5", "sha256")}
    payloads = _table(about | {"created": _counted(rows.payloads["created"], moments)})
    rows.payloads = rows.payloads[:0].copy()
    return TagIndex(
        store_id=rows.store_id,
        facts=rows.facts,
        names=rows.names,
        people=rows.people,
        largest=largest,
        bounds=bounds,
        starts=_narrow(starts),
        rows=table,
        payloads=payloads,
        moments=moments,
        marks=_narrow(marks),
        mark_starts=mark_starts,
        mark_rows=_narrow(mark_rows),
    )


def _columns(rows: TagRows, bounds: NDArray[np.int64], moments: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """What the index says of each row, in order of first segment, payload name and revision."""
    iovs, payloads = rows.iovs, rows.payloads
    first = _narrow(np.searchsorted(bounds, iovs["first_key"]))
    payload = _narrow(np.searchsorted(payloads["id"], iovs["payload"]))
    revision, name = _narrow(payloads["revision"]), _narrow(payloads["name"])
    order = _narrow(np.lexsort((iovs["id"], revision[payload], name[payload], first)))
    return {
        "id": _narrow(iovs["id"][order]),
        "payload": payload[order],
        "first": first[order],
        "last": _narrow(np.searchsorted(bounds, iovs["final_key"] + 1) - 1)[order],
        "created": _counted(iovs["created"], moments)[order],
        "modified": _counted(iovs["modified"], moments)[order],
        "by": iovs["by"][order],
    }


def _marks(
    last: NDArray[np.int64], starts: NDArray[np.int64], changes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where marks stand, and the rows that each holds."""
    marks, lists = [0], [np.arange(starts[1])]
    while True:
        needed = changes[marks[-1]] + max(LEAST_CHANGES, len(lists[-1]))
        segment = int(np.searchsorted(changes, needed))
        if segment >= len(changes):
            break
        rows = np.concatenate((lists[-1], np.arange(starts[marks[-1] + 1], starts[segment + 1])))
        lists.append(rows[last[rows] >= segment])
        marks.append(segment)
    mark_starts = np.cumsum([0, *map(len, lists)], dtype=np.int64)
    return np.array(marks), mark_starts, np.concatenate(lists)


def _largest(rows: TagRows) -> dict[str, int]:
    """The largest number of each kind; an open end is none."""
    keys = np.concatenate([np.unique(rows.iovs[name]) for name in ("first_key", "final_key")])
    columns = {name: rows.payloads[name] for name in ("id", "revision", "size")}
    columns |= {"iov": rows.iovs["id"], "exp": keys >> RUN_BITS, "run": keys & _NO_RUN}
    kept = {name: values[values != _NO_RUN] if name in ("exp", "run") else values for name, values in columns.items()}
    return {name: int(values.max(initial=0)) for name, values in kept.items()}


def _moments(*times: NDArray[np.int64]) -> NDArray[np.int64]:
    """The different times in order; none when they are so many that a row had better have its times itself."""
    different = np.unique(np.concatenate([np.unique(each) for each in times]))
    return different if len(different) <= FEW_MOMENTS else different[:0].copy()


def _counted(times: NDArray[np.int64], moments: NDArray[np.int64]) -> NDArray[Any]:
    """Places among the different times, or the times themselves where these are not kept."""
    return _narrow(np.searchsorted(moments, times)) if len(moments) else times


def _table(columns: dict[str, NDArray[np.generic]]) -> NDArray[np.void]:
    """Columns as one array of rows, so that what is read together lies together."""
    narrow = {name: _narrow(values) if values.dtype.kind == "i" else values for name, values in columns.items()}
    in_order = sorted(narrow, key=lambda name: -narrow[name].dtype.itemsize)
    table = np.empty(len(next(iter(narrow.values()))), dtype=[(name, narrow[name].dtype) for name in in_order])
    for name, values in narrow.items():
        table[name] = values
    return table


def _narrow(numbers: NDArray[np.generic]) -> NDArray[Any]:
    """The same numbers in the fewest bytes; only times, those before 1970, are ever negative."""
    if len(numbers) and int(numbers.min()) < 0:
        return numbers.astype(np.int64)
    largest = int(numbers.max()) if len(numbers) else 0
    kind = next(kind for kind in (np.uint8, np.uint16, np.uint32, np.uint64) if largest <= np.iinfo(kind).max)
    return numbers.astype(kind)
