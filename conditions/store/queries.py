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
from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import IovEntry
from conditions.store.engine import shown
from conditions.store.tables import AuditRow, IovRow, PayloadNameRow, PayloadRow, StoreIdentityRow, TagRow
from conditions.tags import AuditEntry, Tag, TagState, near_names

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
    row = connection.execute(_tags().where(TagRow.name == name)).one_or_none()
    return None if row is None else _tag(row)


def get_tag(connection: Connection, name: str) -> Tag:
    """The tag of that name.

    Raises:
        TagNotFound: with the names that are near.
    """
    tag = find_tag(connection, name)
    if tag is None:
        raise tag_not_found(connection, name)
    return tag


def list_tags(
    connection: Connection, pattern: str | None, state: TagState | None, *, include_invalid: bool
) -> list[Tag]:
    """Tags in order of name; INVALID ones only when asked for, by flag or by state."""
    statement = _tags().order_by(TagRow.name)
    if state is not None:
        statement = statement.where(TagRow.state == state.value)
    elif not include_invalid:
        statement = statement.where(TagRow.state != TagState.INVALID.value)
    tags = [_tag(row) for row in connection.execute(statement)]
    return [tag for tag in tags if matches(pattern, tag.name)]


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


def tag_history(connection: Connection, name: str) -> list[AuditEntry]:
    """What happened to a tag, also under its earlier names, in order."""
    tag_id = _tag_id(connection, name)
    statement = (
        select(
            AuditRow.id, AuditRow.at, AuditRow.who, AuditRow.action, AuditRow.subject, AuditRow.before, AuditRow.after
        )
        .where(AuditRow.subject_kind == "tag", AuditRow.subject_id == tag_id)
        .order_by(AuditRow.id)
    )
    return [
        AuditEntry(row.at, row.who, row.action, row.subject, row.before, row.after, row.id)
        for row in connection.execute(statement)
    ]


def get_payload(connection: Connection, name: str, revision: int | None) -> Payload:
    """One revision of a payload, the latest when none is named.

    Raises:
        PayloadNotFound: with the names that are near, or the latest revision there is.
    """
    statement = _payloads().where(PayloadNameRow.name == name)
    if revision is None:
        statement = statement.order_by(PayloadRow.revision.desc()).limit(1)
    else:
        statement = statement.where(PayloadRow.revision == revision)
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise payload_not_found(connection, name, revision)
    return _payload(row)


def find_payload_by_digest(connection: Connection, name_id: int, sha256: str) -> Payload | None:
    """The revision of a name that has these bytes, None when none has."""
    statement = _payloads().where(PayloadRow.name_id == name_id, PayloadRow.sha256 == sha256)
    row = connection.execute(statement).one_or_none()
    return None if row is None else _payload(row)


def payload_not_found(connection: Connection, name: str, revision: int | None) -> PayloadNotFound:
    """The error for a payload that is not there."""
    last = select(PayloadNameRow.last_revision).where(PayloadNameRow.name == name)
    latest = connection.execute(last).scalar_one_or_none()
    if latest:
        return PayloadNotFound(name, revision, latest=latest)
    names = connection.execute(select(PayloadNameRow.name)).scalars()
    return PayloadNotFound(name, revision, near_names(str(name), names))


def list_payloads(connection: Connection, pattern: str | None, tag: str | None) -> list[Payload]:
    """Payloads in order of name and revision; only those of a tag when one is named."""
    statement = _payloads().order_by(PayloadNameRow.name, PayloadRow.revision)
    if tag is not None:
        tag_id = _tag_id(connection, tag)
        inside = select(IovRow.payload_id).where(IovRow.tag_id == tag_id)
        statement = statement.where(PayloadRow.id.in_(inside))
    payloads = (_payload(row) for row in connection.execute(statement))
    return [payload for payload in payloads if matches(pattern, payload.name)]


