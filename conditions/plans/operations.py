"""A running update that somebody else has worked out: rows to close and rows to add, all of them or none.

What the tag has given out is fixed: every run up to the last place where one of its intervals begins, or where one
that has an end ends. An open interval may be closed there or later; what is added begins later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias

from conditions.errors import IovNotFound, UpdateRefused
from conditions.iov import OPEN, IntervalOfValidity, Last, Run, key_of
from conditions.payload import Payload
from conditions.plans.plan import Plan, make_plan
from conditions.resolve import IovEntry

Close: TypeAlias = tuple[int, Last]  # the number of a row, and its new last run
Create: TypeAlias = tuple[Payload, IntervalOfValidity]


def fixed_key(rows: Iterable[IovEntry]) -> int:
    """The last place on the line of runs that a RUNNING tag has spoken of; -1 for an empty one."""
    return max((row.iov.first_key if row.iov.is_open else row.iov.final_key for row in rows), default=-1)


def plan_operations(
    running: tuple[str, int, Sequence[IovEntry]], closes: Sequence[Close], creates: Sequence[Create]
) -> Plan:
    """The operations as a plan.

    Args:
        running: name, content revision and all rows of the RUNNING tag.
        closes: rows to close, by number, with their new last run.
        creates: what to add.

    Raises:
        IovNotFound: the tag has no row of that number.
        UpdateRefused: with every fault.
    """
    name, base_revision, rows = running
    row_of = {row.id: row for row in rows}
    fixed = fixed_key(rows)
    faults: list[str] = []
    changes: dict[int, tuple[IovEntry, IntervalOfValidity]] = {}
    for iov_id, last in closes:
        row = row_of.get(iov_id)
        if row is None:
            raise IovNotFound(name, iov_id)
        fault = _close_fault(row, last, fixed, is_again=iov_id in changes)
        if fault is not None:
            faults.append(f"IoV {iov_id}, {row.payload} {row.iov}, {fault}")
        else:
            changes[iov_id] = row, IntervalOfValidity(row.iov.first, last)
    ends = _ends(rows, {iov_id: iov.final_key for iov_id, (_, iov) in changes.items()})
    faults += _create_faults(creates, fixed, ends)
    if faults:
        raise UpdateRefused(name, "", "", faults)
    return make_plan(name, base_revision, creates, changes.values())


def _close_fault(row: IovEntry, last: Last, fixed: int, *, is_again: bool) -> str | None:
    """Why a row cannot be closed there, None when it can."""
    if is_again:
        return "is closed twice"
    if not row.iov.is_open:
        return "has its end already and is fixed"
    if last is OPEN:
        return "is open already"
    return None if key_of(last) >= fixed else f"cannot end at {_shown(last)}, before what the tag has given out"


def _ends(rows: Iterable[IovEntry], closed: dict[int, int]) -> dict[str, int]:
    """Where each payload name ends, after the closes."""
    ends: dict[str, int] = {}
    for row in rows:
        name = row.payload.name
        ends[name] = max(ends.get(name, -1), closed.get(row.id, row.iov.final_key))
    return ends


def _create_faults(creates: Iterable[Create], fixed: int, ends: dict[str, int]) -> Iterator[str]:
    """What cannot be added: runs that were given out, and overlaps."""
    reach = dict(ends)
    for payload, iov in sorted(creates, key=lambda each: (each[0].name, each[1].first_key)):
        if iov.first_key <= fixed:
            yield f"{payload} {iov} begins before the end of what the tag has given out"
        elif iov.first_key <= reach.get(payload.name, -1):
            is_old = iov.first_key <= ends.get(payload.name, -1)
            other = "an IoV of the tag; close the open one first" if is_old else "another new one"
            yield f"{payload} {iov} overlaps {other}"
        reach[payload.name] = max(reach.get(payload.name, -1), iov.final_key)


def _shown(last: Last) -> str:
    """An end as the edges write it."""
    return str(IntervalOfValidity(Run(0, 0), last)).split(",", 2)[2]
