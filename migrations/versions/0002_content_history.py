"""The past content of tags, the digest of published content, and indexes for what a server is asked.

Safe while the previous release runs? Yes: everything is added, and triggers keep the history, so that rows written,
changed and deleted by the previous release leave a true one, too. It rests on what every release does: rows change
first, then the tag's content revision grows by one. The triggers therefore write that revision plus one. Writers wait
while the indexes are made (about a second for each million IoVs); readers do not.

Rows that are there already have no `added_in`: their tag's history begins with the content revision it has now.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

BIG_ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
MOMENT = sa.DateTime(timezone=True)
KEPT = {"past_iovs": "the past of a tag never changes", "tag_contents": "the past of a tag never changes"}


def upgrade() -> None:
    op.add_column("tags", sa.Column("published_digest", sa.String(64), nullable=True))
    op.add_column("iovs", sa.Column("added_in", sa.BigInteger, nullable=True))
    op.create_index("ix_iovs_tag_id_first_key", "iovs", ["tag_id", "first_key"])
    op.create_index("ix_iovs_tag_id_final_key", "iovs", ["tag_id", "final_key"])
    op.create_index("ix_payloads_md5", "payloads", ["md5"])
    op.create_index("ix_audit_at", "audit", ["at"])
    make_past_iovs()
    make_tag_contents()
    is_sqlite = op.get_context().dialect.name == "sqlite"
    if is_sqlite:
        mend_moments()
    for statement in SQLITE_TRIGGERS if is_sqlite else POSTGRESQL_TRIGGERS:
        op.execute(statement)
    for table, reason in KEPT.items():
        (keep_rows_sqlite if is_sqlite else keep_rows_postgresql)(table, reason)


def downgrade() -> None:
    raise RuntimeError("it would throw away the past of all tags: restore the backup made before the upgrade")


def mend_moments() -> None:
    """The previous release wrote only the year into the rows of a clone; they are as old as the tag."""
    for column in ("created_at", "modified_at"):
        op.execute(
            f"UPDATE iovs SET {column} = (SELECT created_at FROM tags WHERE id = iovs.tag_id) "  # noqa: S608
            f"WHERE typeof({column}) <> 'text'"
        )


def make_past_iovs() -> None:
    op.create_table(
        "past_iovs",
        sa.Column("id", BIG_ID, nullable=False),
        sa.Column("iov_id", sa.BigInteger, nullable=False),
        sa.Column("tag_id", sa.BigInteger, nullable=False),
        sa.Column("payload_id", sa.BigInteger, nullable=False),
        sa.Column("first_key", sa.BigInteger, nullable=False),
        sa.Column("final_key", sa.BigInteger, nullable=False),
        sa.Column("fork", sa.BigInteger, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("modified_at", MOMENT, nullable=False),
        sa.Column("modified_by", sa.Text, nullable=False),
        sa.Column("added_in", sa.BigInteger, nullable=True),
        sa.Column("removed_in", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_past_iovs"),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name="fk_past_iovs_tag_id_tags", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(
            ["payload_id"], ["payloads.id"], name="fk_past_iovs_payload_id_payloads", ondelete="RESTRICT"
        ),
        sqlite_autoincrement=True,
    )
    for columns in (["fork", "first_key"], ["fork", "final_key"], ["first_key"], ["final_key"]):
        op.create_index(f"ix_past_iovs_tag_id_{'_'.join(columns)}", "past_iovs", ["tag_id", *columns])
    op.create_index("ix_past_iovs_iov_id", "past_iovs", ["iov_id"])


def make_tag_contents() -> None:
    op.create_table(
        "tag_contents",
        sa.Column("tag_id", sa.BigInteger, nullable=False),
        sa.Column("content_revision", sa.BigInteger, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("tag_id", "content_revision", name="pk_tag_contents"),
        sa.ForeignKeyConstraint(["tag_id"], ["tags.id"], name="fk_tag_contents_tag_id_tags", ondelete="RESTRICT"),
    )
    # The content is as old as the last change of it, which the audit knows; a tag's columns may have changed since.
    changed = (
        "SELECT audit.{column} FROM audit WHERE audit.subject_kind = 'tag' AND audit.subject_id = tags.id"
        " AND audit.action IN ('create', 'clone', 'add iovs', 'close iov', 'delete iov')"
        " ORDER BY audit.id DESC LIMIT 1"
    )
    at, who = (changed.format(column=column) for column in ("at", "who"))
    op.execute(
        "INSERT INTO tag_contents (tag_id, content_revision, at, who) "  # noqa: S608
        f"SELECT id, content_revision, COALESCE(({at}), modified_at), COALESCE(({who}), modified_by) FROM tags"
    )


# Moments never go back, although a change that began earlier may be kept later: who waited for a lock comes second.
SQLITE_TRIGGERS = (
    """
    CREATE TRIGGER iovs_added AFTER INSERT ON iovs WHEN NEW.added_in IS NULL
    BEGIN
        UPDATE iovs SET added_in = (SELECT content_revision + 1 FROM tags WHERE id = NEW.tag_id) WHERE id = NEW.id;
        UPDATE iovs SET created_at = tags.created_at, modified_at = tags.created_at
        FROM tags WHERE tags.id = iovs.tag_id AND iovs.id = NEW.id AND typeof(NEW.created_at) <> 'text';
    END
    """,
    """
    CREATE TRIGGER iovs_changed AFTER UPDATE OF tag_id, payload_id, first_key, final_key ON iovs
    WHEN OLD.tag_id <> NEW.tag_id OR OLD.payload_id <> NEW.payload_id
      OR OLD.first_key <> NEW.first_key OR OLD.final_key <> NEW.final_key
    BEGIN
        INSERT INTO past_iovs (iov_id, tag_id, payload_id, first_key, final_key, fork,
                               created_at, modified_at, modified_by, added_in, removed_in)
        SELECT OLD.id, OLD.tag_id, OLD.payload_id, OLD.first_key, OLD.final_key, OLD.fork,
               OLD.created_at, OLD.modified_at, OLD.modified_by, OLD.added_in, tags.content_revision + 1
        FROM tags WHERE tags.id = OLD.tag_id AND OLD.added_in IS NOT tags.content_revision + 1;
        UPDATE iovs SET added_in = (SELECT content_revision + 1 FROM tags WHERE id = NEW.tag_id) WHERE id = NEW.id;
    END
    """,
    """
    CREATE TRIGGER iovs_removed AFTER DELETE ON iovs
    BEGIN
        INSERT INTO past_iovs (iov_id, tag_id, payload_id, first_key, final_key, fork,
                               created_at, modified_at, modified_by, added_in, removed_in)
        SELECT OLD.id, OLD.tag_id, OLD.payload_id, OLD.first_key, OLD.final_key, OLD.fork,
               OLD.created_at, OLD.modified_at, OLD.modified_by, OLD.added_in, tags.content_revision + 1
        FROM tags WHERE tags.id = OLD.tag_id AND OLD.added_in IS NOT tags.content_revision + 1;
    END
    """,
    """
    CREATE TRIGGER tags_content_made AFTER INSERT ON tags
    BEGIN
        INSERT INTO tag_contents (tag_id, content_revision, at, who)
        VALUES (NEW.id, NEW.content_revision, NEW.modified_at, NEW.modified_by);
    END
    """,
    """
    CREATE TRIGGER tags_content_changed AFTER UPDATE OF content_revision ON tags
    WHEN OLD.content_revision <> NEW.content_revision
    BEGIN
        INSERT INTO tag_contents (tag_id, content_revision, at, who)
        SELECT NEW.id, NEW.content_revision, max(NEW.modified_at, COALESCE(max(at), NEW.modified_at)), NEW.modified_by
        FROM tag_contents WHERE tag_id = NEW.id AND content_revision = OLD.content_revision;
    END
    """,
)
POSTGRESQL_TRIGGERS = (
    """
    CREATE FUNCTION iovs_added() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        SELECT content_revision + 1 INTO NEW.added_in FROM tags WHERE id = NEW.tag_id;
        RETURN NEW;
    END $$
    """,
    """
    CREATE FUNCTION iovs_changed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO past_iovs (iov_id, tag_id, payload_id, first_key, final_key, fork,
                               created_at, modified_at, modified_by, added_in, removed_in)
        SELECT OLD.id, OLD.tag_id, OLD.payload_id, OLD.first_key, OLD.final_key, OLD.fork,
               OLD.created_at, OLD.modified_at, OLD.modified_by, OLD.added_in, tags.content_revision + 1
        FROM tags WHERE tags.id = OLD.tag_id AND OLD.added_in IS DISTINCT FROM tags.content_revision + 1;
        SELECT content_revision + 1 INTO NEW.added_in FROM tags WHERE id = NEW.tag_id;
        RETURN NEW;
    END $$
    """,
    """
    CREATE FUNCTION iovs_removed() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO past_iovs (iov_id, tag_id, payload_id, first_key, final_key, fork,
                               created_at, modified_at, modified_by, added_in, removed_in)
        SELECT gone.id, gone.tag_id, gone.payload_id, gone.first_key, gone.final_key, gone.fork,
               gone.created_at, gone.modified_at, gone.modified_by, gone.added_in, tags.content_revision + 1
        FROM gone JOIN tags ON tags.id = gone.tag_id
        WHERE gone.added_in IS DISTINCT FROM tags.content_revision + 1;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION tags_content() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tag_contents (tag_id, content_revision, at, who)
        SELECT NEW.id, NEW.content_revision, greatest(NEW.modified_at, max(at)), NEW.modified_by
        FROM tag_contents WHERE tag_id = NEW.id AND TG_OP = 'UPDATE' AND content_revision = OLD.content_revision;
        RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER iovs_added BEFORE INSERT ON iovs
    FOR EACH ROW WHEN (NEW.added_in IS NULL) EXECUTE FUNCTION iovs_added()
    """,
    """
    CREATE TRIGGER iovs_changed BEFORE UPDATE OF tag_id, payload_id, first_key, final_key ON iovs
    FOR EACH ROW WHEN (
        OLD.tag_id <> NEW.tag_id OR OLD.payload_id <> NEW.payload_id
        OR OLD.first_key <> NEW.first_key OR OLD.final_key <> NEW.final_key
    ) EXECUTE FUNCTION iovs_changed()
    """,
    """
    CREATE TRIGGER iovs_removed AFTER DELETE ON iovs REFERENCING OLD TABLE AS gone
    FOR EACH STATEMENT EXECUTE FUNCTION iovs_removed()
    """,
    "CREATE TRIGGER tags_content_made AFTER INSERT ON tags FOR EACH ROW EXECUTE FUNCTION tags_content()",
    """
    CREATE TRIGGER tags_content_changed AFTER UPDATE OF content_revision ON tags
    FOR EACH ROW WHEN (OLD.content_revision <> NEW.content_revision) EXECUTE FUNCTION tags_content()
    """,
)


def keep_rows_sqlite(table: str, reason: str) -> None:
    for act in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
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
