"""All rows of a tag, now or at an earlier content revision, read as they come: for its digest."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, TextClause, func, select, text

from conditions.digest import digest_of_rows
from conditions.errors import PastUnknown
from conditions.store.tables import TagContentRow, TagRow

ROWS_AT_ONCE: Final = 10_000  # read together; more is no quicker


def content_digest(connection: Connection, tag_id: int, revision: int | None = None) -> str:
    """The digest of a tag's effective content, in the memory of a few rows.

    The connection sees one moment, or holds the tag's row.

    Raises:
        PastUnknown: nothing is known of that content revision.
    """
    if revision is not None:
        revision = check_known(connection, tag_id, revision)
    return digest_of_rows(rows_of(connection, tag_id, revision))


def rows_of(connection: Connection, tag_id: int, revision: int | None) -> Iterator[Any]:
    """(name, first_key, final_key, revision, number, sha256) in order of name, as UTF-8, and first_key."""
    values = {"tag_id": tag_id} if revision is None else {"tag_id": tag_id, "asked": revision}
    options = {"stream_results": True, "yield_per": ROWS_AT_ONCE}
    statement = _statement(connection.dialect.name, revision is not None)
    with connection.execute(statement, values, execution_options=options) as rows:
        for some in rows.partitions():
            yield from some


def check_known(connection: Connection, tag_id: int, revision: int) -> int | None:
    """The content revision if it is one of the past, None for the present one.

    Raises:
        PastUnknown: nothing is known of it.
    """
    oldest = select(func.min(TagContentRow.content_revision)).where(TagContentRow.tag_id == tag_id).scalar_subquery()
    name, present, known = connection.execute(
        select(TagRow.name, TagRow.content_revision, oldest).where(TagRow.id == tag_id)
    ).one()
    if not known <= revision <= present:
        reason = f"it is known from content revision {known} to {present}"
        raise PastUnknown(name, f"content revision {revision}", reason)
    return None if revision == present else revision


_ROWS: Final = """
SELECT n.name AS name, i.first_key AS first_key, i.final_key, p.revision, {number}, p.sha256
FROM {table} AS i JOIN payloads AS p ON p.id = i.payload_id JOIN payload_names AS n ON n.id = p.name_id
WHERE i.tag_id = :tag_id {known}
"""
_ORDER: Final = "ORDER BY {name}, first_key"


@lru_cache
def _statement(dialect: str, past: bool) -> TextClause:
    """The query for a database, of the present or of the past."""
    since = "AND COALESCE(i.added_in, 0) <= :asked"
    parts = [_ROWS.format(number="i.id", table="iovs", known=since if past else "")]
    if past:
        parts.append(_ROWS.format(number="i.iov_id", table="past_iovs", known=f"{since} AND i.removed_in > :asked"))
    # Both compare bytes: SQLite of itself, PostgreSQL when told to.
    order = _ORDER.format(name="name" if dialect == "sqlite" else 'name COLLATE "C"')
    return text(f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS found {order}")  # noqa: S608 - our own words only
