"""Which payload wins for a run: a function of rows that were read before.

The first tag of the stack that has a payload name for the run wins; inside that tag, the highest revision that
covers the run. A name that no tag has for the run is not in the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from conditions.errors import BadInputError, NoPayloadForRun
from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload


@dataclass(frozen=True, slots=True)
class IovEntry:
    """One row of a tag: a payload and the runs it is valid for."""

    id: int
    payload: Payload
    iov: IntervalOfValidity
    tag: str


@dataclass(frozen=True, slots=True)
class Resolved:
    """The payload that wins for a run, with the interval and the tag that made it win."""

    payload: Payload
    iov: IntervalOfValidity
    tag: str


def resolve(stack: Sequence[str], run: Run, rows: Iterable[IovEntry]) -> dict[str, Resolved]:
    """The winners among the rows, by payload name in order of name.

    Args:
        stack: names of tags, the first one wins.
        run: the run to resolve for.
        rows: rows of these tags; those that do not cover the run are passed over.
    """
    rank_of = {tag: rank for rank, tag in reversed(list(enumerate(stack)))}
    key = run.key
    best: dict[str, tuple[int, int, int, IovEntry]] = {}
    for row in rows:
        if not row.iov.first_key <= key <= row.iov.final_key or row.tag not in rank_of:
            continue
        # Two rows of one revision may both cover the run; the younger row is the one written last.
        merit = (-rank_of[row.tag], row.payload.revision, row.id)
        found = best.get(row.payload.name)
        if found is None or merit > found[:3]:
            best[row.payload.name] = (*merit, row)
    return {name: Resolved(row.payload, row.iov, row.tag) for name, (*_, row) in sorted(best.items())}


def check_stack(stack: Sequence[str] | str) -> tuple[str, ...]:
    """The stack as a tuple without repeats; one name alone is a stack of one.

    Raises:
        BadInputError: the stack is empty.
    """
    names = (stack,) if isinstance(stack, str) else tuple(dict.fromkeys(stack))
    if not names:
        raise BadInputError("the stack of tags is empty; name at least one tag")
    return names


def require(found: Mapping[str, Resolved], names: Iterable[str], run: Run, stack: Sequence[str]) -> None:
    """Refuse an answer that lacks a required name.

    Raises:
        NoPayloadForRun: with every name that is missing.
    """
    missing = sorted({name for name in names if name not in found})
    if missing:
        raise NoPayloadForRun(missing, run, stack)
