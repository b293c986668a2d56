"""Rows of a tag in order of payload name, first run, revision and number, whole or a page at a time.

Rows and payload names lie in different tables, so no index has the order of a page. In a large tag of SQLite a page is
therefore sought among the payload names that come next: how many rows each name has is counted in an index, and only
the rows of the names that fill the page are put in order. What a payload is, its metadata too, is read once for all
its rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, func, literal, select, true, tuple_, union_all

from conditions.errors import IovNotFound
from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import IovEntry
from conditions.store.listing import Page, like
from conditions.store.numbers import payloads_by_number
from conditions.store.queries import name_list, tag_id
from conditions.store.tables import IovRow, PastIovRow, PayloadNameRow, PayloadRow

WHOLE: Final = Page()
_Place: TypeAlias = tuple[str, int, int, int]  # payload name, first_key, revision, number
_PLACE: Final = (PayloadNameRow.name, IovRow.first_key, PayloadRow.revision, IovRow.id)


def list_iovs(
    connection: Connection,
    tag: str,
    names: Iterable[str] | None = None,
    run: Run | None = None,
    within: IntervalOfValidity | None = None,
    *,
    pattern: str | None = None,
    after_id: int | None = None,
    page: Page = WHOLE,
) -> list[IovEntry]:
    """Rows of a tag in their order. The connection sees one moment where a page is asked for.

    Raises:
        IovNotFound: the tag never had the row after which to begin.
    """
    number = tag_id(connection, tag)
    statement = _rows().where(IovRow.tag_id == number)
    if run is not None:
        statement = statement.where(IovRow.first_key <= run.key, IovRow.final_key >= run.key)
    if within is not None:
        statement = statement.where(IovRow.first_key <= within.final_key, IovRow.final_key >= within.first_key)
    of_name: list[ColumnElement[bool]] = []
    if names is not None:
        of_name.append(PayloadNameRow.name.in_(name_list(names)))
    if pattern is not None:
        of_name.append(like(connection, PayloadNameRow.name, pattern))
    first = None if after_id is None else _place_of(connection, tag, number, after_id)
    payloads: dict[int, Payload] = {}

    def fetch(last: IovEntry | None, limit: int | None) -> list[IovEntry]:
        place = first if last is None else (last.payload.name, last.iov.first_key, last.payload.revision, last.id)
        wanted = statement if place is None else statement.where(tuple_(*_PLACE) > tuple_(*map(literal, place)))
        if limit is None:
            return _entries(connection, tag, connection.execute(wanted.where(*of_name)).all(), payloads)
        rows: list[Any] = []
        for span in _spans(connection, number, of_name, place, limit):
            rows += connection.execute(wanted.where(*of_name, span).limit(limit - len(rows)))
            if len(rows) == limit:
                break
        return _entries(connection, tag, rows, payloads)

    return page.of(fetch, lambda entry: entry.payload.name)


def _rows() -> Select[*tuple[Any, ...]]:
    """Rows of tags in their order, each with the number of its payload."""
    stamps = (IovRow.created_at, IovRow.modified_at, IovRow.modified_by)
    columns = select(IovRow.id, IovRow.payload_id, IovRow.first_key, IovRow.final_key, *stamps)
    joined = columns.join_from(IovRow, PayloadRow, PayloadRow.id == IovRow.payload_id)
    return joined.join(PayloadNameRow, PayloadNameRow.id == PayloadRow.name_id).order_by(*_PLACE)


def _entries(connection: Connection, tag: str, rows: Sequence[Any], payloads: dict[int, Payload]) -> list[IovEntry]:
    """Rows of `_rows` as values; `payloads` holds what was read before."""
    payloads |= payloads_by_number(connection, {row[1] for row in rows} - payloads.keys())
    return [
        IovEntry(number, payloads[payload_id], IntervalOfValidity.from_keys(first_key, final_key), tag, *stamps)
        for number, payload_id, first_key, final_key, *stamps in rows
    ]


def _spans(
    connection: Connection, number: int, of_name: Sequence[ColumnElement[bool]], place: _Place | None, limit: int
) -> Iterator[ColumnElement[bool]]:
    """The payload names of a tag from a place on, in spans that have so many rows or more, as conditions on rows.

    Each span is twice as large as the one before: what else is asked for may leave few of its rows. PostgreSQL needs
    but to know where to begin: it puts the rows of one name after the other in order until it has enough.
    """
    if connection.dialect.name != "sqlite":
        yield true() if place is None else PayloadNameRow.name >= place[0]
        return
    of_payload = select(IovRow.payload_id, func.count().label("rows")).where(IovRow.tag_id == number)
    counted = of_payload.group_by(IovRow.payload_id).subquery()
    statement = (
        select(PayloadNameRow.name, func.sum(counted.c.rows))
        .join_from(counted, PayloadRow, PayloadRow.id == counted.c.payload_id)
        .join(PayloadNameRow, PayloadNameRow.id == PayloadRow.name_id)
        .where(*of_name)
        .group_by(PayloadNameRow.name)
        .order_by(PayloadNameRow.name)
    )
    if place is not None:
        statement = statement.where(PayloadNameRow.name >= place[0])
    size = limit
    begin, n_rows = None, 0
    for name, count in connection.execute(statement).all():
        begin, n_rows = begin if begin is not None else name, n_rows + count
        if n_rows >= size:
            yield _between(begin, name)
            begin, n_rows, size = None, 0, 2 * size
    if begin is not None:
        yield PayloadNameRow.name >= begin


def _between(first: str, last: str) -> ColumnElement[bool]:
    """Rows of the payloads from one name to another; the numbers of the payloads lead to them by an index."""
    joined = select(PayloadRow.id).join(PayloadNameRow, PayloadNameRow.id == PayloadRow.name_id)
    return IovRow.payload_id.in_(joined.where(PayloadNameRow.name.between(first, last)))


def _place_of(connection: Connection, tag: str, number: int, iov_id: int) -> _Place:
    """Where a row stands in the list of its tag, or stood."""
    live = select(IovRow.payload_id, IovRow.first_key, literal(0).label("gone"))
    past = select(PastIovRow.payload_id, PastIovRow.first_key, PastIovRow.removed_in.label("gone"))
    places = union_all(
        live.where(IovRow.tag_id == number, IovRow.id == iov_id),
        past.where(PastIovRow.tag_id == number, PastIovRow.iov_id == iov_id),
    ).subquery()
    # The row as it is, else as it was last.
    latest = places.c.gone == 0, places.c.gone.desc()
    statement = (
        select(PayloadNameRow.name, places.c.first_key, PayloadRow.revision)
        .join_from(places, PayloadRow, PayloadRow.id == places.c.payload_id)
        .join(PayloadNameRow, PayloadNameRow.id == PayloadRow.name_id)
        .order_by(latest[0].desc(), latest[1])
        .limit(1)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise IovNotFound(tag, iov_id)
    return (*row, iov_id)
