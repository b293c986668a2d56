"""A store's verbs for wire interfaces that name things by number, and read whole tags row by row.

Payloads in rows of a tag come without their metadata here.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from dataclasses import replace
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Executable, Select, func, select, tuple_, union_all

from conditions.errors import IovNotFound, PayloadNotFound, TagNotFound
from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import IovEntry
from conditions.store import queries, tag_changes
from conditions.store.core import StoreCore
from conditions.store.lookup import path_to
from conditions.store.queries import IOV_COLUMNS
from conditions.store.tables import IovRow, PayloadNameRow, PayloadRow, TagRow
from conditions.tags import MAX_TAG_NAME, Tag, TagState

PAGE_ROWS: Final = 2_000  # rows of a large tag in memory at once: a few MB
PAIRS_AT_ONCE: Final = 1_000
Counts = MutableMapping[int, tuple[int, int]]  # tag number -> (content revision, payloads in it)


class WireVerbs(StoreCore):
    """Find things by the store's own numbers."""

    def get_tag_by_id(self, number: int) -> Tag:
        """The tag of that number; TagNotFound when there is none."""
        with self._reading() as connection:
            return queries.get_tag(connection, _tag_name(connection, number))

    def tag_name_of(self, number: int) -> str:
        """The name of the tag of that number, without counting its payloads."""
        with self._reading() as connection:
            return _tag_name(connection, number)

    def get_payload_by_id(self, number: int) -> Payload:
        """The payload of that number; PayloadNotFound when there is none."""
        with self._reading() as connection:
            found = _payloads(connection, PayloadRow.id == number)
        if not found:
            raise PayloadNotFound(f"number {number}")
        return found[0]

    def get_payload_by_sha256(self, sha256: str) -> Payload:
        """The first payload that was made of these bytes; PayloadNotFound when there is none."""
        with self._reading() as connection:
            found = _payloads(connection, PayloadRow.sha256 == sha256)
        if not found:
            raise PayloadNotFound(f"sha256 {sha256}")
        return min(found, key=lambda payload: payload.id)

    def get_iov_by_id(self, number: int) -> IovEntry:
        """The row of that number, with the name of its tag; IovNotFound when there is none."""
        tag_of = select(TagRow.name).join(IovRow, IovRow.tag_id == TagRow.id).where(IovRow.id == number)
        with self._reading() as connection:
            name = connection.execute(tag_of).scalar_one_or_none()
            rows = [] if name is None else _read(connection, name, _rows(IovRow.id == number))
        if not rows:
            raise IovNotFound("any tag", number)
        return rows[0]

    def find_payloads(self, wanted: Iterable[tuple[str, str]]) -> list[Payload]:
        """The payloads among these (name, md5), in order of number; one query for a thousand."""
        found: dict[int, Payload] = {}
        with self._reading() as connection:
            for pairs in queries.batches(dict.fromkeys(wanted), PAIRS_AT_ONCE):
                # The index knows md5 alone; the pair is looked at in what that leaves.
                same = PayloadRow.md5.in_([md5 for _, md5 in pairs]) & tuple_(PayloadNameRow.name, PayloadRow.md5).in_(
                    pairs
                )
                found |= {payload.id: payload for payload in _payloads(connection, same)}
        return [found[number] for number in sorted(found)]

    def covering_rows(self, tag: str, run: Run) -> list[IovEntry]:
        """Every row of a tag that covers a run, overlaps included, in order of payload name and revision.

        The rows of any tag are told, whatever its state, which whoever wants to use it asks for.
        """
        with self._reading() as connection:
            number = queries.tag_id(connection, tag)
            rows = _read(connection, tag, _covering(number, run.key))
        return sorted(rows, key=lambda row: (row.payload.name, row.payload.revision, row.iov.first_key, row.id))

    def content_pages(self, tag: str) -> Iterator[list[IovEntry]]:
        """All rows of a tag as they are at one moment, a page at a time; those of one payload stand together.

        A connection is held until the last page was taken, or the iterator is closed.
        """
        with self._at_one_moment() as connection:
            number = queries.tag_id(connection, tag)
            rows = _rows(IovRow.tag_id == number).order_by(IovRow.payload_id, IovRow.first_key, IovRow.id)
            with connection.execution_options(stream_results=True).execute(rows) as found:
                for page in found.partitions(PAGE_ROWS):
                    yield _entries(page, tag)

    def payload_pages(self, name: str | None = None, *, tag: str | None = None) -> Iterator[list[Payload]]:
        """All payloads, or all of one name or tag, in order of number, a page at a time; as `content_pages`."""
        where = PayloadNameRow.name == name if name is not None else PayloadRow.id > 0
        columns = select(PayloadNameRow.name, *_PAYLOAD_FACTS).join_from(PayloadRow, PayloadNameRow).where(where)
        with self._at_one_moment() as connection:
            rows = columns.order_by(PayloadRow.id)
            if tag is not None:
                of_tag = select(IovRow.payload_id).where(IovRow.tag_id == queries.tag_id(connection, tag))
                rows = rows.where(PayloadRow.id.in_(of_tag))
            with connection.execution_options(stream_results=True).execute(rows) as found:
                for page in found.partitions(PAGE_ROWS):
                    yield [_payload(values, name_, {}) for name_, *values in page]

    def counted_tags(self, counts: Counts, name: str | None = None) -> list[Tag]:
        """All tags, INVALID ones too, or the one of that name, in order of name.

        Counting the payloads of a large tag takes long, so counts are taken from `counts` where the content is still
        the one that was counted, and are kept there.
        """
        where = TagRow.name == name if name is not None else TagRow.id > 0
        with self._reading() as connection:
            tags = _uncounted(connection, where)
        if any(_known(counts, tag) is None for tag in tags):
            with self._at_one_moment() as connection:
                tags = _uncounted(connection, where)
                unknown = [tag for tag in tags if _known(counts, tag) is None]
                number_of = _count(connection, [tag.id for tag in unknown])
                counts.update({tag.id: (tag.content_revision, number_of.get(tag.id, 0)) for tag in unknown})
        return [replace(tag, payload_count=_known(counts, tag) or 0) for tag in tags]

    def clone_by_number(self, number: int) -> Tag:
        """An OPEN tag with the content of the tag of that number, named `{number}_copy_of_{name}` by its own number."""
        with self._change() as change:
            source = _tag_name(change.connection, number)
            clone = tag_changes.clone_tag(change, source, f"clone_{uuid.uuid4().hex}")
            name = f"{clone.id}_copy_of_{source}"[:MAX_TAG_NAME]
            return tag_changes.modify_tag(change, clone.name, name, None)


