"""The past of tags: every content revision resolves as it did then, whoever wrote it."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from conditions.errors import BadInputError, BadName, PastUnknown, TagNotFound, TagNotUsable
from conditions.iov import Run
from conditions.resolve import Resolved
from conditions.store.session import Store
from support.content import NAMES, RUNS, Changer, some_payloads
from support.stores import ALWAYS, publish, tag_with, upload_text

CHANGES = 25
Answers = dict[Run, dict[str, Resolved]]


def as_entry(answers: Answers, entry: str) -> Answers:
    """The same answers, from an entry of the stack that is written otherwise."""
    return {
        run: {name: Resolved(won.payload, won.iov, entry) for name, won in each.items()}
        for run, each in answers.items()
    }


def resolved(store: Store, *stack: str, as_of: datetime | None = None) -> Answers:
    return store.resolve_many(stack, RUNS, allow_open=True, as_of=as_of)


@pytest.mark.parametrize("seed", range(4))
def test_every_past_revision_resolves_as_it_did_then(store: Store, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    store.create_tag("grown")
    changer = Changer(store, "grown", some_payloads(store), draw)
    then, digests, moments = [resolved(store, "grown")], [store.tag_digest("grown")], [datetime.now(UTC)]
    for _ in range(CHANGES):
        changer.change()
        then.append(resolved(store, "grown"))
        digests.append(store.tag_digest("grown"))
        moments.append(datetime.now(UTC))
    for revision, (answers, digest, moment) in enumerate(zip(then, digests, moments, strict=True)):
        assert resolved(store, f"grown@{revision}") == as_entry(answers, f"grown@{revision}")
        assert resolved(store, "grown", as_of=moment) == answers
        assert store.tag_digest("grown", revision=revision) == digest
    assert any(answers != then[-1] for answers in then)


def test_changes_of_one_transaction_are_revisions_of_their_own(store: Store) -> None:
    one, two = upload_text(store, "gat", "1"), upload_text(store, "gat", "2")
    store.create_tag("grown")
    with store.transaction():
        row = store.add_iov("grown", "gat", one.revision, ALWAYS)
        store.add_iov("grown", "gat", two.revision, ALWAYS)
        store.delete_iov("grown", row.id)
    found = [store.resolve(f"grown@{revision}", Run(0, 0), allow_open=True) for revision in range(4)]
    assert [won["gat"].payload.revision if won else None for won in found] == [None, 1, 2, 2]


def test_what_was_taken_back_leaves_no_past(store: Store) -> None:
    (row,) = tag_with(store, "grown", "gat")

    def fail() -> None:
        with store.transaction():
            store.delete_iov("grown", row.id)
            raise KeyError("taken back")

    with pytest.raises(KeyError, match="taken back"):
        fail()
    assert store.get_tag("grown").content_revision == 1
    with store._reader.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM past_iovs")).scalar_one() == 0


def test_a_clone_begins_a_history_of_its_own(store: Store) -> None:
    tag_with(store, "grown", "gat")
    store.clone_tag("grown", "copy")
    assert store.resolve("copy@0", Run(0, 0), allow_open=True) == {}
    assert list(store.resolve("copy@1", Run(0, 0), allow_open=True)) == ["gat"]


def test_a_stack_may_hold_a_tag_as_it_is_and_as_it_was(store: Store) -> None:
    (row,) = tag_with(store, "grown", "gat")
    tag_with(store, "base", "cnn")
    store.delete_iov("grown", row.id)
    found = store.resolve(["grown", "grown@1", "base"], Run(0, 0), allow_open=True)
    assert {name: won.tag for name, won in found.items()} == {"cnn": "base", "gat": "grown@1"}


def test_a_moment_holds_for_the_tags_that_name_no_revision(store: Store) -> None:
    before = datetime.now(UTC)
    tag_with(store, "grown", "gat")
    tag_with(store, "late", "cnn")
    found = store.resolve(["grown@1"], Run(0, 0), allow_open=True, as_of=before)
    assert list(found) == ["gat"]
    with pytest.raises(PastUnknown, match=r"content of tag 'late' at 20\d\d-.* is not known"):
        store.resolve(["grown@1", "late"], Run(0, 0), allow_open=True, as_of=before)


@pytest.mark.parametrize("revision", [7, 2])
def test_a_revision_that_never_was_is_not_known(store: Store, revision: int) -> None:
    tag_with(store, "grown", "gat")
    with pytest.raises(PastUnknown, match=rf"'grown' at content revision {revision} is not known: .* from .* 0 to 1"):
        store.resolve(f"grown@{revision}", Run(0, 0), allow_open=True)
    with pytest.raises(PastUnknown):
        store.tag_digest("grown", revision=revision)


@pytest.mark.parametrize("entry", ["grown@", "grown@x", "@1", "grown@-1", "grown@1@2"])
def test_what_stands_after_the_at_is_a_number(store: Store, entry: str) -> None:
    tag_with(store, "grown", "gat")
    with pytest.raises(BadName, match="NAME@REVISION"):
        store.resolve(entry, Run(0, 0), allow_open=True)


def test_a_moment_without_a_zone_is_refused(store: Store) -> None:
    tag_with(store, "grown", "gat")
    with pytest.raises(BadInputError, match="has no time zone"):
        store.resolve("grown", Run(0, 0), allow_open=True, as_of=datetime.now(UTC).replace(tzinfo=None))


def test_the_present_state_decides_whether_the_past_may_be_used(store: Store) -> None:
    tag_with(store, "grown", "gat")
    with pytest.raises(TagNotUsable, match="'grown' is OPEN"):
        store.resolve("grown@1", Run(0, 0))
    publish(store, "grown")
    store.set_state("grown", "INVALID")
    with pytest.raises(TagNotUsable, match="'grown' is INVALID"):
        store.resolve("grown@1", Run(0, 0), allow_open=True)
    with pytest.raises(TagNotFound, match="no tag 'gone'"):
        store.resolve("gone@1", Run(0, 0))


def test_moments_never_go_back(store: Store) -> None:
    """A change that began earlier may be kept later, when it had to wait."""
    tag_with(store, "grown", "gat")
    changer = Changer(store, "grown", some_payloads(store), random.Random(1))  # noqa: S311
    after = datetime.now(UTC)
    late = after + timedelta(hours=1)
    for moment in (late, after):
        with store._writer.begin() as connection:
            touch = "UPDATE tags SET content_revision = content_revision + 1, modified_at = :at WHERE name = 'grown'"
            at = moment.strftime("%Y-%m-%d %H:%M:%S.%f") if connection.dialect.name == "sqlite" else moment
            connection.execute(text(touch), {"at": at})
    changer.add([])
    assert [store.tag_facts("grown", as_of=at)[0].content_revision for at in (after, late)] == [1, 4]


@pytest.mark.parametrize("table", ["past_iovs", "tag_contents"])
@pytest.mark.parametrize("act", ["UPDATE {} SET tag_id = 7", "DELETE FROM {}"])
def test_nobody_changes_the_past(store: Store, table: str, act: str) -> None:
    (row,) = tag_with(store, "grown", "gat")
    store.delete_iov("grown", row.id)
    with pytest.raises(DBAPIError, match="the past of a tag never changes"), store._writer.begin() as connection:
        connection.execute(text(act.format(table)))


def test_facts_of_a_stack_are_the_revisions_that_answer(store: Store) -> None:
    (row,) = tag_with(store, "grown", "gat")
    then = datetime.now(UTC)
    store.delete_iov("grown", row.id)
    tag_with(store, "fixed", "cnn")
    publish(store, "fixed")
    now, pinned, fixed = store.tag_facts(["grown", "grown@1", "fixed"])
    assert [(each.name, each.content_revision, each.digest) for each in (now, pinned)] == [
        ("grown", 2, None),
        ("grown", 1, None),
    ]
    assert (fixed.state.value, fixed.digest) == ("PUBLISHED", store.tag_digest("fixed"))
    assert [each.content_revision for each in store.tag_facts("grown", as_of=then)] == [1]
    assert store.tag_facts("fixed@1")[0].digest == fixed.digest
    assert store.tag_facts("fixed@0")[0].digest is None


def test_facts_are_one_query(store: Store) -> None:
    tag_with(store, "grown", "gat")
    sent: list[str] = []

    def count(*args: object) -> None:
        sent.append(str(args[2]))

    event.listen(store._engine, "before_cursor_execute", count)
    store.tag_facts(["grown", "grown@1"])
    event.remove(store._engine, "before_cursor_execute", count)
    assert len(sent) == 1


@pytest.mark.parametrize("seed", range(3))
def test_names_choose_in_the_past_too(store: Store, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    store.create_tag("grown")
    changer = Changer(store, "grown", some_payloads(store), draw)
    for _ in range(8):
        changer.change()
    for revision in range(9):
        entry = f"grown@{revision}"
        everything = store.resolve_many(entry, RUNS, allow_open=True)
        chosen = store.resolve_many(entry, RUNS, NAMES[:2], allow_open=True)
        assert chosen == {run: {n: w for n, w in each.items() if n in NAMES[:2]} for run, each in everything.items()}
        for run in RUNS[::3]:
            assert store.resolve(entry, run, allow_open=True) == everything[run]
