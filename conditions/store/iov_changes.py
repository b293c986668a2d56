"""Changes of a tag's content: rows of payload and interval.

Each locks the tag's row first, then changes rows, then `touch`es the tag once: the triggers that keep the past of a
tag count on that order, and write down every change with the content revision that the touch gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
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

Entry: TypeAlias = tuple[Payload, IntervalOfValidity]
AUDITED_AT_ONCE: Final = 1_000  # rows of content named in one row of the trail, so that it stays readable


def add_iov(change: Change, tag_name: str, payload: Payload, iov: IntervalOfValidity) -> IovEntry:
    """Add one row; the same row again gives the one that is there."""
    add_iovs(change, tag_name, [(payload, iov)])
    tag = lock_tag(change.connection, tag_name)
    found = find_iov(change.connection, tag, payload.id, iov)
    if found is None:
        raise AssertionError("a row just written under the tag's lock is there")
    return found


def add_iovs(change: Change, tag_name: str, entries: Sequence[Entry]) -> int:
    """Add many rows, or none if one is refused; rows that are there already stay. Returns how many are new.

    Raises:
        ChangeRefused: the tag's state forbids it.
        PayloadNotFound: a payload is not in this store.
    """
    tag = lock_tag(change.connection, tag_name)
    numbers = _payload_numbers(change, entries)
    if tag.state is not TagState.OPEN:
        new = _new_of(change, tag, numbers, entries)
        names = {payload.name for payload, _ in new}
        check_add(tag.name, tag.state, ((payload.name, iov) for payload, iov in new), _fixed(change, tag, names))
    n_added = 0
    for some in batches(entries):
        added = _insert(change, tag, numbers, some)
        n_added += len(added)
        for entries_said in batches(added, AUDITED_AT_ONCE):
            said = [_said(payload, iov) for payload, iov in entries_said]
            record(change, "add iovs", subject_of(tag), None, {"iovs": said, "content_revision": tag.next_revision})
    if n_added:
        touch(change, tag, {}, content=True)
    return n_added


def holds(change: Change, tag: LockedTag, entries: Sequence[Entry]) -> bool:
    """Whether a locked tag has all these rows already."""
    return not _new_of(change, tag, _payload_numbers(change, entries), entries)


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


def _payload_numbers(change: Change, entries: Iterable[Entry]) -> dict[tuple[str, int], int]:
    """The store's number of each payload, found by name and revision; the digest must agree."""
    wanted = {(payload.name, payload.revision): payload for payload, _ in entries}
    numbers = numbers_of(change.connection, wanted.values())
    for place in wanted:
        if place not in numbers:
            raise payload_not_found(change.connection, *place)
    return numbers


def _new_of(
    change: Change, tag: LockedTag, numbers: Mapping[tuple[str, int], int], entries: Iterable[Entry]
) -> list[Entry]:
    """The rows, each once, that a tag lacks."""
    columns = select(IovRow.payload_id, IovRow.first_key, IovRow.final_key).where(IovRow.tag_id == tag.id)
    there: set[tuple[int, int, int]] = set()
    for some in batches(numbers.values()):
        rows = change.connection.execute(columns.where(IovRow.payload_id.in_(some)))
        there.update((number, first, final) for number, first, final in rows)
    return [entry for place, entry in _by_place(numbers, entries).items() if place not in there]


def _insert(
    change: Change, tag: LockedTag, numbers: Mapping[tuple[str, int], int], entries: Iterable[Entry]
) -> list[Entry]:
    """Write the rows that a tag lacks, and tell which they are; the database knows those that are there."""
    wanted = _by_place(numbers, entries)
    stamps = {"tag_id": tag.id, "created_at": change.at, "modified_at": change.at, "modified_by": change.who}
    stamps |= {"added_in": tag.next_revision}  # the triggers would write the same, row by row
    rows = [
        {"payload_id": number, "first_key": first, "final_key": final, "fork": fork_of(first, final), **stamps}
        for number, first, final in wanted
    ]
    insert_into = sqlite.insert if change.connection.dialect.name == "sqlite" else postgresql.insert
    # With RETURNING many rows go in one statement: triggers make a statement a row several times as slow.
    written = insert_into(IovRow).on_conflict_do_nothing(index_elements=_PLACE)
    returned = change.connection.execute(written.returning(IovRow.payload_id, IovRow.first_key, IovRow.final_key), rows)
    made = {(number, first, final) for number, first, final in returned}
    return [entry for place, entry in wanted.items() if place in made]


def _by_place(numbers: Mapping[tuple[str, int], int], entries: Iterable[Entry]) -> dict[tuple[int, int, int], Entry]:
    """Rows by what makes them one: payload, first and last run."""
    return {
        (numbers[payload.name, payload.revision], iov.first_key, iov.final_key): (payload, iov)
        for payload, iov in entries
    }


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


_PLACE: Final = ("tag_id", "payload_id", "first_key", "final_key")


def _revision(change: Change, tag: LockedTag) -> int:
    """The content revision that this change made."""
    return change.connection.execute(select(TagRow.content_revision).where(TagRow.id == tag.id)).scalar_one()


def _said(payload: Payload, iov: IntervalOfValidity) -> list[str | int]:
    """A row of content as the trail writes it: name, revision, interval."""
    return [payload.name, payload.revision, str(iov)]