def _known(counts: Counts, tag: Tag) -> int | None:
    """How many payloads a tag has, None when its present content was not counted."""
    revision, count = counts.get(tag.id, (-1, 0))
    return count if revision == tag.content_revision else None


def _count(connection: Connection, numbers: Sequence[int]) -> dict[int, int]:
    """How many payloads each of the tags has."""
    counted = select(IovRow.tag_id, func.count(IovRow.payload_id.distinct())).group_by(IovRow.tag_id)
    found: dict[int, int] = {}
    for batch in queries.batches(numbers):
        rows = connection.execute(counted.where(IovRow.tag_id.in_(batch)))
        found.update((tag_id, count) for tag_id, count in rows)
    return found


def _covering(tag_id: int, key: int) -> Any:
    """The rows of a tag that cover a place: two searches through the tree of `lookup.py`."""
    left, right = path_to(key)
    ends_later = _rows(IovRow.tag_id == tag_id, IovRow.fork.in_(left), IovRow.final_key >= key)
    begins_earlier = _rows(IovRow.tag_id == tag_id, IovRow.fork.in_(right), IovRow.first_key <= key)
    return union_all(ends_later, begins_earlier)


def _tag_name(connection: Connection, number: int) -> str:
    """The name of the tag of that number."""
    name = connection.execute(select(TagRow.name).where(TagRow.id == number)).scalar_one_or_none()
    if name is None:
        raise TagNotFound(f"number {number}")
    return name


def _uncounted(connection: Connection, where: ColumnElement[bool]) -> list[Tag]:
    """Tags in order of name, without a look at their content."""
    columns = [getattr(TagRow, field) for field in _TAG_FIELDS]
    rows = connection.execute(select(TagRow.state, *columns).where(where).order_by(TagRow.name))
    return [
        Tag(state=TagState(row[0]), payload_count=0, **dict(zip(_TAG_FIELDS, row[1:], strict=True))) for row in rows
    ]


def _payloads(connection: Connection, where: ColumnElement[bool]) -> list[Payload]:
    """Payloads of which something is true."""
    columns = (PayloadNameRow.name, PayloadRow.details, *_PAYLOAD_FACTS)
    named = select(*columns).join_from(PayloadRow, PayloadNameRow).where(where)
    return [_payload(values, name, details) for name, details, *values in connection.execute(named)]


def _rows(*where: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """Rows of tags of which all of that is true, each with its payload."""
    columns = select(*IOV_COLUMNS, PayloadNameRow.name, *_PAYLOAD_FACTS)
    return columns.join_from(IovRow, PayloadRow).join(PayloadNameRow).where(*where)


def _read(connection: Connection, tag: str, statement: Executable) -> list[IovEntry]:
    return _entries(connection.execute(statement), tag)


def _entries(rows: Iterable[Sequence[Any]], tag: str) -> list[IovEntry]:
    """Rows as values; the payload that several have is made once."""
    payloads: dict[int, Payload] = {}
    found: list[IovEntry] = []
    for number, first_key, final_key, created_at, modified_at, modified_by, name, *values in rows:
        payload = payloads.get(values[0])
        if payload is None:
            payload = payloads[values[0]] = _payload(values, name, {})
        iov = IntervalOfValidity.from_keys(first_key, final_key)
        found.append(IovEntry(number, payload, iov, tag, created_at, modified_at, modified_by))
    return found


def _payload(values: Sequence[Any], name: str, details: dict[str, Any]) -> Payload:
    return queries.payload_from((*values[:5], details, *values[5:]), name)


_TAG_FIELDS: Final = (
    "id",
    "name",
    "type",
    "description",
    "content_revision",
    "created_at",
    "modified_at",
    "modified_by",
)
# Without the metadata, which may be large and which no wire row speaks of.
_PAYLOAD_FACTS: Final = (
    PayloadRow.id,
    PayloadRow.revision,
    PayloadRow.sha256,
    PayloadRow.md5,
    PayloadRow.size_bytes,
    PayloadRow.created_at,
    PayloadRow.created_by,
)
