"""The runs for which an answer holds: never one too many, and as many as can cheaply be known."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pytest

from conditions.errors import TagNotFound, TagNotUsable
from conditions.iov import MAX_NUMBER, IntervalOfValidity, Run
from conditions.resolve import Held
from conditions.store import covering_sql
from conditions.store.session import Store
from support.content import NAMES, RUNS, Changer, some_payloads
from support.stores import ALWAYS, publish, tag_with, upload_text

BEYOND = [Run(5, 0), Run(5, MAX_NUMBER), Run(MAX_NUMBER, MAX_NUMBER)]


def winners(store: Store, stack: Sequence[str], run: Run, names: Sequence[str] | None) -> dict[str, tuple[int, str]]:
    found = store.resolve(stack, run, names, allow_open=True)
    return {name: (won.payload.revision, won.tag) for name, won in found.items()}


def check_holds(store: Store, stack: Sequence[str], names: Sequence[str] | None) -> list[Held]:
    """The answer of every run is the answer of all runs that it holds for."""
    runs = RUNS + BEYOND
    expected = {run: winners(store, stack, run, names) for run in runs}
    held = [store.resolve_held(stack, run, names, allow_open=True) for run in runs]
    for run, each in zip(runs, held, strict=True):
        assert run in each.holds
        assert each.answer == store.resolve(stack, run, names, allow_open=True)
        for other in runs:
            if other in each.holds:
                assert expected[other] == expected[run], (run, str(each.holds), other)
    return held


@pytest.mark.parametrize("seed", range(6))
def test_all_runs_that_an_answer_holds_for_have_that_answer(store: Store, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    payloads = some_payloads(store)
    for tag in ("a", "b"):
        store.create_tag(tag)
        changer = Changer(store, tag, payloads, draw)
        for _ in range(draw.randrange(6)):
            changer.change()
    for stack in (["a"], ["a", "b"], ["b", "a"]):
        names = draw.choice([None, NAMES[:1], NAMES[1:], ["unheard"]])
        check_holds(store, stack, names)
    pasts = [f"{tag}@{draw.randrange(store.get_tag(tag).content_revision + 1)}" for tag in ("a", "b")]
    check_holds(store, [pasts[0], "b"], None)
    check_holds(store, pasts, NAMES[:1])


@pytest.fixture
def few_rows_looked_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As if a tag had so many rows of other names that the next row of a wanted one is not met."""
    monkeypatch.setattr(covering_sql, "WALKED_ROWS", 2)
    covering_sql._statement.cache_clear()
    yield
    covering_sql._statement.cache_clear()


