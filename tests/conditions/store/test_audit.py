"""The audit trail: written with the change or not at all, and never touched again."""

from __future__ import annotations

import io

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from conditions.errors import TagExists
from conditions.iov import IntervalOfValidity
from conditions.store.session import Store, open_store


def trail(store: Store) -> list[tuple[str, str, str]]:
    with store._reader.connect() as connection:
        rows = connection.execute(text("SELECT action, subject_kind, subject FROM audit ORDER BY id"))
        return [tuple(row) for row in rows]


def test_every_change_is_in_the_trail_in_order(store: Store) -> None:
    store.create_tag("a")
    store.upload("gat", io.BytesIO(b"1"))
    row = store.add_iov("a", "gat", 1, IntervalOfValidity.always())
    store.close_iov("a", row.id, IntervalOfValidity.parse("0,0,5,0").last)
    store.delete_iov("a", row.id)
    store.clone_tag("a", "b")
    store.modify_tag("b", new_name="c")
    store.set_state("c", "TESTING")
    assert trail(store) == [
        ("create", "tag", "a"),
        ("upload", "payload", "gat"),
        ("add iovs", "tag", "a"),
        ("close iov", "tag", "a"),
        ("delete iov", "tag", "a"),
        ("clone", "tag", "b"),
        ("modify", "tag", "b"),
        ("state", "tag", "c"),
    ]
    assert [entry.action for entry in store.tag_history("c")] == ["clone", "modify", "state"]


def test_what_is_refused_or_rolled_back_is_not_in_the_trail(store: Store) -> None:
    store.create_tag("a")
    with pytest.raises(TagExists):
        store.create_tag("a")
    with pytest.raises(RuntimeError), store.transaction():
        store.create_tag("b")
        raise RuntimeError
    assert trail(store) == [("create", "tag", "a")]


@pytest.mark.parametrize("act", ["UPDATE audit SET who = 'nobody'", "DELETE FROM audit"])
def test_the_database_refuses_to_change_the_trail(store: Store, act: str) -> None:
    store.create_tag("a")
    with pytest.raises(DBAPIError, match="append-only"), store._writer.begin() as connection:
        connection.execute(text(act))
    assert [entry.who for entry in store.tag_history("a")] == ["tester"]


def test_a_row_of_the_trail_cannot_be_replaced(sqlite_url: str) -> None:
    with open_store(sqlite_url, user="tester") as store:
        store.create_tag("a")
        same_row = "INSERT OR REPLACE INTO audit SELECT id, at, 'nobody', action, subject_kind, subject_id, subject"
        with pytest.raises(DBAPIError, match="append-only"), store._writer.begin() as connection:
            connection.execute(text(f"{same_row}, before, after FROM audit"))
        assert [entry.who for entry in store.tag_history("a")] == ["tester"]


def test_a_server_refuses_to_empty_the_trail(postgres_url: str) -> None:
    with open_store(postgres_url, user="tester") as store:
        store.create_tag("a")
        with pytest.raises(DBAPIError, match="append-only"), store._writer.begin() as connection:
            connection.execute(text("TRUNCATE audit"))
        assert len(trail(store)) == 1


def test_moments_come_back_with_their_zone_and_in_order(store: Store) -> None:
    made = store.create_tag("a")
    store.set_state("a", "TESTING")
    first, second = store.tag_history("a")
    assert first.at == made.created_at
    assert first.at <= second.at == store.get_tag("a").modified_at
    assert second.at.utcoffset() is not None
