"""Rows of a tag: adding, closing, deleting; what each state lets pass, and that all of it is remembered."""

from __future__ import annotations

import dataclasses
import io

import pytest

from conditions.errors import BadInterval, ChangeRefused, IovNotFound, PayloadNotFound
from conditions.iov import EndOfExp, IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import IovEntry
from conditions.store import iov_changes
from conditions.store.session import Store

ALWAYS = IntervalOfValidity.always()
FROZEN = [["TESTING"], ["TESTING", "VALIDATED"], ["TESTING", "VALIDATED", "PUBLISHED"], ["RUNNING", "INVALID"]]


def iov(text: str) -> IntervalOfValidity:
    return IntervalOfValidity.parse(text)


def upload(store: Store, name: str = "gat", count: int = 1) -> list[Payload]:
    return [store.upload(name, io.BytesIO(f"{name} {number}".encode())) for number in range(count)]


def content(store: Store, tag: str) -> list[tuple[str, int, str]]:
    return [(e.payload.name, e.payload.revision, str(e.iov)) for e in store.list_iovs(tag)]


@pytest.fixture
def tag(store: Store) -> str:
    store.create_tag("mc16")
    return "mc16"


def test_a_row_is_added_once(store: Store, tag: str) -> None:
    upload(store)
    first = store.add_iov(tag, "gat", 1, ALWAYS)
    history = store.tag_history(tag)
    assert store.add_iov(tag, "gat", None, ALWAYS) == first
    assert store.list_iovs(tag) == [first]
    assert store.get_tag(tag).content_revision == 1
    assert store.tag_history(tag) == history
    assert (history[-1].action, history[-1].before) == ("add iovs", None)
    assert history[-1].after == {"iovs": [["gat", 1, "0,0,-1,-1"]], "content_revision": 1}


def test_an_open_tag_takes_overlaps_and_many_rows_at_once(store: Store, tag: str) -> None:
    first, second = upload(store, count=2)
    assert store.add_iovs(tag, [(first, ALWAYS), (second, iov("1,0,2,-1")), (first, ALWAYS)]) == 2
    assert store.add_iovs(tag, [(first, ALWAYS), (second, iov("5,0,-1,-1"))]) == 1
    assert content(store, tag) == [("gat", 1, "0,0,-1,-1"), ("gat", 2, "1,0,2,-1"), ("gat", 2, "5,0,-1,-1")]
    assert store.get_tag(tag).content_revision == 2
    assert store.get_tag(tag).payload_count == 2


def test_nothing_is_a_change_of_nothing(store: Store, tag: str) -> None:
    assert store.add_iovs(tag, []) == 0
    assert len(store.tag_history(tag)) == 1


def test_a_payload_that_is_not_there_leaves_the_tag_as_it_was(store: Store, tag: str) -> None:
    (known,) = upload(store)
    with pytest.raises(PayloadNotFound, match=r"no payload 'gap' .did you mean 'gat'"):
        store.add_iovs(tag, [(known, ALWAYS), (dataclasses.replace(known, name="gap"), ALWAYS)])
    with pytest.raises(PayloadNotFound, match="no revision 2 of payload 'gat'; the latest is 1"):
        store.add_iov(tag, "gat", 2, ALWAYS)
    with pytest.raises(PayloadNotFound):
        store.add_iovs(tag, [(dataclasses.replace(known, sha256="0" * 64), ALWAYS)])
    assert content(store, tag) == []
    assert len(store.tag_history(tag)) == 1


@pytest.mark.parametrize("states", FROZEN)
def test_other_states_refuse_every_change_of_content(store: Store, tag: str, states: list[str]) -> None:
    upload(store)
    row = store.add_iov(tag, "gat", 1, ALWAYS)
    for state in states:
        store.set_state(tag, state)
    history = store.tag_history(tag)
    for change in (
        lambda: store.add_iov(tag, "gat", 1, iov("9,9,9,9")),
        lambda: store.close_iov(tag, row.id, Run(1, 0)),
        lambda: store.delete_iov(tag, row.id),
    ):
        with pytest.raises(ChangeRefused, match=f"'mc16', which is {states[-1]}"):
            change()
    assert store.list_iovs(tag) == [row]
    assert store.tag_history(tag) == history