@pytest.mark.usefixtures("few_rows_looked_at")
@pytest.mark.parametrize("seed", range(2))
def test_few_rows_looked_at_never_make_an_answer_hold_for_more(store: Store, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    store.create_tag("a")
    changer = Changer(store, "a", some_payloads(store), draw)
    for _ in range(12):
        changer.change()
    check_holds(store, ["a"], NAMES[:1])


@pytest.mark.usefixtures("few_rows_looked_at")
def test_where_others_rows_hide_the_next_one_the_last_of_them_has_to_do(store: Store) -> None:
    fill(
        store,
        "a",
        ("gat", "0,0,0,-1"),
        *(("cnn", f"{exp},0,{exp},-1") for exp in (1, 2, 3, 5, 6, 7)),
        ("gat", "8,0,8,0"),
    )
    assert holds(store, ["a"], Run(4, 0), "gat") == "3,0,5,-1"
    assert holds(store, ["a"], Run(7, 0), "gat") == "6,0,7,-1"
    assert holds(store, ["a"], Run(4, 0), "unheard") == "3,0,5,-1"
    check_holds(store, ["a"], ["gat"])


def fill(store: Store, tag: str, *rows: tuple[str, str]) -> None:
    """A TESTING tag with a revision of its own for each (name, interval)."""
    store.create_tag(tag)
    for number, (name, interval) in enumerate(rows):
        payload = upload_text(store, name, f"{tag} {number}")
        store.add_iov(tag, name, payload.revision, IntervalOfValidity.parse(interval))
    store.set_state(tag, "TESTING")


def holds(store: Store, stack: Sequence[str], run: Run, *names: str) -> str:
    return str(store.resolve_held(stack, run, names or None).holds)


def test_a_row_holds_up_to_the_next_one(store: Store) -> None:
    fill(store, "a", ("gat", "1,0,1,5"), ("gat", "1,6,2,-1"), ("cnn", "0,3,1,2"))
    assert holds(store, ["a"], Run(1, 1)) == "1,0,1,2"
    assert holds(store, ["a"], Run(1, 4)) == "1,3,1,5"
    assert holds(store, ["a"], Run(1, 4), "gat") == "1,0,1,5"
    assert holds(store, ["a"], Run(2, 9)) == "1,6,2,-1"


def test_a_gap_holds_between_its_neighbours(store: Store) -> None:
    fill(store, "a", ("gat", "1,0,1,-1"), ("gat", "3,5,-1,-1"))
    assert holds(store, ["a"], Run(0, 0)) == "0,0,0,-1"
    assert holds(store, ["a"], Run(2, 7)) == "2,0,3,4"
    assert holds(store, ["a"], Run(9, 0)) == "3,5,-1,-1"


def test_an_empty_tag_holds_for_ever(store: Store) -> None:
    fill(store, "a")
    assert holds(store, ["a"], Run(7, 7)) == "0,0,-1,-1"


def test_every_tag_of_the_stack_counts(store: Store) -> None:
    fill(store, "a", ("gat", "2,0,2,-1"))
    fill(store, "b", ("gat", "0,0,3,4"))
    assert holds(store, ["a", "b"], Run(2, 1)) == "2,0,2,-1"
    assert holds(store, ["a", "b"], Run(3, 0)) == "3,0,3,4"
    assert holds(store, ["a", "b"], Run(4, 0)) == "3,5,-1,-1"


def test_an_answer_after_the_last_run_of_an_experiment_begins_with_the_next(store: Store) -> None:
    fill(store, "a", ("gat", f"0,0,3,{MAX_NUMBER}"))
    assert holds(store, ["a"], Run(4, 0)) == "4,0,-1,-1"
    assert holds(store, ["a"], Run(3, MAX_NUMBER)) == f"0,0,3,{MAX_NUMBER}"


def test_the_tags_are_told_as_they_were_used(store: Store) -> None:
    (row,) = tag_with(store, "grown", "gat")
    then = datetime.now(UTC)
    store.delete_iov("grown", row.id)
    fill(store, "base", ("cnn", "always"))
    held = store.resolve_held(["grown", "base"], Run(0, 0), allow_open=True, as_of=None)
    assert [(each.name, each.state.value, each.content_revision) for each in held.tags] == [
        ("grown", "OPEN", 2),
        ("base", "TESTING", 1),
    ]
    past = store.resolve_held("grown", Run(0, 0), allow_open=True, as_of=then)
    assert [each.content_revision for each in past.tags] == [1]
    assert list(past.answer) == ["gat"]
    publish_base(store)
    (told,) = store.resolve_held("base", Run(0, 0)).tags
    assert told.digest == store.tag_digest("base")


def publish_base(store: Store) -> None:
    store.set_state("base", "OPEN")
    publish(store, "base")


def test_what_must_not_be_used_is_refused(store: Store) -> None:
    store.create_tag("a")
    store.add_iov("a", upload_text(store).name, None, ALWAYS)
    with pytest.raises(TagNotUsable, match="'a' is OPEN"):
        store.resolve_held("a", Run(0, 0))
    with pytest.raises(TagNotFound, match="'b'"):
        store.resolve_held(["a", "b"], Run(0, 0), allow_open=True)
