"""Changes of a tag's content: rows of payload and interval.

Each locks the tag's row first, then changes rows, then `touch`es the tag once: the triggers that keep the past of a
tag count on that order, and write down every change with the content revision that the touch gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from conditions.errors import ChangeRefused
from conditions.iov import FOREVER_KEY, IntervalOfValidity, Last
from conditions.payload import Payload
from conditions.resolve import IovEntry
from conditions.store.audit import Change, record
from conditions.store.lookup import fork_of
from conditions.store.numbers import numbers_of
from conditions.store.queries import LockedTag, batches, find_iov, get_iov, lock_tag, payload_not_found
from conditions.store.tables import IovRow, PayloadNameRow, PayloadRow, TagRow
from conditions.store.tag_changes import subject_of, touch
from conditions.tags import Fixed, TagState, check_add, check_close, check_edit, check_modify

AUDITED_AT_ONCE: Final = 1_000  # rows of content named in one row of the trail, so that it stays readable


def add_iov(change: Change, tag_name: str, payload: Payload, iov: IntervalOfValidity) -> IovEntry:
    """Add one row; the same row again gives the one that is there."""
    add_iovs(change, tag_name, [(payload, iov)])
    tag = lock_tag(change.connection, tag_name)
    found = find_iov(change.connection, tag, payload.id, iov)
    if found is None:
        raise AssertionError("a row just written under the tag's lock is there")
    return found


def add_iovs(change: Change, tag_name: str, entries: Sequence[tuple[Payload, IntervalOfValidity]]) -> int:
    """Add many rows, or none if one is refused; rows that are there already stay. Returns how many are new.

    Raises:
        ChangeRefused: the tag's state forbids it.
        PayloadNotFound: a payload is not in this store.
    """
    connection = change.connection
    tag = lock_tag(connection, tag_name)
    numbers = _payload_numbers(change, [payload for payload, _ in entries])
    wanted = {
        (numbers[payload.name, payload.revision], iov.first_key, iov.final_key): (payload, iov)
        for payload, iov in entries
    }
    there = _present(change, tag, {number for number, _, _ in wanted})
    new = {place: entry for place, entry in wanted.items() if place not in there}
    added = [(payload.name, iov) for payload, iov in new.values()]
    check_add(tag.name, tag.state, added, _fixed(change, tag, {name for name, _ in added}))
    if not new:
        return 0
    stamps = {"tag_id": tag.id, "created_at": change.at, "modified_at": change.at, "modified_by": change.who}
    stamps |= {"added_in": tag.next_revision}  # the triggers would write the same, row by row
    for batch in batches(new):
        rows = [
            {"payload_id": number, "first_key": first, "final_key": final, "fork": fork_of(first, final), **stamps}
            for number, first, final in batch
        ]
        # With RETURNING many rows go in one statement: triggers make a statement a row several times as slow.
        connection.execute(insert(IovRow).returning(IovRow.id), rows).close()
    touch(change, tag, {}, content=True)
    for entries_said in batches(new.values(), AUDITED_AT_ONCE):
        said = [_said(payload, iov) for payload, iov in entries_said]
        record(change, "add iovs", subject_of(tag), None, {"iovs": said, "content_revision": _revision(change, tag)})
    return len(new)


def close_iov(change: Change, tag_name: str, iov_id: int, last: Last) -> IovEntry:
    """Give a row an earlier end.

    Raises:
        ChangeRefused: the tag's state forbids it, or such a row is there already.
        BadInterval: the new end is not inside the interval.
    """
    tag = lock_tag(change.connection, tag_name)
    entry = get_iov(change.connection, tag, iov_id)
    closed = check_close(tag.name, tag.state, entry.iov, last, _fixed(change, tag))
    return _change_interval(change, tag, entry, closed, "close")


def modify_iov(change: Change, tag_name: str, iov_id: int, iov: IntervalOfValidity) -> IovEntry:
    """Give a row another interval.

    Raises:
        ChangeRefused: the tag's state forbids it, or such a row is there already.
        BadInterval: the tag is RUNNING, and the row would get longer.
    """
    tag = lock_tag(change.connection, tag_name)
    entry = get_iov(change.connection, tag, iov_id)
    check_modify(tag.name, tag.state, entry.iov, iov, _fixed(change, tag))
    return _change_interval(change, tag, entry, iov, "modify")


def delete_iov(change: Change, tag_name: str, iov_id: int) -> None:
    """Take a row out of an OPEN tag.

    Raises:
        ChangeRefused: the tag is not OPEN.
        IovNotFound: the tag has no such row.
    """
    tag = lock_tag(change.connection, tag_name)
    check_edit(tag.name, tag.state, "delete IoVs of")
    entry = get_iov(change.connection, tag, iov_id)
    change.connection.execute(delete(IovRow).where(IovRow.id == iov_id))
    touch(change, tag, {}, content=True)
    before = {"id": iov_id, "iov": _said(entry.payload, entry.iov)}
    record(change, "delete iov", subject_of(tag), before, {"content_revision": _revision(change, tag)})


def _change_interval(change: Change, tag: LockedTag, entry: IovEntry, iov: IntervalOfValidity, verb: str) -> IovEntry:
    """Write another interval into a row, if it is another one."""
    if iov == entry.iov:
        return entry
    values: dict[str, Any] = {
        "first_key": iov.first_key,
        "final_key": iov.final_key,
        "fork": fork_of(iov.first_key, iov.final_key),
        "modified_at": change.at,
        "modified_by": change.who,
    }
    try:
        with change.connection.begin_nested():
            change.connection.execute(update(IovRow).where(IovRow.id == entry.id).values(values))
    except IntegrityError as error:
        advice = f"{entry.payload} {iov} is there already; delete one of the two"
        raise ChangeRefused(tag.name, tag.state.value, f"{verb} IoVs of", advice) from error
    touch(change, tag, {}, content=True)
    before, after = ({"id": entry.id, "iov": _said(entry.payload, each)} for each in (entry.iov, iov))
    record(change, f"{verb} iov", subject_of(tag), before, after | {"content_revision": _revision(change, tag)})
    return get_iov(change.connection, tag, entry.id)


def _payload_numbers(change: Change, payloads: Iterable[Payload]) -> dict[tuple[str, int], int]:
    """The store's number of each payload, found by name and revision; the digest must agree."""
    wanted = list(payloads)
    numbers = numbers_of(change.connection, wanted)
    for payload in wanted:
        if (payload.name, payload.revision) not in numbers:
            raise payload_not_found(change.connection, payload.name, payload.revision)
    return numbers


