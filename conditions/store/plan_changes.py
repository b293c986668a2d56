"""Changes of many rows of a tag by a plan. Tags are locked in one order, so that no two changes wait for each other.

A plan is made from rows that were read under the locks and is applied under the same locks: nobody changes the tag,
or what it is filled from, in between.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from conditions.errors import PayloadNotFound
from conditions.iov import IntervalOfValidity
from conditions.payload import Payload
from conditions.plans.plan import Plan
from conditions.resolve import IovEntry
from conditions.store.audit import Change, record
from conditions.store.iov_listing import list_iovs
from conditions.store.lookup import fork_of
from conditions.store.numbers import payloads_by_number, payloads_by_revision
from conditions.store.queries import (
    LockedTag,
    batches,
    lock_tag,
    payload_not_found,
    tag_not_found,
)
from conditions.store.tables import IovRow, TagRow
from conditions.store.tag_changes import subject_of, touch

AUDITED_AT_ONCE: Final = 1_000  # steps of a plan in one row of the trail, so that it stays readable


def lock_tags(connection: Connection, names: Iterable[str]) -> dict[str, LockedTag]:
    """Lock the rows of several tags, in order of their numbers, until the end of the transaction.

    Raises:
        TagNotFound: one of them is not there, with the names that are near.
    """
    wanted = list(dict.fromkeys(names))
    numbers = {
        name: number
        for some in batches(wanted)
        for number, name in connection.execute(select(TagRow.id, TagRow.name).where(TagRow.name.in_(some)))
    }
    for name in wanted:
        if name not in numbers:
            raise tag_not_found(connection, name)
    # One that was renamed since is not found by its name any more.
    locked = {name: lock_tag(connection, name) for name in sorted(wanted, key=numbers.__getitem__)}
    return {name: locked[name] for name in wanted}


def read_content(connection: Connection, tag: LockedTag) -> list[IovEntry]:
    """All rows of a locked tag."""
    return list_iovs(connection, tag.name)


def get_payloads(connection: Connection, numbers: Iterable[int]) -> dict[int, Payload]:
    """The payloads of these numbers.

    Raises:
        PayloadNotFound: one of them is not there.
    """
    wanted = set(numbers)
    found = payloads_by_number(connection, wanted)
    for number in sorted(wanted - found.keys()):
        raise PayloadNotFound(f"number {number}")
    return found


def replacements(connection: Connection, names: Iterable[str], revision: int) -> dict[str, Payload]:
    """One revision of each of several payloads.

    Raises:
        PayloadNotFound: one of them has no such revision.
    """
    wanted = sorted(set(names))
    found = payloads_by_revision(connection, ((name, revision) for name in wanted))
    for name in wanted:
        if (name, revision) not in found:
            raise payload_not_found(connection, name, revision)
    return {name: payload for (name, _), payload in found.items()}


def apply_plan(change: Change, tag: LockedTag, plan: Plan, action: str, why: Mapping[str, Any]) -> None:
    """Take all steps of a plan as one change of the tag's content; an empty plan changes nothing.

    Args:
        change: the transaction, in which the tag was locked and the plan was made.
        tag: the tag.
        plan: what to do.
        action: its name in the trail.
        why: what else the trail shall say, for example where the rows come from.
    """
    if plan.is_empty:
        return
    connection = change.connection
    # In this order no step meets a row that a later one would take away; a plan sees to that.
    for some in batches(row.id for row in plan.deletes):
        connection.execute(delete(IovRow).where(IovRow.id.in_(some)))
    for changes in batches(plan.changes):
        connection.execute(_CHANGE, [_new_place(change, row, iov) for row, iov in changes])
    for creates in batches(plan.creates):
        new_rows = [_new_row(change, tag, payload, iov) for payload, iov in creates]
        connection.execute(insert(IovRow).returning(IovRow.id), new_rows).close()  # many rows in one statement
    touch(change, tag, {}, content=True)
    for before, after in _said(plan):
        said = {**why, **after, "content_revision": tag.next_revision}
        record(change, action, subject_of(tag), before or None, said)


_CHANGE: Final = (
    update(IovRow.__table__)  # type: ignore[arg-type]
    .where(IovRow.id == bindparam("iov_id"))
    .values(
        {
            column: bindparam(f"new_{column}")
            for column in ("first_key", "final_key", "fork", "modified_at", "modified_by")
        }
    )
)


def _new_place(change: Change, row: IovEntry, iov: IntervalOfValidity) -> dict[str, Any]:
    """The values of a row that gets another interval."""
    return {
        "iov_id": row.id,
        "new_first_key": iov.first_key,
        "new_final_key": iov.final_key,
        "new_fork": fork_of(iov.first_key, iov.final_key),
        "new_modified_at": change.at,
        "new_modified_by": change.who,
    }


def _new_row(change: Change, tag: LockedTag, payload: Payload, iov: IntervalOfValidity) -> dict[str, Any]:
    """The values of a row that is made."""
    return {
        "tag_id": tag.id,
        "payload_id": payload.id,
        "first_key": iov.first_key,
        "final_key": iov.final_key,
        "fork": fork_of(iov.first_key, iov.final_key),
        "created_at": change.at,
        "modified_at": change.at,
        "modified_by": change.who,
        "added_in": tag.next_revision,  # the triggers would write the same, row by row
    }


def _said(plan: Plan) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """A plan as the trail writes it, in parts: before and after."""
    steps: list[tuple[str, Sequence[Any] | None, Sequence[Any] | None]] = [
        *(("deleted", _row(row.payload, row.iov, row.id), None) for row in plan.deletes),
        *(("changed", _row(row.payload, row.iov, row.id), _row(row.payload, iov, row.id)) for row, iov in plan.changes),
        *(("added", None, _row(payload, iov)) for payload, iov in plan.creates),
    ]
    for some in batches(steps, AUDITED_AT_ONCE):
        before: dict[str, Any] = {}
        after: dict[str, Any] = {}
        for word, old, new in some:
            if old is not None:
                before.setdefault(word, []).append(old)
            if new is not None:
                after.setdefault(word, []).append(new)
        yield before, after


def _row(payload: Payload, iov: IntervalOfValidity, number: int | None = None) -> list[str | int]:
    """A row of content as the trail writes it: its number if it has one, payload name, revision, interval."""
    return [*(() if number is None else (number,)), payload.name, payload.revision, str(iov)]
