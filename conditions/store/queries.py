"""Reading: rows of the database become values here, and nowhere else."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Row, Select, and_, func, select

from conditions.errors import IovNotFound, PayloadNotFound, TagNotFound
from conditions.iov import IntervalOfValidity
from conditions.payload import Payload
from conditions.resolve import IovEntry
from conditions.store.engine import shown
from conditions.store.tables import IovRow, PayloadNameRow, PayloadRow, StoreIdentityRow, TagRow
from conditions.tags import Tag, TagState, near_names

T = TypeVar("T")
MANY: Final = 5_000  # values in one IN list; SQLite takes 32,766 parameters, PostgreSQL 65,535


@dataclass(frozen=True, slots=True)
class LockedTag:
    """The row of a tag that this transaction holds: nobody else changes the tag or its content."""

    id: int
    name: str
    state: TagState
    type: str
    description: str
    content_revision: int

    @property
    def next_revision(self) -> int:
        """The content revision of the change that is being made; what comes and goes with it is marked with it."""
        return self.content_revision + 1


def store_id(connection: Connection) -> str:
    """The id that this database got when its schema was made."""
    return connection.execute(select(StoreIdentityRow.store_id)).scalar_one()


def find_tag(connection: Connection, name: str) -> Tag | None:
    """The tag of that name, None when there is none."""
    row = connection.execute(tags_query().where(TagRow.name == name)).one_or_none()
    return None if row is None else tag_row(row)


def get_tag(connection: Connection, name: str) -> Tag:
    """The tag of that name.

    Raises:
        TagNotFound: with the names that are near.
    """
    tag = find_tag(connection, name)
    if tag is None:
        raise tag_not_found(connection, name)
    return tag


def lock_tag(connection: Connection, name: str) -> LockedTag:
    """Lock a tag's row until the end of the transaction (SQLite: the whole database is locked already).

    Raises:
        TagNotFound: with the names that are near.
    """
    columns = select(TagRow.id, TagRow.name, TagRow.state, TagRow.type, TagRow.description, TagRow.content_revision)
    row = connection.execute(columns.where(TagRow.name == name).with_for_update()).one_or_none()
    if row is None:
        raise tag_not_found(connection, name)
    return LockedTag(row.id, row.name, TagState(row.state), row.type, row.description, row.content_revision)


def tag_not_found(connection: Connection, name: str) -> TagNotFound:
    """The error for a tag that is not there, with the names that are near."""
    visible = select(TagRow.name).where(TagRow.state != TagState.INVALID.value)
    return TagNotFound(name, near_names(str(name), connection.execute(visible).scalars()), shown(connection.engine.url))


def get_payload(connection: Connection, name: str, revision: int | None) -> Payload:
    """One revision of a payload, the latest when none is named.

    Raises:
        PayloadNotFound: with the names that are near, or the latest revision there is.
    """
    statement = payloads_query().where(PayloadNameRow.name == name)
    if revision is None:
        statement = statement.order_by(PayloadRow.revision.desc()).limit(1)
    else:
        statement = statement.where(PayloadRow.revision == revision)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise payload_not_found(connection, name, revision)
    return payload_row(row)


def find_payload_by_digest(connection: Connection, name_id: int, sha256: str) -> Payload | None:
    """The revision of a name that has these bytes, None when none has."""
    statement = payloads_query().where(PayloadRow.name_id == name_id, PayloadRow.sha256 == sha256)
    row = connection.execute(statement).one_or_none()
    return None if row is None else payload_row(row)


def payload_not_found(connection: Connection, name: str, revision: int | None) -> PayloadNotFound:
    """The error for a payload that is not there."""
    last = select(PayloadNameRow.last_revision).where(PayloadNameRow.name == name)
    latest = connection.execute(last).scalar_one_or_none()
    if latest:
        return PayloadNotFound(name, revision, latest=latest)
    names = connection.execute(select(PayloadNameRow.name)).scalars()
    return PayloadNotFound(name, revision, near_names(str(name), names))


def get_iov(connection: Connection, tag: LockedTag, iov_id: int) -> IovEntry:
    """One row of a tag.

    Raises:
        IovNotFound: the tag has no such row.
    """
    row = connection.execute(entries_query().where(IovRow.tag_id == tag.id, IovRow.id == iov_id)).one_or_none()
    if row is None:
        raise IovNotFound(tag.name, iov_id)
    return entry_from(row, tag.name)


def find_iov(connection: Connection, tag: LockedTag, payload_id: int, iov: IntervalOfValidity) -> IovEntry | None:
    """The row of a tag with this payload and this interval, None when there is none."""
    same = and_(IovRow.first_key == iov.first_key, IovRow.final_key == iov.final_key)
    statement = entries_query().where(IovRow.tag_id == tag.id, IovRow.payload_id == payload_id, same)
    row = connection.execute(statement).one_or_none()
    return None if row is None else entry_from(row, tag.name)


def published_digest(connection: Connection, number: int) -> str | None:
    """The digest that a tag was published with, None when there is none."""
    return connection.execute(select(TagRow.published_digest).where(TagRow.id == number)).scalar_one()


def all_payloads(connection: Connection) -> Iterator[Payload]:
    """Every payload, in order of its number."""
    for row in connection.execute(payloads_query().order_by(PayloadRow.id)):
        yield payload_row(row)


def matches(pattern: str | None, name: str) -> bool:
    """Whether a name fits a pattern with `*` and `?`, in the same case; no pattern fits all."""
    return pattern is None or re.fullmatch(fnmatch.translate(pattern.replace("[", "[[]")), name) is not None


def name_list(names: Iterable[str]) -> list[str]:
    """Each name once, in order; one name alone is a list of one."""
    return [names] if isinstance(names, str) else sorted(set(names))


def batches(values: Iterable[T], size: int = MANY) -> Iterator[list[T]]:
    """Lists of at most so many values."""
    iterator = iter(values)
    while batch := list(islice(iterator, size)):
        yield batch


def payload_from(values: Sequence[Any], name: str) -> Payload:
    """A payload from (id, revision, sha256, md5, size_bytes, metadata, created_at, created_by) and its name."""
    number, revision, sha256, md5, size_bytes, details, created_at, created_by = values
    return Payload(name, revision, sha256, md5, size_bytes, details, created_at, created_by, number)


def tag_id(connection: Connection, name: str) -> int:
    """The number of a tag; TagNotFound when there is none."""
    found = connection.execute(select(TagRow.id).where(TagRow.name == name)).scalar_one_or_none()
    if found is None:
        raise tag_not_found(connection, name)
    return found


def tags_query() -> Select[*tuple[Any, ...]]:
    """Tags with the number of their payloads."""
    count = (
        select(func.count(IovRow.payload_id.distinct()))
        .where(IovRow.tag_id == TagRow.id)
        .correlate(TagRow)
        .scalar_subquery()
    )
    return select(
        TagRow.id,
        TagRow.name,
        TagRow.state,
        TagRow.type,
        TagRow.description,
        TagRow.content_revision,
        TagRow.created_at,
        TagRow.modified_at,
        TagRow.modified_by,
        count.label("payload_count"),
    )


def tag_row(row: Row[*tuple[Any, ...]]) -> Tag:
    """A row of `tags_query`."""
    return Tag(
        name=row.name,
        state=TagState(row.state),
        type=row.type,
        description=row.description,
        payload_count=row.payload_count,
        created_at=row.created_at,
        modified_at=row.modified_at,
        modified_by=row.modified_by,
        content_revision=row.content_revision,
        id=row.id,
    )


_PAYLOAD_COLUMNS: Final = (
    PayloadRow.id,
    PayloadRow.revision,
    PayloadRow.sha256,
    PayloadRow.md5,
    PayloadRow.size_bytes,
    PayloadRow.details,
    PayloadRow.created_at,
    PayloadRow.created_by,
)
IOV_COLUMNS: Final = (
    IovRow.id,
    IovRow.first_key,
    IovRow.final_key,
    IovRow.created_at,
    IovRow.modified_at,
    IovRow.modified_by,
)


def payloads_query() -> Select[*tuple[Any, ...]]:
    """Payloads with their names."""
    return select(*_PAYLOAD_COLUMNS, PayloadNameRow.name).join(PayloadNameRow, PayloadNameRow.id == PayloadRow.name_id)


def payload_row(row: Row[*tuple[Any, ...]]) -> Payload:
    """A row of `payloads_query`."""
    return payload_from(row[:8], row[8])


def entries_query() -> Select[*tuple[Any, ...]]:
    """Rows of tags with their payloads."""
    return (
        select(*_PAYLOAD_COLUMNS, PayloadNameRow.name, *IOV_COLUMNS)
        .join_from(IovRow, PayloadRow, PayloadRow.id == IovRow.payload_id)
        .join(PayloadNameRow, PayloadNameRow.id == PayloadRow.name_id)
    )


def entry_from(row: Row[*tuple[Any, ...]], tag: str) -> IovEntry:
    """A row of `entries_query`."""
    return IovEntry(
        row[9], payload_row(row), IntervalOfValidity.from_keys(row[10], row[11]), tag, row[12], row[13], row[14]
    )
