"""Tags in the store: making, changing, cloning, moving from state to state, and what is remembered."""

from __future__ import annotations

import io
import threading

import pytest

from conditions.digest import tag_digest
from conditions.errors import BadName, BadText, ChangeRefused, TagExists, TagNotFound, TransitionRefused, UnknownWord
from conditions.iov import IntervalOfValidity
from conditions.store.session import Store
from conditions.tags import TagState

ALWAYS = IntervalOfValidity.always()


def filled(store: Store, name: str) -> None:
    store.create_tag(name, description="first", type="RELEASE")
    store.upload("gat", io.BytesIO(b"1"))
    store.add_iov(name, "gat", 1, ALWAYS)


def test_a_new_tag_is_open_and_empty(store: Store) -> None:
    made = store.create_tag("mc16", description="two\nlines", type="RELEASE")
    assert made == store.get_tag("mc16") == store.find_tag("mc16")
    assert (made.state, made.type, made.description) == (TagState.OPEN, "RELEASE", "two\nlines")
    assert (made.payload_count, made.content_revision, made.modified_by) == (0, 0, "tester")
    assert made.created_at == made.modified_at
    assert made.created_at.utcoffset() is not None


def test_a_name_is_given_once(store: Store) -> None:
    store.create_tag("mc16")
    for make in (lambda: store.create_tag("mc16"), lambda: store.clone_tag("mc16", "mc16")):
        with pytest.raises(TagExists, match="a tag 'mc16' exists already"):
            make()


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "a.b"])
def test_bad_names_never_reach_the_database(store: Store, name: str) -> None:
    store.create_tag("good")
    for make in (
        lambda: store.create_tag(name),
        lambda: store.clone_tag("good", name),
        lambda: store.modify_tag("good", new_name=name),
    ):
        with pytest.raises(BadName):
            make()


def test_bad_texts_and_types_are_refused(store: Store) -> None:
    with pytest.raises(BadText, match="description"):
        store.create_tag("mc16", description="a\0b")
    with pytest.raises(UnknownWord, match="DEV, RELEASE"):
        store.create_tag("mc16", type="BETA")
    assert store.list_tags() == []


def test_unknown_tags_are_named_with_those_near(store: Store) -> None:
    store.create_tag("mc16")
    assert store.find_tag("mc15") is None
    for ask in (store.get_tag, store.tag_history, store.list_iovs, lambda name: store.set_state(name, "TESTING")):
        with pytest.raises(TagNotFound, match="did you mean 'mc16'"):
            ask("mc15")


def test_an_open_tag_can_be_renamed_and_described(store: Store) -> None:
    filled(store, "mc16")
    changed = store.modify_tag("mc16", new_name="mc17", description="second")
    assert (changed.name, changed.description, changed.payload_count) == ("mc17", "second", 1)
    assert store.find_tag("mc16") is None
    last = store.tag_history("mc17")[-1]
    assert (last.action, last.who, last.subject) == ("modify", "tester", "mc16")
    assert last.before == {"name": "mc16", "description": "first"}
    assert last.after == {"name": "mc17", "description": "second"}


def test_a_change_of_nothing_is_not_remembered(store: Store) -> None:
    filled(store, "mc16")
    before = store.tag_history("mc16")
    store.modify_tag("mc16", new_name="mc16", description="first")
    assert store.tag_history("mc16") == before


def test_a_taken_name_is_refused_and_the_rest_of_the_transaction_kept(store: Store) -> None:
    filled(store, "mc16")
    store.create_tag("taken")
    with store.transaction():
        store.modify_tag("mc16", description="changed")
        with pytest.raises(TagExists, match="'taken'"):
            store.modify_tag("mc16", new_name="taken", description="lost")
    assert store.get_tag("mc16").description == "changed"


@pytest.mark.parametrize("states", [["TESTING"], ["TESTING", "VALIDATED"], ["RUNNING"], ["RUNNING", "PUBLISHED"]])
def test_only_open_tags_can_be_renamed(store: Store, states: list[str]) -> None:
    filled(store, "mc16")
    for state in states:
        store.set_state("mc16", state)
    with pytest.raises(ChangeRefused, match=f"cannot modify tag 'mc16', which is {states[-1]}"):
        store.modify_tag("mc16", new_name="mc17")
    assert store.find_tag("mc17") is None


