"""Lists of tags, payloads, rows and audit lines: filtered, ordered and cut into pages by the database.

A page begins after the last thing of the page before, so it is right also when something came or went in between.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, literal, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from conditions.errors import BadInputError
from conditions.iov import Run
from conditions.payload import Payload
from conditions.store.queries import (
    payload_row,
    payloads_query,
    tag_id,
    tag_row,
    tags_query,
)
from conditions.store.tables import AuditRow, IovRow, PayloadNameRow, PayloadRow, TagRow
from conditions.tags import AuditEntry, Tag, TagState

T = TypeVar("T")
LOOKED_AT_ONCE: Final = 1_000  # when a regular expression, which no database reads as Python does, chooses
_OF_GLOB: Final = {"*": "%", "?": "_", "%": r"\%", "_": r"\_", "\\": r"\\"}


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which lines of the audit trail; None asks for all."""

    subject: str | None = None
    who: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    after_id: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """How much of a list: names that a regular expression matches as a whole, and at most so many."""

    regex: str | None = None
    limit: int | None = None

    def of(self, fetch: Callable[[T | None, int | None], list[T]], name_of: Callable[[T], str]) -> list[T]:
        """The page, from a function that gives up to so many things after one."""
        if self.limit is not None and self.limit < 1:
            raise BadInputError(f"a list of {self.limit} things is none; ask for at least 1")
        if self.regex is None:
            return fetch(None, self.limit)
        try:
            pattern = re.compile(self.regex)
        except re.error as error:
            raise BadInputError(f"{self.regex!r} is no regular expression: {error}") from error
        found: list[T] = []
        last: T | None = None
        while some := fetch(last, None if self.limit is None else LOOKED_AT_ONCE):
            found += [each for each in some if pattern.fullmatch(name_of(each))]
            if self.limit is None or len(found) >= self.limit or len(some) < LOOKED_AT_ONCE:
                break
            last = some[-1]
        return found[: self.limit]


def list_tags(
    connection: Connection,
    pattern: str | None,
    state: TagState | None,
    *,
    include_invalid: bool,
    after: str | None = None,
    page: Page = Page(),
) -> list[Tag]:
    """Tags in order of name; INVALID ones only when asked for, by flag or by state."""
    statement = tags_query().order_by(TagRow.name)
    if state is not None:
        statement = statement.where(TagRow.state == state.value)
    elif not include_invalid:
        statement = statement.where(TagRow.state != TagState.INVALID.value)
    if pattern is not None:
        statement = statement.where(like(connection, TagRow.name, pattern))

    def fetch(last: Tag | None, limit: int | None) -> list[Tag]:
        place = after if last is None else last.name
        wanted = statement if place is None else statement.where(TagRow.name > place)
        return [tag_row(row) for row in connection.execute(wanted.limit(limit))]

    return page.of(fetch, lambda tag: tag.name)


def list_payloads(
    connection: Connection,
    pattern: str | None,
    tag: str | None,
    *,
    run: Run | None = None,
    after: tuple[str, int] | None = None,
    page: Page = Page(),
) -> list[Payload]:
    """Payloads in order of name and revision; only those of a tag, or of a tag for a run, when one is named."""
    statement = payloads_query().order_by(PayloadNameRow.name, PayloadRow.revision)
    if run is not None and tag is None:
        raise BadInputError("a run needs a tag: runs belong to the IoVs of a tag")
    if tag is not None:
        inside = select(IovRow.payload_id).where(IovRow.tag_id == tag_id(connection, tag))
        if run is not None:
            inside = inside.where(IovRow.first_key <= run.key, IovRow.final_key >= run.key)
        statement = statement.where(PayloadRow.id.in_(inside))
    if pattern is not None:
        statement = statement.where(like(connection, PayloadNameRow.name, pattern))

    def fetch(last: Payload | None, limit: int | None) -> list[Payload]:
        place = after if last is None else (last.name, last.revision)
        wanted = statement
        if place is not None:
            wanted = statement.where(tuple_(PayloadNameRow.name, PayloadRow.revision) > tuple_(*map(literal, place)))
        return [payload_row(row) for row in connection.execute(wanted.limit(limit))]

    return page.of(fetch, lambda payload: payload.name)


def tag_history(connection: Connection, name: str) -> list[AuditEntry]:
    """What happened to a tag, also under its earlier names, in order."""
    statement = _audit().where(AuditRow.subject_kind == "tag", AuditRow.subject_id == tag_id(connection, name))
    return _lines(connection, statement)


def audit(connection: Connection, asked: AuditFilter, limit: int | None) -> list[AuditEntry]:
    """Lines of the audit trail, in order."""
    statement = _audit().where(AuditRow.id > asked.after_id).limit(limit)
    if asked.subject is not None:
        statement = statement.where(like(connection, AuditRow.subject, asked.subject))
    if asked.who is not None:
        statement = statement.where(like(connection, AuditRow.who, asked.who))
    if asked.action is not None:
        statement = statement.where(AuditRow.action == asked.action)
    for moment in (asked.since, asked.until):
        if moment is not None and moment.tzinfo is None:
            raise BadInputError(f"{moment} has no time zone")
    if asked.since is not None:
        statement = statement.where(AuditRow.at >= asked.since)
    if asked.until is not None:
        statement = statement.where(AuditRow.at < asked.until)
    return _lines(connection, statement)


def like(connection: Connection, column: InstrumentedAttribute[str], pattern: str) -> ColumnElement[bool]:
    """Whether a text fits a pattern with `*` and `?`, in the same case."""
    if connection.dialect.name == "sqlite":  # whose LIKE does not tell upper from lower case
        return column.op("GLOB", is_comparison=True)(pattern.replace("[", "[[]"))
    return column.like("".join(_OF_GLOB.get(character, character) for character in pattern), escape="\\")


def _audit() -> Select[*tuple[Any, ...]]:
    columns = (AuditRow.id, AuditRow.at, AuditRow.who, AuditRow.action, AuditRow.subject, AuditRow.before)
    return select(*columns, AuditRow.after, AuditRow.subject_kind).order_by(AuditRow.id)


def _lines(connection: Connection, statement: Select[*tuple[Any, ...]]) -> list[AuditEntry]:
    """Rows of the trail as values."""
    return [
        AuditEntry(row.at, row.who, row.action, row.subject, row.before, row.after, row.id, row.subject_kind)
        for row in connection.execute(statement)
    ]
