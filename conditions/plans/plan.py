"""A plan: every row that a change of a tag makes, changes or takes away, before it is done and exactly as it is done.

Rows of one payload with one interval are one row, so a plan never makes a row that is there, and its steps can be
taken in the order deletes, changes, creates without one being in the way of another.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from conditions.iov import IntervalOfValidity
from conditions.payload import Payload
from conditions.resolve import IovEntry

Wanted: TypeAlias = tuple[Payload, IntervalOfValidity, int | None]  # what to have, and the row that it is made of
_Place: TypeAlias = tuple[str, int, int, int]  # payload name and revision, first_key, final_key: one row of a tag


@dataclass(frozen=True, slots=True)
class Plan:
    """A change of one tag's content. Its parts are in order of payload name, first run and revision.

    `base_revision` is the content revision of the tag that the plan was made for.
    """

    tag: str
    base_revision: int
    creates: tuple[tuple[Payload, IntervalOfValidity], ...] = ()
    changes: tuple[tuple[IovEntry, IntervalOfValidity], ...] = ()
    deletes: tuple[IovEntry, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        return not self.step_count

    @property
    def step_count(self) -> int:
        """How many rows are made, changed and taken away."""
        return len(self.creates) + len(self.changes) + len(self.deletes)

    def lines(self) -> list[str]:
        """The plan for people, a line a row: CLOSE, EXTEND, MOVE, DELETE, CREATE, in order of payload name and run."""
        said: list[tuple[str, int, int, str]] = []
        for payload, iov in self.creates:
            said.append((payload.name, iov.first_key, payload.revision, f"CREATE {payload} {iov}"))
        for entry, iov in self.changes:
            text = f"{_change_word(entry.iov, iov)} {entry.payload} {entry.iov} -> {iov}"
            said.append((entry.payload.name, entry.iov.first_key, entry.payload.revision, text))
        for entry in self.deletes:
            text = f"DELETE {entry.payload} {entry.iov}"
            said.append((entry.payload.name, entry.iov.first_key, entry.payload.revision, text))
        return [text for *_, text in sorted(said)]

    def summary(self) -> str:
        """The plan in one line.

        >>> Plan("online", 3).summary()
        'online: nothing to change'
        """
        parts = (("create", self.creates), ("change", self.changes), ("delete", self.deletes))
        said = ", ".join(f"{len(rows)} to {word}" for word, rows in parts if rows)
        return f"{self.tag}: {said or 'nothing to change'}"

    def applied(self, rows: Iterable[IovEntry]) -> Iterator[tuple[Payload, IntervalOfValidity]]:
        """The content of a tag with these rows after the plan."""
        gone = {entry.id for entry in self.deletes}
        moved = {entry.id: iov for entry, iov in self.changes}
        for row in rows:
            if row.id not in gone:
                yield row.payload, moved.get(row.id, row.iov)
        yield from self.creates


def plan_for(tag: str, base_revision: int, rows: Sequence[IovEntry], wanted: Iterable[Wanted]) -> Plan:
    """The shortest way from the rows of a tag to what it shall hold.

    Args:
        tag: the tag's name.
        base_revision: its content revision.
        rows: all that the plan may touch; what is not wanted of it goes.
        wanted: payload, interval and, where it is made of a row of the tag, that row's number: the first part with
            the row's own payload changes the row, so that the row keeps its number.
    """
    there = {_place(row.payload, row.iov): row for row in rows}
    target: dict[_Place, Wanted] = {}
    for each in wanted:
        target.setdefault(_place(each[0], each[1]), each)
    free = {row.id: row for row in rows}
    for place in target:
        if place in there:
            free.pop(there[place].id, None)
    creates: list[tuple[Payload, IntervalOfValidity]] = []
    changes: list[tuple[IovEntry, IntervalOfValidity]] = []
    for place, (payload, iov, origin) in target.items():
        if place in there:
            continue
        row = None if origin is None else free.get(origin)
        if row is not None and (row.payload.name, row.payload.revision) == place[:2]:
            changes.append((free.pop(row.id), iov))
        else:
            creates.append((payload, iov))
    return make_plan(tag, base_revision, creates, changes, free.values())


def make_plan(
    tag: str,
    base_revision: int,
    creates: Iterable[tuple[Payload, IntervalOfValidity]] = (),
    changes: Iterable[tuple[IovEntry, IntervalOfValidity]] = (),
    deletes: Iterable[IovEntry] = (),
) -> Plan:
    """A plan with its parts in order."""
    return Plan(
        tag,
        base_revision,
        tuple(sorted(creates, key=lambda each: _order(each[0], each[1]))),
        tuple(sorted(changes, key=lambda each: (*_order(each[0].payload, each[0].iov), each[0].id))),
        tuple(sorted(deletes, key=lambda row: (*_order(row.payload, row.iov), row.id))),
    )


def by_name(rows: Iterable[IovEntry]) -> dict[str, list[IovEntry]]:
    """The rows of each payload name, in order of name and first run."""
    found: dict[str, list[IovEntry]] = {}
    for row in rows:
        found.setdefault(row.payload.name, []).append(row)
    for of_name in found.values():
        of_name.sort(key=lambda row: (row.iov.first_key, row.iov.final_key, row.payload.revision, row.id))
    return dict(sorted(found.items()))


def _change_word(old: IntervalOfValidity, new: IntervalOfValidity) -> str:
    """What happens to a row whose interval changes."""
    if old.first != new.first:
        return "MOVE"
    return "CLOSE" if new.final_key < old.final_key else "EXTEND"


def _place(payload: Payload, iov: IntervalOfValidity) -> _Place:
    return payload.name, payload.revision, iov.first_key, iov.final_key


def _order(payload: Payload, iov: IntervalOfValidity) -> tuple[str, int, int, int]:
    return payload.name, iov.first_key, payload.revision, iov.final_key