def test_a_running_update_closes_and_adds_later_rows(store: Store, tag: str) -> None:
    first, second = upload(store, count=2)
    row = store.add_iov(tag, "gat", 1, iov("0,1,-1,-1"))
    store.set_state(tag, "RUNNING")
    with pytest.raises(ChangeRefused, match="close the open IoV first"):
        store.add_iovs(tag, [(second, iov("1,2,-1,-1"))])
    with store.transaction():
        assert store.close_iov(tag, row.id, Run(1, 1)).iov == iov("0,1,1,1")
        store.add_iovs(tag, [(second, iov("1,2,-1,-1"))])
    assert content(store, tag) == [("gat", 1, "0,1,1,1"), ("gat", 2, "1,2,-1,-1")]
    assert store.resolve(tag, Run(1, 1))["gat"].payload == first
    assert store.resolve(tag, Run(1, 2))["gat"].payload == second
    with pytest.raises(ChangeRefused, match="has its end already"):
        store.close_iov(tag, row.id, Run(1, 0))
    with pytest.raises(ChangeRefused, match="cannot delete IoVs of"):
        store.delete_iov(tag, row.id)


def test_a_running_tag_gives_the_same_row_again(store: Store, tag: str) -> None:
    upload(store)
    row = store.add_iov(tag, "gat", 1, ALWAYS)
    store.set_state(tag, "RUNNING")
    assert store.add_iov(tag, "gat", 1, ALWAYS) == row


def test_a_new_name_in_a_running_tag_begins_later_than_all_that_is_there(store: Store, tag: str) -> None:
    upload(store)
    (new,) = upload(store, "new")
    store.add_iov(tag, "gat", 1, iov("3,0,-1,-1"))
    store.set_state(tag, "RUNNING")
    with pytest.raises(ChangeRefused, match="'new' from 3:0 is not after what is fixed"):
        store.add_iovs(tag, [(new, iov("3,0,-1,-1"))])
    assert store.add_iovs(tag, [(new, iov("3,1,-1,-1"))]) == 1


def test_no_single_row_of_a_running_tag_changes_what_was_given_out(store: Store, tag: str) -> None:
    first, second = upload(store, count=2)
    (cnn,) = upload(store, "cnn")
    row = store.add_iov(tag, "gat", 1, iov("0,1,-1,-1"))
    store.add_iovs(tag, [(cnn, iov("0,1,3,5")), (cnn, iov("3,6,4,-1"))])
    store.set_state(tag, "RUNNING")
    with pytest.raises(ChangeRefused, match="0,1,3,9 would end before what the tag has given out, up to 4,-1"):
        store.close_iov(tag, row.id, Run(3, 9))
    with pytest.raises(ChangeRefused, match="0,1,3,9 would end before"):
        store.modify_iov(tag, row.id, iov("0,1,3,9"))
    with pytest.raises(ChangeRefused, match="'new' from 4:0 is not after what is fixed"):
        store.add_iovs(tag, [(upload(store, "new")[0], iov("4,0,-1,-1"))])
    assert store.close_iov(tag, row.id, EndOfExp(4)).iov == iov("0,1,4,-1")
    assert store.add_iovs(tag, [(second, iov("5,0,-1,-1")), (cnn, iov("5,0,-1,-1"))]) == 2
    assert first != second


def test_closing_is_remembered_with_before_and_after(store: Store, tag: str) -> None:
    upload(store)
    row = store.add_iov(tag, "gat", 1, ALWAYS)
    closed = store.close_iov(tag, row.id, Run(5, 6))
    assert closed == IovEntry(row.id, row.payload, iov("0,0,5,6"), tag)
    assert store.close_iov(tag, row.id, Run(5, 6)) == closed
    last = store.tag_history(tag)[-1]
    assert (last.action, store.get_tag(tag).content_revision) == ("close iov", 2)
    assert last.before == {"id": row.id, "iov": ["gat", 1, "0,0,-1,-1"]}
    assert last.after == {"id": row.id, "iov": ["gat", 1, "0,0,5,6"], "content_revision": 2}
    assert store.resolve(tag, Run(5, 7), allow_open=True) == {}
    assert list(store.resolve(tag, Run(5, 6), allow_open=True)) == ["gat"]