def list_iovs(
    connection: Connection,
    tag: str,
    names: Iterable[str] | None,
    run: Run | None,
    within: IntervalOfValidity | None,
) -> list[IovEntry]:
    """Rows of a tag in order of payload name, first run, revision; filtered in the database."""
    tag_id = _tag_id(connection, tag)
    statement = (
        _entries()
        .where(IovRow.tag_id == tag_id)
        .order_by(PayloadNameRow.name, IovRow.first_key, PayloadRow.revision, IovRow.id)
    )
    if run is not None:
        statement = statement.where(IovRow.first_key <= run.key, IovRow.final_key >= run.key)
    if within is not None:
        statement = statement.where(IovRow.first_key <= within.final_key, IovRow.final_key >= within.first_key)
    if names is not None:
        statement = statement.where(PayloadNameRow.name.in_(name_list(names)))
    payloads: dict[int, Payload] = {}
    return [_entry(row, tag, payloads) for row in connection.execute(statement)]


def get_iov(connection: Connection, tag: LockedTag, iov_id: int) -> IovEntry:
    """One row of a tag.

    Raises:
        IovNotFound: the tag has no such row.
    """
    row = connection.execute(_entries().where(IovRow.tag_id == tag.id, IovRow.id == iov_id)).one_or_none()
    if row is None:
        raise IovNotFound(tag.name, iov_id)
    return _entry(row, tag.name, {})


def find_iov(connection: Connection, tag: LockedTag, payload_id: int, iov: IntervalOfValidity) -> IovEntry | None:
    """The row of a tag with this payload and this interval, None when there is none."""
    same = and_(IovRow.first_key == iov.first_key, IovRow.final_key == iov.final_key)
    statement = _entries().where(IovRow.tag_id == tag.id, IovRow.payload_id == payload_id, same)
    row = connection.execute(statement).one_or_none()
    return None if row is None else _entry(row, tag.name, {})


def all_payloads(connection: Connection) -> Iterator[Payload]:
    """Every payload, in order of its number."""
    for row in connection.execute(_payloads().order_by(PayloadRow.id)):
        yield _payload(row)


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


def _tag_id(connection: Connection, name: str) -> int:
    """The number of a tag; TagNotFound when there is none."""
    found = connection.execute(select(TagRow.id).where(TagRow.name == name)).scalar_one_or_none()
    if found is None:
        raise tag_not_found(connection, name)
    return found


def _tags() -> Select[*tuple[Any, ...]]:
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


def _tag(row: Row[*tuple[Any, ...]]) -> Tag:
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
_IOV_COLUMNS: Final = (
    IovRow.id,
    IovRow.first_key,
    IovRow.final_key,
    IovRow.created_at,
    IovRow.modified_at,
    IovRow.modified_by,
)


def _payloads() -> Select[*tuple[Any, ...]]:
    return select(*_PAYLOAD_COLUMNS, PayloadNameRow.name).join(PayloadNameRow, PayloadNameRow.id == PayloadRow.name_id)


def _payload(row: Row[*tuple[Any, ...]]) -> Payload:
    return payload_from(row[:8], row[8])


def _entries() -> Select[*tuple[Any, ...]]:
    return (
        select(*_PAYLOAD_COLUMNS, PayloadNameRow.name, *_IOV_COLUMNS)
        .join_from(IovRow, PayloadRow, PayloadRow.id == IovRow.payload_id)
        .join(PayloadNameRow, PayloadNameRow.id == PayloadRow.name_id)
    )


def _entry(row: Row[*tuple[Any, ...]], tag: str, payloads: dict[int, Payload]) -> IovEntry:
    """A row of `_entries`; payloads that were made before are used again."""
    payload = payloads.get(row[0])
    if payload is None:
        payload = payloads[row[0]] = _payload(row)
    iov = IntervalOfValidity.from_keys(row[10], row[11])
    return IovEntry(row[9], payload, iov, tag, row[12], row[13], row[14])
