"""The tables, as the migrations make them; a test compares the two.

Runs are kept as places on one line (`conditions.iov`): a row of `iovs` covers a run when
first_key <= key <= final_key. `fork` is its node in the tree of `lookup.py`, which makes that search quick.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NAMING: Final = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
# SQLite numbers rows by itself only in a column of its own integer type.
BigId = BigInteger().with_variant(Integer, "sqlite")
NEVER_REUSED: Final = {"sqlite_autoincrement": True}  # a number once given out never names another row


class UtcDateTime(TypeDecorator[datetime]):
    """A moment, with its zone in Python and in UTC in the database, also where that knows no zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Into the database: UTC; a moment without a zone is a mistake."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Out of the database: with its zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables; every constraint has a name, so that a migration can take it away again."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012 - read by sqlalchemy as it stands
        datetime: UtcDateTime,
        dict[str, Any]: JSON(none_as_null=True),
        int: BigInteger,
    }


class StoreIdentityRow(Base):
    """The one row that says which database this is, for its payload folder. Triggers refuse to change it."""

    __tablename__ = "store_identity"
    __table_args__ = (
        CheckConstraint("id = 1", name="one_row"),
        CheckConstraint("length(store_id) = 32", name="store_id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    store_id: Mapped[str] = mapped_column(String(32))


class PayloadNameRow(Base):
    """A payload's name. Its row is locked while a revision is given, so revisions grow without holes."""

    __tablename__ = "payload_names"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint("last_revision >= 0", name="last_revision"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    last_revision: Mapped[int]


class PayloadRow(Base):
    """One revision of a named file; never changed, never deleted."""

    __tablename__ = "payloads"
    __table_args__ = (
        UniqueConstraint("name_id", "revision"),
        UniqueConstraint("name_id", "sha256"),
        CheckConstraint("revision >= 1", name="revision"),
        CheckConstraint("size_bytes >= 0", name="size_bytes"),
        CheckConstraint("length(sha256) = 64", name="sha256"),
        CheckConstraint("length(md5) = 32", name="md5"),
        Index(None, "sha256"),
        Index(None, "md5"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("payload_names.id", ondelete="RESTRICT"))
    revision: Mapped[int]
    sha256: Mapped[str] = mapped_column(String(64))
    md5: Mapped[str] = mapped_column(String(32))
    size_bytes: Mapped[int]
    details: Mapped[dict[str, Any]] = mapped_column("metadata")  # `metadata` is sqlalchemy's own attribute
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(Text)


class TagRow(Base):
    """A tag. Its row is locked by every change of the tag or of its content."""

    __tablename__ = "tags"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint("state IN ('OPEN', 'TESTING', 'VALIDATED', 'PUBLISHED', 'RUNNING', 'INVALID')", name="state"),
        CheckConstraint("type IN ('DEV', 'RELEASE')", name="type"),
        CheckConstraint("content_revision >= 0", name="content_revision"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    state: Mapped[str] = mapped_column(String(16))
    type: Mapped[str] = mapped_column(String(16))
    description: Mapped[str] = mapped_column(Text)
    content_revision: Mapped[int]
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]
    modified_by: Mapped[str] = mapped_column(Text)
    published_digest: Mapped[str | None] = mapped_column(String(64))


class TagContentRow(Base):
    """When a tag got a content revision, and by whom. Triggers write it, and refuse to change it."""

    __tablename__ = "tag_contents"

    tag_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("tags.id", ondelete="RESTRICT"), primary_key=True)
    content_revision: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(Text)


class IovRow(Base):
    """A payload in a tag and the runs it is valid for.

    `added_in` is the content revision in which the row came as it is; None means before history was kept.
    """

    __tablename__ = "iovs"
    __table_args__ = (
        UniqueConstraint("tag_id", "payload_id", "first_key", "final_key"),
        CheckConstraint("first_key >= 0 AND first_key <= final_key", name="keys"),
        Index(None, "tag_id", "fork", "first_key"),
        Index(None, "tag_id", "fork", "final_key"),
        Index(None, "tag_id", "first_key"),
        Index(None, "tag_id", "final_key"),
        Index(None, "payload_id"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    tag_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("tags.id", ondelete="RESTRICT"))
    payload_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("payloads.id", ondelete="RESTRICT"))
    first_key: Mapped[int]
    final_key: Mapped[int]
    fork: Mapped[int]
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]
    modified_by: Mapped[str] = mapped_column(Text)
    added_in: Mapped[int | None]


class PastIovRow(Base):
    """A row that a tag had, as it was from `added_in` until before `removed_in`. Triggers write it, none changes it."""

    __tablename__ = "past_iovs"
    __table_args__ = (
        Index(None, "tag_id", "fork", "first_key"),
        Index(None, "tag_id", "fork", "final_key"),
        Index(None, "tag_id", "first_key"),
        Index(None, "tag_id", "final_key"),
        Index(None, "iov_id"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    iov_id: Mapped[int]
    tag_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("tags.id", ondelete="RESTRICT"))
    payload_id: Mapped[int] = mapped_column(BigInteger, ForeignKey("payloads.id", ondelete="RESTRICT"))
    first_key: Mapped[int]
    final_key: Mapped[int]
    fork: Mapped[int]
    created_at: Mapped[datetime]
    modified_at: Mapped[datetime]
    modified_by: Mapped[str] = mapped_column(Text)
    added_in: Mapped[int | None]
    removed_in: Mapped[int]


class AuditRow(Base):
    """Who changed what, when. Triggers refuse to change or delete a row."""

    __tablename__ = "audit"
    __table_args__ = (
        CheckConstraint("subject_kind IN ('tag', 'payload')", name="subject_kind"),
        Index(None, "subject_kind", "subject_id"),
        Index(None, "at"),
        NEVER_REUSED,
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    who: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(String(32))
    subject_kind: Mapped[str] = mapped_column(String(16))
    subject_id: Mapped[int]
    subject: Mapped[str] = mapped_column(String(200))
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