def test_closing_cannot_lengthen_nor_make_a_row_twice(store: Store, tag: str) -> None:
    upload(store)
    row = store.add_iov(tag, "gat", 1, iov("1,0,3,-1"))
    store.add_iov(tag, "gat", 1, iov("1,0,2,0"))
    with pytest.raises(BadInterval, match="only make it shorter"):
        store.close_iov(tag, row.id, Run(4, 0))
    with pytest.raises(BadInterval, match="first run comes after its last"):
        store.close_iov(tag, row.id, Run(0, 9))
    with store.transaction():
        with pytest.raises(ChangeRefused, match="gat r1 1,0,2,0 is there already"):
            store.close_iov(tag, row.id, Run(2, 0))
        store.modify_tag(tag, description="the transaction goes on")
    assert store.get_tag(tag).description == "the transaction goes on"


def test_a_deleted_row_is_remembered_and_its_number_never_used_again(store: Store, tag: str) -> None:
    upload(store)
    row = store.add_iov(tag, "gat", 1, ALWAYS)
    store.delete_iov(tag, row.id)
    assert store.list_iovs(tag) == []
    last = store.tag_history(tag)[-1]
    assert (last.action, last.before) == ("delete iov", {"id": row.id, "iov": ["gat", 1, "0,0,-1,-1"]})
    assert store.add_iov(tag, "gat", 1, ALWAYS).id > row.id


def test_a_row_of_another_tag_is_not_found(store: Store, tag: str) -> None:
    upload(store)
    row = store.add_iov(tag, "gat", 1, ALWAYS)
    store.create_tag("other")
    for change in (lambda: store.close_iov("other", row.id, Run(1, 1)), lambda: store.delete_iov("other", row.id)):
        with pytest.raises(IovNotFound, match=f"no IoV {row.id} in tag 'other'"):
            change()


def test_long_lists_are_remembered_in_readable_parts(store: Store, tag: str) -> None:
    (payload,) = upload(store)
    count = 2 * iov_changes.AUDITED_AT_ONCE + 1
    assert store.add_iovs(tag, [(payload, IntervalOfValidity.of_run(Run(0, run))) for run in range(count)]) == count
    parts = [e.after["iovs"] for e in store.tag_history(tag) if e.action == "add iovs" and e.after]
    assert [len(part) for part in parts] == [1_000, 1_000, 1]
    assert sorted(row[2] for part in parts for row in part) == sorted(f"0,{run},0,{run}" for run in range(count))
    assert store.get_tag(tag).content_revision == 1


def test_rows_are_listed_by_name_run_and_overlap(store: Store, tag: str) -> None:
    gat = upload(store, "gat", 2)
    (cnn,) = upload(store, "cnn")
    store.add_iovs(tag, [(gat[0], iov("1,0,1,-1")), (gat[1], iov("2,0,-1,-1")), (cnn, iov("0,0,1,5"))])
    assert [str(e.payload) for e in store.list_iovs(tag)] == ["cnn r1", "gat r1", "gat r2"]
    assert [str(e.payload) for e in store.list_iovs(tag, names=["gat"])] == ["gat r1", "gat r2"]
    assert [str(e.payload) for e in store.list_iovs(tag, run=Run(1, 5))] == ["cnn r1", "gat r1"]
    assert [str(e.payload) for e in store.list_iovs(tag, run=Run(1, 6))] == ["gat r1"]
    assert [str(e.payload) for e in store.list_iovs(tag, within=iov("1,6,2,0"))] == ["gat r1", "gat r2"]
    assert store.list_iovs(tag, names=[]) == []
