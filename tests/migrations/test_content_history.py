"""The second schema on a store that the first one filled, and what the release of the first still writes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, text

from conditions.errors import PastUnknown
from conditions.iov import IntervalOfValidity, Run
from conditions.store.engine import database_url, make_engine, writing
from conditions.store.lookup import fork_of
from conditions.store.schema import alembic_config, current, upgrade
from conditions.store.session import Store, open_store
from support.content import stored
from support.postgres import create_database, drop_database, session_cluster

AGES_AGO = datetime(2020, 1, 1, 12, tzinfo=UTC)
LATER = AGES_AGO + timedelta(days=100)


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with the first schema, with a tag of two rows and a clone of it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/old.sqlite"
        fill(url)
        yield url
        return
    url = create_database(session_cluster(request.config))
    fill(url)
    yield url
    drop_database(url)


def fill(url: str) -> None:
    engine = make_engine(database_url(url))
    with writing(engine).begin() as connection:
        config = alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        old = OldRelease(connection)
        old.payload("gat", 1)
        old.payload("gat", 2)
        old.tag("mc16", LATER)
        old.row("mc16", 1, "0,0,4,-1", AGES_AGO)
        old.row("mc16", 2, "5,0,-1,-1", AGES_AGO)
        old.audited("mc16", "add iovs", AGES_AGO)
        old.audited("mc16", "state", LATER)
        # The first release wrote only the year of a moment into the rows of a clone on SQLite.
        old.tag("copy", LATER)
        old.row("copy", 1, "always", 2020 if url.startswith("sqlite") else LATER)
        old.touch("copy", LATER)
    engine.dispose()


class OldRelease:
    """Writes as the release of the first schema did, which knew none of the new columns."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def run(self, statement: str, **values: Any) -> None:
        for name, value in values.items():
            if isinstance(value, datetime):
                values[name] = stored(self.connection.dialect.name, value)
        self.connection.execute(text(statement), values)

    def payload(self, name: str, revision: int) -> None:
        if revision == 1:
            self.run("INSERT INTO payload_names (name, last_revision) VALUES (:name, 0)", name=name)
        self.run(
            "INSERT INTO payloads (name_id, revision, sha256, md5, size_bytes, metadata, created_at, created_by)"
            " SELECT id, :revision, :sha256, :md5, 1, '{}', :at, 'old' FROM payload_names WHERE name = :name",
            name=name,
            revision=revision,
            sha256=f"{revision:064x}",
            md5=f"{revision:032x}",
            at=AGES_AGO,
        )

    def tag(self, name: str, at: datetime) -> None:
        self.run(
            "INSERT INTO tags (name, state, type, description, content_revision, created_at, modified_at, modified_by)"
            " VALUES (:name, 'OPEN', 'DEV', '', 0, :at, :at, 'old')",
            name=name,
            at=at,
        )
        if name == "mc16":
            self.run("UPDATE tags SET content_revision = 1 WHERE name = :name", name=name)

    def row(self, tag: str, revision: int, interval: str, at: datetime | int) -> None:
        iov = IntervalOfValidity.parse(interval)
        self.run(
            "INSERT INTO iovs (tag_id, payload_id, first_key, final_key, fork, created_at, modified_at, modified_by)"
            " SELECT tags.id, payloads.id, :first, :final, :fork, :at, :at, 'old' FROM tags, payloads"
            " WHERE tags.name = :tag AND payloads.revision = :revision",
            tag=tag,
            revision=revision,
            first=iov.first_key,
            final=iov.final_key,
            fork=fork_of(iov.first_key, iov.final_key),
            at=at,
        )

    def touch(self, tag: str, at: datetime) -> None:
        self.run(
            "UPDATE tags SET content_revision = content_revision + 1, modified_at = :at, modified_by = 'old'"
            " WHERE name = :tag",
            tag=tag,
            at=at,
        )

    def audited(self, tag: str, action: str, at: datetime) -> None:
        self.run(
            "INSERT INTO audit (at, who, action, subject_kind, subject_id, subject)"
            " SELECT :at, 'old', :action, 'tag', id, name FROM tags WHERE name = :tag",
            tag=tag,
            action=action,
            at=at,
        )


def revisions(store: Store, tag: str, *, as_of: datetime | None = None) -> list[int]:
    """What runs of experiments 0 and 9 get of gat."""
    found = store.resolve_many(tag, [Run(0, 0), Run(9, 0)], allow_open=True, as_of=as_of)
    return [won["gat"].payload.revision if "gat" in won else 0 for _, won in sorted(found.items())]


def test_a_filled_store_keeps_what_it_gives_out_and_its_history_begins(old_url: str, tmp_path: Path) -> None:
    assert current(old_url) == "0001"
    upgrade(old_url)
    with open_store(old_url, tmp_path / "files") as store:
        assert revisions(store, "mc16") == [1, 2]
        row = store.list_iovs("mc16")[0]
        store.delete_iov("mc16", row.id)
        assert revisions(store, "mc16") == [0, 2]
        assert revisions(store, "mc16@1") == [1, 2]
        assert store.tag_digest("mc16", revision=1) != store.tag_digest("mc16")
        with pytest.raises(PastUnknown, match="known from content revision 1 to 2"):
            revisions(store, "mc16@0")


def test_the_content_is_as_old_as_its_last_change_and_not_as_the_tags_last_step(old_url: str, tmp_path: Path) -> None:
    upgrade(old_url)
    with open_store(old_url, tmp_path / "files") as store:
        assert revisions(store, "mc16", as_of=AGES_AGO + timedelta(days=1)) == [1, 2]
        with pytest.raises(PastUnknown):
            revisions(store, "mc16", as_of=AGES_AGO - timedelta(days=1))
        with pytest.raises(PastUnknown):
            revisions(store, "copy", as_of=AGES_AGO)


def test_rows_of_a_clone_have_whole_moments_afterwards(old_url: str, tmp_path: Path) -> None:
    upgrade(old_url)
    with open_store(old_url, tmp_path / "files") as store:
        (row,) = store.list_iovs("copy")
        assert (row.created_at, row.modified_at) == (LATER, LATER)


def test_the_previous_release_leaves_a_true_history_while_it_still_runs(old_url: str, tmp_path: Path) -> None:
    upgrade(old_url)
    engine = make_engine(database_url(old_url))
    with writing(engine).begin() as connection:
        old = OldRelease(connection)
        old.row("mc16", 2, "0,0,0,-1", AGES_AGO)
        old.touch("mc16", LATER)
        old.run("DELETE FROM iovs WHERE final_key = :forever", forever=IntervalOfValidity.always().final_key)
        old.touch("mc16", LATER)
        old.touch("copy", LATER)
        old.tag("second", LATER)
        old.row("second", 1, "always", 2026 if old_url.startswith("sqlite") else LATER)
        old.run("UPDATE tags SET content_revision = 1 WHERE name = 'second'")
    engine.dispose()
    with open_store(old_url, tmp_path / "files") as store:
        assert [revisions(store, f"mc16@{revision}") for revision in (1, 2, 3)] == [[1, 2], [2, 2], [2, 0]]
        assert [revisions(store, f"copy@{revision}") for revision in (1, 2)] == [[1, 1], [0, 0]]
        assert [revisions(store, f"second@{revision}") for revision in (0, 1)] == [[0, 0], [1, 1]]
        assert store.list_iovs("second")[0].created_at == LATER


def test_an_upgrade_again_changes_nothing(old_url: str) -> None:
    assert upgrade(old_url) == upgrade(old_url) == current(old_url)
