"""Payloads, tags, intervals of validity and the audit trail.

Safe while the previous release runs? There is none: this is the first schema.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)
APPEND_ONLY = "audit is append-only"


def upgrade() -> None:
    make_payloads()
    make_tags()
    make_audit()
    if op.get_context().dialect.name == "sqlite":
        protect_audit_sqlite()
    else:
        protect_audit_postgresql()


def downgrade() -> None:
    raise RuntimeError("there is nothing before the first schema: restore the backup made before 'db init'")


def make_payloads() -> None:
    op.create_table(
        "payload_names",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("last_revision", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payload_names"),
        sa.UniqueConstraint("name", name="uq_payload_names_name"),
        sa.CheckConstraint("last_revision >= 0", name=op.f("ck_payload_names_last_revision")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "payloads",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name_id", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("md5", sa.String(32), nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("metadata", sa.JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_payloads"),
        sa.ForeignKeyConstraint(
            ["name_id"], ["payload_names.id"], name="fk_payloads_name_id_payload_names", ondelete="RESTRICT"
        ),
        sa.UniqueConstraint("name_id", "revision", name="uq_payloads_name_id_revision"),
        sa.UniqueConstraint("name_id", "sha256", name="uq_payloads_name_id_sha256"),
        sa.CheckConstraint("revision >= 1", name=op.f("ck_payloads_revision")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_payloads_size_bytes")),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_payloads_sha256")),
        sa.CheckConstraint("length(md5) = 32", name=op.f("ck_payloads_md5")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_payloads_sha256", "payloads", ["sha256"])


def make_tags() -> None:
    op.create_table(
        "tags",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("content_revision", sa.BigInteger, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("modified_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tags"),
        sa.UniqueConstraint("name", name="uq_tags_name"),
        sa.CheckConstraint(
            "state IN ('OPEN', 'TESTING', 'VALIDATED', 'PUBLISHED', 'RUNNING', 'INVALID')",
            name=op.f("ck_tags_state"),
        ),
        sa.CheckConstraint("type IN ('DEV', 'RELEASE')", name=op.f("ck_tags_type")),
        sa.CheckConstraint("content_revision >= 0", name=op.f("ck_tags_content_revision")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "iovs",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("tag_id", sa.BigInteger, nullable=False),
        sa.Column("payload_id", sa.BigInteger, nullable=False),
        sa.Column("first_key", sa.BigInteger, nullable=False),
        sa.Column("final_key", sa.BigInteger, nullable=False),
        sa.Column("fork", sa.BigInteger, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("modified_by", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_iovs"),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name="fk_iovs_tag_id_tags", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(
            ["payload_id"], ["payloads.id"], name="fk_iovs_payload_id_payloads", ondelete="RESTRICT"
        ),
        sa.UniqueConstraint(
            "tag_id", "payload_id", "first_key", "final_key", name="uq_iovs_tag_id_payload_id_first_key_final_key"
        ),
        sa.CheckConstraint("first_key >= 0 AND first_key <= final_key", name=op.f("ck_iovs_keys")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_iovs_tag_id_fork_first_key", "iovs", ["tag_id", "fork", "first_key"])
    op.create_index("ix_iovs_tag_id_fork_final_key", "iovs", ["tag_id", "fork", "final_key"])
    op.create_index("ix_iovs_payload_id", "iovs", ["payload_id"])


def make_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("subject_kind", sa.String(16), nullable=False),
        sa.Column("subject_id", sa.BigInteger, nullable=False),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("before", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("after", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_audit"),
        sa.CheckConstraint("subject_kind IN ('tag', 'payload')", name=op.f("ck_audit_subject_kind")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_audit_subject_kind_subject_id", "audit", ["subject_kind", "subject_id"])


def protect_audit_sqlite() -> None:
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_no_{act.lower()} BEFORE {act} ON audit "
            f"BEGIN SELECT RAISE(ABORT, '{APPEND_ONLY}'); END"
        )
    # INSERT OR REPLACE takes a row away without asking the trigger for deletes.
    is_there = "EXISTS (SELECT 1 FROM audit WHERE id = NEW.id)"
    op.execute(
        f"CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit WHEN {is_there} "
        f"BEGIN SELECT RAISE(ABORT, '{APPEND_ONLY}'); END"
    )


def protect_audit_postgresql() -> None:
    op.execute(
        "CREATE FUNCTION audit_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{APPEND_ONLY}' USING ERRCODE = 'insufficient_privilege'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_append_only()"
    )
