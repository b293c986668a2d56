"""The merge: several tags become one, and where two of them have a payload name for a run, the first one counts.

Priority goes from left to right. What a later tag has is added only for runs that no earlier one fills for that
payload name; its intervals are cut or split around what is filled. Inside a tag, overlaps are settled as they are for
jobs: the highest revision that covers a run. Every part keeps the borders of the interval that it is a part of, also
where the next part is of the same payload.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from conditions.digest import Row, winning
from conditions.errors import BadInputError, ChangeRefused
from conditions.iov import IntervalOfValidity
from conditions.payload import Payload
from conditions.plans.plan import Plan, Wanted, by_name, plan_for
from conditions.resolve import IovEntry
from conditions.tags import TagState

Source: TypeAlias = tuple[str, Sequence[IovEntry]]  # a tag's name and its rows
_RANK_BITS: Final = 64  # a tag's place comes before any revision


def check_merge(target: str, row_count: int, sources: Sequence[str]) -> tuple[str, ...]:
    """The sources, each once, if they can be merged into a target that has so many rows.

    Raises:
        BadInputError: there is no source.
        ChangeRefused: the target holds rows, and nobody said what becomes of them.
    """
    names = tuple(dict.fromkeys(sources))
    if not names:
        raise BadInputError("a merge needs at least one tag to take from")
    if row_count and target not in names:
        advice = (
            f"it holds {row_count} IoVs and is none of the tags to merge; name it among them, in the place of its "
            f"priority, or merge into an empty tag"
        )
        raise ChangeRefused(target, TagState.OPEN.value, "merge into", advice)
    return names


def plan_merge(
    target: str,
    base_revision: int,
    target_rows: Sequence[IovEntry],
    sources: Sequence[Source],
    within: IntervalOfValidity | None = None,
) -> Plan:
    """What the target becomes.

    Args:
        target: the tag to fill; it is empty, or one of the sources.
        base_revision: its content revision.
        target_rows: its rows.
        sources: the tags to take from, in order of priority.
        within: take from other tags for these runs only; what the target itself has elsewhere stays.
    """
    parts: dict[str, list[_Part]] = {}
    for rank, (tag, rows) in enumerate(sources):
        limits = None if tag == target else within
        for name, of_name in by_name(rows).items():
            parts.setdefault(name, []).extend(_parts_of(of_name, -rank, limits, is_own=tag == target))
    wanted = [each for name in sorted(parts) for each in _filled(parts[name])]
    return plan_for(target, base_revision, target_rows, wanted)


class _Part(NamedTuple):
    """Runs that one tag has for a payload, and the target's row they come from."""

    first_key: int
    final_key: int
    merit: int  # of the tag, then of the revision
    number: int
    payload: Payload
    origin: int | None


def _parts_of(
    rows: Sequence[IovEntry], rank: int, within: IntervalOfValidity | None, *, is_own: bool
) -> Iterator[_Part]:
    """The rows of one name of one tag, with overlapping rows of one payload as one."""
    open_parts: dict[int, _Part] = {}  # by revision: the last part, which may grow yet
    for row in rows:
        iov = row.iov if within is None else row.iov.intersection(within)
        if iov is None:
            continue
        revision = row.payload.revision
        merit, origin = (rank << _RANK_BITS) + revision, row.id if is_own else None
        held = open_parts.get(revision)
        if held is not None and iov.first_key <= held.final_key:
            open_parts[revision] = held._replace(final_key=max(held.final_key, iov.final_key))
            continue
        if held is not None:
            yield held
        open_parts[revision] = _Part(iov.first_key, iov.final_key, merit, row.id, row.payload, origin)
    yield from open_parts.values()


def _filled(parts: Sequence[_Part]) -> Iterator[Wanted]:
    """The winners of one name, in order of runs."""
    rows: list[Row[int]] = sorted(
        (part.first_key, part.final_key, part.merit, part.number, place) for place, part in enumerate(parts)
    )
    for first_key, final_key, place in winning(rows):
        part = parts[place]
        yield part.payload, IntervalOfValidity.from_keys(first_key, final_key), part.origin