def _present(change: Change, tag: LockedTag, numbers: Iterable[int]) -> set[tuple[int, int, int]]:
    """The rows that a tag has of these payloads."""
    columns = select(IovRow.payload_id, IovRow.first_key, IovRow.final_key).where(IovRow.tag_id == tag.id)
    there: set[tuple[int, int, int]] = set()
    for batch in batches(numbers):
        rows = change.connection.execute(columns.where(IovRow.payload_id.in_(batch)))
        there.update((number, first, final) for number, first, final in rows)
    return there


def _fixed(change: Change, tag: LockedTag, names: Iterable[str] = ()) -> Fixed:
    """What a RUNNING tag has given out; other states need not know."""
    if tag.state is not TagState.RUNNING:
        return Fixed()
    connection = change.connection
    of_tag = IovRow.tag_id == tag.id
    newest = connection.execute(select(func.max(IovRow.first_key)).where(of_tag)).scalar_one()
    ended = select(func.max(IovRow.final_key)).where(of_tag, IovRow.final_key < FOREVER_KEY)
    given_out = (newest, connection.execute(ended).scalar_one())
    ends = (
        select(PayloadNameRow.name, func.max(IovRow.final_key))
        .join_from(IovRow, PayloadRow, PayloadRow.id == IovRow.payload_id)
        .join(PayloadNameRow, PayloadNameRow.id == PayloadRow.name_id)
        .where(IovRow.tag_id == tag.id)
        .group_by(PayloadNameRow.name)
    )
    last_key_of = {
        name: last_key
        for batch in batches(names)
        for name, last_key in connection.execute(ends.where(PayloadNameRow.name.in_(batch)))
    }
    return Fixed(max((key for key in given_out if key is not None), default=-1), last_key_of)


def _revision(change: Change, tag: LockedTag) -> int:
    """The content revision that this change made."""
    return change.connection.execute(select(TagRow.content_revision).where(TagRow.id == tag.id)).scalar_one()


def _said(payload: Payload, iov: IntervalOfValidity) -> list[str | int]:
    """A row of content as the trail writes it: name, revision, interval."""
    return [payload.name, payload.revision, str(iov)]
