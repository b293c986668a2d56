"""The merge of tags: the examples to the letter, and for every run the first tag's winner."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conditions.errors import BadInputError, ChangeRefused
from conditions.iov import IntervalOfValidity
from conditions.plans.merge import check_merge, plan_merge
from conditions.plans.plan import Plan
from conditions.resolve import IovEntry
from support.rows import EVERY_RUN, content, contents, intervals, rows, said, winners

A = "p1 r2 1,0,1,10; p1 r3 1,20,1,22; p2 r1 1,0,1,-1"
B = "p1 r1 1,1,1,30; p2 r2 0,1,1,20"


def merged(*sources: tuple[str, list[IovEntry]], within: str | None = None) -> Plan:
    limits = None if within is None else IntervalOfValidity.parse(within)
    return plan_merge("target", 7, [], sources, limits)


def test_later_tags_fill_the_gaps_of_earlier_ones() -> None:
    plan = merged(("A", rows("A", A)), ("B", rows("B", B)))
    assert said(plan.creates) == [
        "p1 r2 1,0,1,10",
        "p1 r1 1,11,1,19",
        "p1 r3 1,20,1,22",
        "p1 r1 1,23,1,30",
        "p2 r2 0,1,0,-1",
        "p2 r1 1,0,1,-1",
    ]
    assert (plan.tag, plan.base_revision, plan.changes, plan.deletes) == ("target", 7, (), ())


def test_a_run_range_takes_no_other_runs() -> None:
    plan = merged(("A", rows("A", A)), ("B", rows("B", B)), within="1,0,1,21")
    assert said(plan.creates) == ["p1 r2 1,0,1,10", "p1 r1 1,11,1,19", "p1 r3 1,20,1,21", "p2 r1 1,0,1,21"]


def test_the_other_order_gives_the_other_tag_priority() -> None:
    plan = merged(("B", rows("B", B)), ("A", rows("A", A)))
    assert said(plan.creates) == [
        "p1 r2 1,0,1,0",
        "p1 r1 1,1,1,30",
        "p2 r2 0,1,1,20",
        "p2 r1 1,21,1,-1",
    ]


def test_inside_a_tag_the_highest_revision_wins_as_for_jobs() -> None:
    plan = merged(("A", rows("A", "p1 r1 0,0,-1,-1; p1 r2 2,0,2,-1; p1 r1 1,0,3,-1")))
    assert said(plan.creates) == ["p1 r1 0,0,1,-1", "p1 r2 2,0,2,-1", "p1 r1 3,0,-1,-1"]


def test_neighbours_of_one_payload_keep_their_borders() -> None:
    plan = merged(("A", rows("A", "p1 r1 0,0,1,5; p1 r1 1,6,-1,-1")), ("B", rows("B", "p1 r1 0,0,-1,-1")))
    assert said(plan.creates) == ["p1 r1 0,0,1,5", "p1 r1 1,6,-1,-1"]


def test_a_target_that_is_a_source_keeps_its_rows_and_their_numbers() -> None:
    own = rows("target", "p1 r2 1,0,1,10; p1 r1 1,5,-1,-1; p2 r1 0,0,0,5")
    plan = plan_merge("target", 3, own, [("A", rows("A", "p1 r3 1,8,1,9; p3 r1 0,0,-1,-1")), ("target", own)])
    assert plan.lines() == [
        "CLOSE p1 r2 1,0,1,10 -> 1,0,1,7",
        "MOVE p1 r1 1,5,-1,-1 -> 1,11,-1,-1",
        "CREATE p1 r3 1,8,1,9",
        "CREATE p1 r2 1,10,1,10",
        "CREATE p3 r1 0,0,-1,-1",
    ]
    assert {row.id for row, _ in plan.changes} == {own[0].id, own[1].id}


def test_a_run_range_leaves_the_rest_of_a_target_alone() -> None:
    own = rows("target", "p1 r1 0,0,-1,-1; p2 r1 0,0,0,5")
    sources = [("A", rows("A", "p1 r2 0,0,-1,-1; p2 r2 0,0,-1,-1")), ("target", own)]
    plan = plan_merge("target", 0, own, sources, IntervalOfValidity.parse("2,0,2,-1"))
    assert said(plan.applied(own)) == [
        "p1 r1 0,0,1,-1",
        "p2 r1 0,0,0,5",
        "p1 r2 2,0,2,-1",
        "p1 r1 3,0,-1,-1",
        "p2 r2 2,0,2,-1",
    ]


def test_a_merge_with_itself_changes_nothing() -> None:
    own = rows("target", A)
    assert plan_merge("target", 0, own, [("target", own)]).is_empty


def test_a_filled_target_must_be_one_of_the_sources() -> None:
    with pytest.raises(ChangeRefused, match="it holds 3 IoVs and is none of the tags to merge"):
        check_merge("target", 3, ["A", "B"])
    assert check_merge("target", 3, ["A", "target", "A"]) == ("A", "target")
    assert check_merge("target", 0, ["A"]) == ("A",)
    with pytest.raises(BadInputError, match="at least one tag"):
        check_merge("target", 0, [])


def first_tags_winners(sources: Sequence[tuple[str, list[IovEntry]]], run_number: int) -> dict[str, int]:
    run = EVERY_RUN[run_number]
    found: dict[str, int] = {}
    for tag, entries in reversed(sources):
        found.update(winners(tag, entries, run))
    return found


@given(contents("A"), contents("B"), contents("C"), st.none() | intervals())
def test_every_run_gets_the_first_tags_winner(
    a: list[IovEntry], b: list[IovEntry], c: list[IovEntry], within: IntervalOfValidity | None
) -> None:
    sources = [("A", a), ("B", b), ("C", c)]
    plan = plan_merge("target", 0, [], sources, within)
    merged_rows = content("target", plan.creates)
    for number, run in enumerate(EVERY_RUN):
        is_inside = within is None or within.contains(run)
        expected = first_tags_winners(sources, number) if is_inside else {}
        covering = [row.payload.name for row in merged_rows if row.iov.contains(run)]
        assert winners("target", merged_rows, run) == expected
        assert len(covering) == len(set(covering)), "a merge leaves no overlap"
    assert not plan.changes
    assert not plan.deletes


@given(contents("A"), contents("target"), st.none() | intervals(), st.booleans())
def test_a_target_among_the_sources_is_changed_to_the_same_content(
    a: list[IovEntry], own: list[IovEntry], within: IntervalOfValidity | None, own_first: bool
) -> None:
    sources = [("target", own), ("A", a)] if own_first else [("A", a), ("target", own)]
    plan = plan_merge("target", 0, own, sources, within)
    after = content("target", plan.applied(own))
    assert len({(row.payload.name, row.payload.revision, row.iov) for row in after}) == len(after)
    for number, run in enumerate(EVERY_RUN):
        is_inside = within is None or within.contains(run)
        expected = first_tags_winners(sources, number) if is_inside else winners("target", own, run)
        assert winners("target", after, run) == expected
