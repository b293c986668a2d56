"""The store's id, payloads, tags, intervals of validity and the audit trail.

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
RANDOM_ID = {
    "sqlite": "lower(hex(randomblob(16)))",
    "postgresql": "replace(CAST(gen_random_uuid() AS text), '-', '')",
}
KEPT = {"audit": "audit is append-only", "store_identity": "the id of a store never changes"}


def upgrade() -> None:
    dialect = op.get_context().dialect.name
    make_identity(RANDOM_ID[dialect])
    make_payloads()
    make_tags()
    make_audit()
    protect = keep_rows_sqlite if dialect == "sqlite" else keep_rows_postgresql
    for table, reason in KEPT.items():
        protect(table, reason)


def downgrade() -> None:
    raise RuntimeError("there is nothing before the first schema: restore the backup made before 'db init'")


def make_identity(random_id: str) -> None:
    op.create_table(
        "store_identity",
        sa.Column("id", BIG_ID, nullable=False, autoincrement=False),
        sa.Column("store_id", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_store_identity"),
        sa.CheckConstraint("id = 1", name=op.f("ck_store_identity_one_row")),
        sa.CheckConstraint("length(store_id) = 32", name=op.f("ck_store_identity_store_id")),
    )
    # The database draws it, so that the SQL written by `--sql` gives each database its own.
    op.execute(f"INSERT INTO store_identity (id, store_id) VALUES (1, {random_id})")  # noqa: S608


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


def keep_rows_sqlite(table: str, reason: str) -> None:
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
            f"BEGIN SELECT RAISE(ABORT, '{reason}'); END"
        )
    # INSERT OR REPLACE takes a row away without asking the trigger for deletes.
    is_there = f"EXISTS (SELECT 1 FROM {table} WHERE id = NEW.id)"  # noqa: S608
    op.execute(
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN {is_there} "
        f"BEGIN SELECT RAISE(ABORT, '{reason}'); END"
    )


def keep_rows_postgresql(table: str, reason: str) -> None:
    op.execute(
        f"CREATE FUNCTION {table}_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{reason}' USING ERRCODE = 'insufficient_privilege'; END $$"
    )
    op.execute(
        f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        f"FOR EACH STATEMENT EXECUTE FUNCTION {table}_append_only()"
    )
