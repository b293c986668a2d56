"""Which payload wins, against the definition said slowly."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conditions.errors import BadInputError, BadName, NoPayloadForRun
from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import (
    IovEntry,
    Resolved,
    TagRef,
    check_stack,
    parse_stack,
    parse_tag_ref,
    require,
    resolve,
)

RUNS = [Run(exp, run) for exp in range(3) for run in range(3)]


def payload(name: str, revision: int) -> Payload:
    return Payload(
        name, revision, f"{revision:064x}", f"{revision:032x}", 1, {}, datetime(2026, 1, 1, tzinfo=UTC), "me"
    )


def entry(number: int, tag: str, name: str, revision: int, text: str) -> IovEntry:
    return IovEntry(number, payload(name, revision), IntervalOfValidity.parse(text), tag)


intervals = st.tuples(st.sampled_from(RUNS), st.sampled_from(RUNS)).map(lambda pair: IntervalOfValidity(*sorted(pair)))
rows = st.lists(
    st.tuples(st.sampled_from("ABC"), st.sampled_from(["gat", "cnn"]), st.integers(1, 4), intervals), max_size=12
).map(lambda found: [IovEntry(n, payload(name, rev), iov, tag) for n, (tag, name, rev, iov) in enumerate(found)])


@given(rows, st.permutations(["A", "B", "C"]), st.integers(1, 3), st.sampled_from(RUNS), st.randoms())
def test_first_tag_wins_then_highest_revision(
    entries: list[IovEntry], order: list[str], depth: int, run: Run, random: Random
) -> None:
    stack = order[:depth]
    expected: dict[str, tuple[str, int]] = {}
    for name in ("gat", "cnn"):
        for tag in stack:
            revisions = [
                row.payload.revision
                for row in entries
                if row.tag == tag and row.payload.name == name and row.iov.contains(run)
            ]
            if revisions:
                expected[name] = (tag, max(revisions))
                break
    random.shuffle(entries)
    found = resolve(stack, run, entries)
    assert {name: (won.tag, won.payload.revision) for name, won in found.items()} == expected
    assert all(won.iov.contains(run) for won in found.values())


def test_a_gap_in_the_first_tag_is_filled_by_the_second() -> None:
    entries = [entry(1, "A", "gat", 9, "0,0,0,-1"), entry(2, "B", "gat", 1, "always")]
    assert resolve(["A", "B"], Run(1, 0), entries)["gat"].tag == "B"
    assert resolve(["A", "B"], Run(0, 5), entries)["gat"].tag == "A"


def test_the_younger_row_wins_between_two_of_one_revision() -> None:
    entries = [entry(7, "A", "gat", 1, "0,0,0,5"), entry(3, "A", "gat", 1, "always")]
    assert resolve(["A"], Run(0, 1), entries)["gat"].iov == IntervalOfValidity.parse("0,0,0,5")


def test_answers_are_in_order_of_name() -> None:
    entries = [entry(n, "A", name, 1, "always") for n, name in enumerate(["c", "a", "b"])]
    assert list(resolve(["A"], Run(0, 0), entries)) == ["a", "b", "c"]


def test_a_tag_named_twice_counts_where_it_stands_first() -> None:
    entries = [entry(1, "A", "gat", 1, "always"), entry(2, "B", "gat", 2, "always")]
    assert resolve(["A", "B", "A"], Run(0, 0), entries)["gat"].tag == "A"


def test_a_stack_is_never_empty() -> None:
    assert check_stack("mc16") == ("mc16",)
    assert check_stack(["a", "b", "a"]) == ("a", "b")
    with pytest.raises(BadInputError, match="stack of tags is empty"):
        check_stack([])


def test_a_missing_required_payload_is_named_with_run_and_stack() -> None:
    with pytest.raises(NoPayloadForRun, match="no payload 'gat' for 7:120 in mc16, online"):
        require({}, ["gat"], Run(7, 120), ["mc16", "online"])
    there = Resolved(payload("gat", 1), IntervalOfValidity.always(), "mc16")
    require({"gat": there}, ["gat"], Run(7, 120), ["mc16"])


def test_an_entry_of_a_stack_is_a_tag_or_a_tag_as_it_was() -> None:
    assert parse_stack(["mc16", "mc16@12", "mc16"]) == (TagRef("mc16"), TagRef("mc16", 12))
    assert parse_stack("online@0") == (TagRef("online", 0),)
    assert [str(ref) for ref in parse_stack(["a", "b@3"])] == ["a", "b@3"]


@pytest.mark.parametrize("entry", ["mc16@", "@3", "mc16@-1", "mc16@1.5", "mc16@1@2", "mc16@last"])
def test_what_stands_after_an_at_is_a_content_revision(entry: str) -> None:
    with pytest.raises(BadName, match="NAME@REVISION"):
        parse_tag_ref(entry)


def test_a_text_is_a_stack_of_the_names_in_it() -> None:
    assert check_stack(" mine  mc16 mine") == ("mine", "mc16")
    with pytest.raises(BadInputError, match="empty"):
        check_stack("  ")
