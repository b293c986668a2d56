"""The audit trail: every change says who, when, what, before and after, in its own transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, insert

from conditions.store.tables import AuditRow


@dataclass(frozen=True, slots=True)
class Change:
    """A write transaction, or a part of one, and on whose behalf it is done."""

    connection: Connection
    who: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Subject:
    """What is changed: its kind, its number and its present name."""

    kind: Literal["tag", "payload"]
    id: int
    name: str


def record(
    change: Change, action: str, subject: Subject, before: Mapping[str, Any] | None, after: Mapping[str, Any] | None
) -> None:
    """Write one row of the trail."""
    values = {
        "at": change.at,
        "who": change.who,
        "action": action,
        "subject_kind": subject.kind,
        "subject_id": subject.id,
        "subject": subject.name,
        "before": None if before is None else dict(before),
        "after": None if after is None else dict(after),
    }
    change.connection.execute(insert(AuditRow).values(values))
