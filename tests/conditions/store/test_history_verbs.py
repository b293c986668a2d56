"""Digests that are kept with what is published, and reading all of a tag again."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from conditions.digest import tag_digest
from conditions.errors import TagNotFound, TransitionRefused
from conditions.iov import IntervalOfValidity, Run
from conditions.store.session import Store
from conditions.tags import TagState
from support.stores import tag_with, upload_text


def test_the_digest_is_that_of_the_rows(store: Store) -> None:
    tag_with(store, "mc16", "ünlü", "gat", "Zeta")
    upload_text(store, "gat", "other")
    store.add_iov("mc16", "gat", 2, IntervalOfValidity.parse("5,0,5,-1"))
    assert store.tag_digest("mc16") == tag_digest(store.list_iovs("mc16"))
    with pytest.raises(TagNotFound):
        store.tag_digest("unheard")


@pytest.mark.parametrize("way", [[], ["TESTING"], ["TESTING", "VALIDATED"], ["RUNNING"]])
def test_a_tag_is_published_by_all_steps_that_are_left(store: Store, way: list[str]) -> None:
    tag_with(store, "mc16", "gat")
    for state in way:
        store.set_state("mc16", state)
    assert store.publish_tag("mc16").state is TagState.PUBLISHED
    states = [line.after["state"] for line in store.tag_history("mc16") if line.action == "state" and line.after]
    assert states == (["RUNNING", "PUBLISHED"] if way == ["RUNNING"] else ["TESTING", "VALIDATED", "PUBLISHED"])
    assert store.tag_facts("mc16")[0].digest == store.tag_digest("mc16")
    with pytest.raises(TransitionRefused):
        store.publish_tag("mc16")


def test_the_last_step_alone_keeps_the_digest_too(store: Store) -> None:
    tag_with(store, "mc16", "gat")
    for state in ("TESTING", "VALIDATED", "PUBLISHED"):
        store.set_state("mc16", state)
    assert store.tag_facts("mc16")[0].digest == store.tag_digest("mc16")


def test_a_published_tag_is_verified(store: Store) -> None:
    tag_with(store, "mc16", "gat", "cnn")
    before = store.verify_tag("mc16")
    assert (before.ok, before.stored_digest, before.digest) == (True, None, store.tag_digest("mc16"))
    store.publish_tag("mc16")
    found = store.verify_tag("mc16")
    assert (found.ok, found.stored_digest, found.faults) == (True, found.digest, ())


def test_rows_that_were_changed_behind_the_store_are_found(store: Store) -> None:
    tag_with(store, "mc16", "gat")
    store.publish_tag("mc16")
    with store._writer.begin() as connection:
        connection.execute(text("DELETE FROM iovs"))
    found = store.verify_tag("mc16")
    assert not found.ok
    assert found.faults == (f"tag 'mc16' was published with digest {found.stored_digest} and has {found.digest} now",)
    assert found.digest == tag_digest([])


def test_every_damaged_file_is_named(store: Store) -> None:
    tag_with(store, "mc16", "gat", "cnn", "pxd")
    gat, cnn = (store.payload_path(store.get_payload(name)) for name in ("gat", "cnn"))
    gat.unlink()
    cnn.chmod(0o644)
    cnn.write_bytes(b"123")
    found = store.verify_tag("mc16")
    assert not found.ok
    assert ["corrupt" in fault for fault in found.faults] == [True, False]
    assert "'gat' revision 1 has lost its file" in found.faults[1]


def test_another_acts_with_the_same_connections_and_transactions(store: Store) -> None:
    ada = store.acting_as("ada")
    with store.transaction():
        store.create_tag("mc16")
        ada.modify_tag("mc16", description="by ada")
        ada.close()
    assert [line.who for line in store.tag_history("mc16")] == ["tester", "ada"]
    assert (store.user, ada.user) == ("tester", "ada")
    assert ada.get_tag("mc16").modified_by == "ada"


@pytest.mark.parametrize("error", [OverflowError("ours"), UnicodeEncodeError("ascii", "ü", 0, 1, "ours")])
def test_what_the_caller_raises_in_a_transaction_leaves_as_it_is(store: Store, error: Exception) -> None:
    def fail() -> None:
        with store.transaction():
            store.create_tag("mc16")
            raise error

    with pytest.raises(type(error)) as caught:
        fail()
    assert caught.value is error
    assert store.find_tag("mc16") is None


def test_rows_from_a_generator_that_fails_raise_what_it_raised(store: Store) -> None:
    tag_with(store, "mc16", "gat")

    def rows() -> object:
        yield store.get_payload("gat"), IntervalOfValidity.of_run(Run(1, 1))
        raise OverflowError("of the caller")

    with pytest.raises(OverflowError, match="of the caller"):
        store.add_iovs("mc16", rows())  # type: ignore[arg-type]


def test_a_row_gets_another_interval(store: Store) -> None:
    (row,) = tag_with(store, "mc16", "gat", iov="1,0,1,-1")
    changed = store.modify_iov("mc16", row.id, IntervalOfValidity.parse("0,0,5,-1"))
    assert (str(changed.iov), changed.id) == ("0,0,5,-1", row.id)
    assert store.resolve("mc16", Run(4, 4), allow_open=True)["gat"].iov == changed.iov
    assert store.get_tag("mc16").content_revision == 2
    assert store.modify_iov("mc16", row.id, changed.iov) == changed
    assert store.get_tag("mc16").content_revision == 2
    assert store.tag_history("mc16")[-1].action == "modify iov"