def test_a_clone_is_open_and_has_the_same_content(store: Store) -> None:
    filled(store, "mc16")
    for state in ("TESTING", "VALIDATED", "PUBLISHED", "INVALID"):
        store.set_state("mc16", state)
    clone = store.clone_tag("mc16", "mc17")
    assert (clone.state, clone.type, clone.description) == (TagState.OPEN, "RELEASE", "first")
    assert (clone.payload_count, clone.content_revision) == (1, 1)
    (original,), (copy,) = store.list_iovs("mc16"), store.list_iovs("mc17")
    assert (copy.payload, copy.iov) == (original.payload, original.iov)
    assert copy.id != original.id
    assert store.resolve("mc17", ALWAYS.first, allow_open=True)["gat"].payload == original.payload
    after = store.tag_history("mc17")[0].after
    assert after is not None
    assert (after["of"], after["of_content_revision"], after["iovs"]) == ("mc16", 1, 1)


def test_a_clone_of_nothing_is_empty(store: Store) -> None:
    store.create_tag("empty")
    assert store.clone_tag("empty", "copy").content_revision == 0
    with pytest.raises(TagNotFound):
        store.clone_tag("absent", "copy2")


def test_states_move_as_the_table_says_and_are_remembered(store: Store) -> None:
    store.create_tag("mc16")
    for state in ("TESTING", "OPEN", "testing", "VALIDATED", TagState.PUBLISHED):
        assert store.set_state("mc16", state).state.value == str(state).upper()
    with pytest.raises(TransitionRefused, match="is PUBLISHED and cannot become OPEN: only INVALID can follow"):
        store.set_state("mc16", "OPEN")
    with pytest.raises(UnknownWord, match="no state 'PUBLIC'"):
        store.set_state("mc16", "PUBLIC")
    moves = [(e.before, e.after) for e in store.tag_history("mc16") if e.action == "state"]
    assert moves[-1] == ({"state": "VALIDATED"}, {"state": "PUBLISHED", "digest": tag_digest([])})
    assert len(moves) == 5


def test_invalid_tags_are_hidden_unless_asked_for(store: Store) -> None:
    for name in ("a", "b"):
        store.create_tag(name)
    for state in ("RUNNING", "INVALID"):
        store.set_state("a", state)
    assert [tag.name for tag in store.list_tags()] == ["b"]
    assert [tag.name for tag in store.list_tags(include_invalid=True)] == ["a", "b"]
    assert [tag.name for tag in store.list_tags(state="INVALID")] == ["a"]
    assert store.get_tag("a").state is TagState.INVALID


def test_lists_are_filtered_by_pattern(store: Store) -> None:
    for name in ("mc16", "mc17", "MC16", "online"):
        store.create_tag(name)
    assert [tag.name for tag in store.list_tags(pattern="mc1?")] == ["mc16", "mc17"]
    assert [tag.name for tag in store.list_tags(pattern="*16")] == ["MC16", "mc16"]
    assert store.list_tags(pattern="mc") == []


def test_of_many_who_want_one_name_one_gets_it(store: Store) -> None:
    outcomes: list[str] = []
    together = threading.Barrier(6)

    def make() -> None:
        together.wait()
        try:
            store.create_tag("mc16")
            outcomes.append("made")
        except TagExists:
            outcomes.append("taken")

    run_all([threading.Thread(target=make) for _ in range(6)])
    assert sorted(outcomes) == ["made"] + ["taken"] * 5
    assert len(store.tag_history("mc16")) == 1


def test_content_never_changes_after_publication_whoever_is_first(store: Store) -> None:
    store.upload("gat", io.BytesIO(b"1"))
    for number in range(8):
        name = f"tag{number}"
        store.create_tag(name)
        store.set_state(name, "RUNNING")
        together = threading.Barrier(2)
        refused: list[ChangeRefused] = []

        def add(
            name: str = name, together: threading.Barrier = together, refused: list[ChangeRefused] = refused
        ) -> None:
            together.wait()
            try:
                store.add_iov(name, "gat", 1, ALWAYS)
            except ChangeRefused as error:
                refused.append(error)

        def publish(name: str = name, together: threading.Barrier = together) -> None:
            together.wait()
            store.set_state(name, "PUBLISHED")

        run_all([threading.Thread(target=add), threading.Thread(target=publish)])
        actions = [entry.action for entry in store.tag_history(name)]
        added = len(store.list_iovs(name))
        assert added == (0 if refused else 1)
        assert actions in (["create", "state", "state"], ["create", "state", "add iovs", "state"])


def run_all(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
