"""Rows read in bulk are the rows that are there, of one moment, on both databases."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import text

from conditions.errors import TagNotFound
from conditions.iov import IntervalOfValidity
from conditions.server.forms import entry_of
from conditions.server.index import compile_index
from conditions.store.session import Store
from conditions.tags import TagState
from support.stores import publish, tag_with, upload_text


def _filled(store: Store) -> int:
    """A tag with rows of several names, revisions, intervals and people; its number."""
    tag_with(store, "other", "noise")
    tag_with(store, "t", "gain", "über", iov="1,0,2,-1")
    second = upload_text(store, "gain", "second")
    bob = store.acting_as('bob "the" 1st')
    bob.add_iov("t", "gain", second.revision, IntervalOfValidity.parse("1,5,-1,-1"))
    bob.add_iov("t", "gain", 1, IntervalOfValidity.parse("7,3,7,9"))
    return store.get_tag("t").id


def test_rows_in_bulk_are_the_rows_of_the_tag(store: Store) -> None:
    index = compile_index(store.tag_rows(_filled(store)))
    rows = [entry_of(index, row) for row in index.rows]
    listed = store.list_iovs("t")
    assert sorted(rows, key=lambda row: row.id) == sorted(listed, key=lambda row: row.id)
    told = {row.id: (row.created_at, row.modified_at, row.modified_by) for row in rows}
    assert told == {row.id: (row.created_at, row.modified_at, row.modified_by) for row in listed}


def test_the_facts_are_those_of_the_tag(store: Store) -> None:
    number = _filled(store)
    publish(store, "t")
    rows = store.tag_rows(number)
    assert (rows.facts.name, rows.facts.state, rows.facts.content_revision) == ("t", TagState.PUBLISHED, 4)
    assert rows.facts.id == number
    assert len(rows.store_id) == 32


def test_an_empty_tag_has_no_rows(store: Store) -> None:
    rows = store.tag_rows(store.create_tag("t").id)
    assert (len(rows.iovs), len(rows.payloads), rows.names, rows.people) == (0, 0, [], [])


def test_a_number_without_a_tag_is_an_error(store: Store) -> None:
    with pytest.raises(TagNotFound, match="99"):
        store.tag_rows(99)


def test_more_rows_than_a_block_arrive_whole(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("conditions.store.index_rows.BLOCK_BYTES", 200)
    monkeypatch.setattr("conditions.store.index_rows.BLOCK_ROWS", 3)
    store.create_tag("t")
    payload = upload_text(store)
    store.add_iovs("t", [(payload, IntervalOfValidity.parse(f"1,{run},1,{run + 5}")) for run in range(100)])
    rows = store.tag_rows(store.get_tag("t").id)
    assert sorted(rows.iovs["first_key"].tolist()) == sorted(row.iov.first_key for row in store.list_iovs("t"))


def test_times_before_1970_and_whole_seconds_are_kept(store: Store) -> None:
    number = _filled(store)
    moments = [datetime(1969, 12, 31, 23, 59, 58, 1, UTC), datetime(2026, 1, 1, tzinfo=UTC)]
    with store._writer.begin() as connection:
        for row, moment in zip(store.list_iovs("t"), moments, strict=False):
            value = moment if connection.dialect.name == "postgresql" else moment.strftime("%Y-%m-%d %H:%M:%S.%f")
            connection.execute(text("UPDATE iovs SET modified_at = :at WHERE id = :id"), {"at": value, "id": row.id})
    found = set(store.tag_rows(number).iovs["modified"].tolist())
    assert {(moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) for moment in moments} <= found


def test_rows_and_revision_are_of_one_moment_while_others_write(store: Store) -> None:
    """Every change adds one row and one revision, so the two always agree."""
    number = store.create_tag("t").id
    payload, done = upload_text(store), threading.Event()

    def write() -> None:
        for run in range(40):
            store.add_iov("t", payload.name, 1, IntervalOfValidity.parse(f"1,{run},1,{run}"))
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    while not done.is_set():
        rows = store.tag_rows(number)
        assert rows.facts.content_revision == len(rows.iovs)
        seen.add(len(rows.iovs))
    writer.join()
    assert len(seen) > 2


def test_the_cheap_query_tells_what_is_committed(store: Store) -> None:
    watch = store.watch_tags()
    tag_with(store, "t", "gain")
    number = store.get_tag("t").id
    assert watch.facts(["t", "nothing"])["t"].content_revision == 1
    assert list(watch.facts(["t", "nothing"])) == ["t"]
    with store.transaction():
        store.add_iov("t", "gain", 1, IntervalOfValidity.parse("3,3,3,3"))
        store.modify_tag("t", new_name="u")
    assert watch.facts_of([number, 99])[number].content_revision == 2
    assert list(watch.facts(["t", "u"])) == ["u"]
    watch.close()


def test_numbers_of_people_are_their_own(store: Store) -> None:
    rows = store.tag_rows(_filled(store))
    assert rows.people == ['bob "the" 1st', "tester"]
    assert np.unique(rows.iovs["by"]).tolist() == [0, 1]
    assert [rows.names[place] for place in rows.payloads["name"]] == ["gain", "über", "gain"]
