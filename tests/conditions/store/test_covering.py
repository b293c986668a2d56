"""The run-time lookup: one query, the same answer as `resolve` on all rows, and clear refusals."""

from __future__ import annotations

import io
import random
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from conditions.errors import BadInputError, TagNotFound, TagNotUsable
from conditions.iov import IntervalOfValidity, Run
from conditions.resolve import resolve
from conditions.store.session import Store

ALWAYS = IntervalOfValidity.always()


@contextmanager
def counted(store: Store) -> Iterator[list[str]]:
    """The statements that the store sends while the block runs."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(store._engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(store._engine, "before_cursor_execute", note)


def fill(store: Store, tag: str, rows: list[tuple[str, str]]) -> None:
    """A TESTING tag with one payload revision for each (name, interval)."""
    store.create_tag(tag)
    with store.transaction():
        for number, (name, text) in enumerate(rows):
            payload = store.upload(name, io.BytesIO(f"{tag} {number}".encode()))
            store.add_iov(tag, name, payload.revision, IntervalOfValidity.parse(text))
    store.set_state(tag, "TESTING")


def random_rows(draw: random.Random, names: list[str], count: int) -> list[tuple[str, str]]:
    rows = []
    for _ in range(count):
        first, last = sorted((draw.randrange(4), draw.randrange(6)) for _ in range(2))
        end = draw.choice([f"{last[0]},{last[1]}", f"{last[0]},-1", "-1,-1"])
        rows.append((draw.choice(names), f"{first[0]},{first[1]},{end}"))
    return rows


def test_a_stack_is_resolved_in_one_query(store: Store) -> None:
    fill(store, "a", [("gat", "1,0,1,-1"), ("cnn", "1,0,-1,-1")])
    fill(store, "b", [("gat", "always")])
    with counted(store) as sent:
        found = store.resolve(["a", "b"], Run(2, 0))
    assert len(sent) == 1
    assert {name: won.tag for name, won in found.items()} == {"cnn": "a", "gat": "b"}


def test_many_runs_are_resolved_in_one_query(store: Store) -> None:
    fill(store, "a", [("gat", "1,0,1,-1"), ("cnn", "2,0,-1,-1")])
    with counted(store) as sent:
        found = store.resolve_many("a", [Run(0, 0), Run(1, 5), Run(3, 0), Run(1, 5)], ["gat", "cnn"])
    assert len(sent) == 1
    assert {run: sorted(winners) for run, winners in found.items()} == {
        Run(0, 0): [],
        Run(1, 5): ["gat"],
        Run(3, 0): ["cnn"],
    }


@pytest.mark.parametrize("seed", range(4))
def test_the_answer_is_that_of_the_rule_on_all_rows(store: Store, seed: int) -> None:
    draw = random.Random(seed)  # noqa: S311
    names = ["gat", "cnn", "pxd"]
    for tag in ("a", "b"):
        fill(store, tag, random_rows(draw, names, 14))
    rows = store.list_iovs("a") + store.list_iovs("b")
    runs = [Run(exp, run) for exp in range(5) for run in range(7)]
    for stack in (["a", "b"], ["b", "a"], ["b"]):
        expected = {run: resolve(stack, run, rows) for run in runs}
        assert {run: store.resolve(stack, run) for run in runs} == expected
        assert store.resolve_many(stack, runs) == expected
        chosen = {run: {name: won for name, won in each.items() if name != "cnn"} for run, each in expected.items()}
        assert store.resolve_many(stack, runs, ["gat", "pxd", "gat", "unheard"]) == chosen


def test_an_unknown_tag_is_named_with_those_near(store: Store) -> None:
    fill(store, "mc16", [("gat", "always")])
    with pytest.raises(TagNotFound, match=r"no tag 'mc15' in \S+ .did you mean 'mc16'") as caught:
        store.resolve(["mc16", "mc15"], Run(0, 0))
    assert caught.value.near == ("mc16",)


def test_an_empty_tag_is_not_a_missing_one(store: Store) -> None:
    fill(store, "empty", [])
    assert store.resolve("empty", Run(0, 0)) == {}


def test_an_open_tag_must_be_asked_for(store: Store) -> None:
    store.create_tag("fresh")
    with pytest.raises(TagNotUsable, match="OPEN"):
        store.resolve("fresh", Run(0, 0))
    assert store.resolve("fresh", Run(0, 0), allow_open=True) == {}


def test_an_invalid_tag_is_never_used(store: Store) -> None:
    fill(store, "old", [("gat", "always")])
    for state in ("VALIDATED", "PUBLISHED", "INVALID"):
        store.set_state("old", state)
    with pytest.raises(TagNotUsable, match="INVALID"):
        store.resolve("old", Run(0, 0), allow_open=True)


def test_no_names_give_no_payloads(store: Store) -> None:
    fill(store, "a", [("gat", "always")])
    assert store.resolve("a", Run(0, 0), []) == {}
    assert store.resolve_many("a", []) == {}


def test_an_empty_stack_is_refused(store: Store) -> None:
    with pytest.raises(BadInputError, match="stack of tags is empty"):
        store.resolve([], Run(0, 0))


def test_names_with_quotes_and_brackets_are_only_names(store: Store) -> None:
    name = """g'a"t[0],{x}%(y)s:z"""
    fill(store, "a", [(name, "always")])
    assert list(store.resolve("a", Run(0, 0), [name])) == [name]
    with pytest.raises(TagNotFound):
        store.resolve("""a' OR "1"='1""", Run(0, 0))


def test_a_transaction_resolves_its_own_changes(store: Store) -> None:
    fill(store, "a", [("gat", "0,0,0,-1")])
    store.set_state("a", "OPEN")
    with store.transaction():
        store.add_iov("a", "gat", 1, ALWAYS)
        assert store.resolve("a", Run(5, 0), allow_open=True)["gat"].iov == ALWAYS
