"""Copy, modify and delete: which rows are meant, what becomes of them, and that all others stay."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conditions.errors import BadInputError, BadInterval, IovNotFound
from conditions.iov import OPEN, IntervalOfValidity, Run
from conditions.plans.edit import IovEdit, IovFilter, plan_copy, plan_delete, plan_modify
from conditions.resolve import IovEntry
from support.rows import EVERY_RUN, NAMES, content, contents, intervals, payload, rows, said

ROWS = rows("t", "gain r1 0,0,1,-1; gain r2 2,0,-1,-1; gain[x] r1 0,0,-1,-1; map r1 1,0,3,-1")
ALL = IovFilter()


def iov(text: str) -> IntervalOfValidity:
    return IntervalOfValidity.parse(text)


def chosen(**parts: object) -> list[str]:
    return said((row.payload, row.iov) for row in IovFilter(**parts).choose("t", ROWS))  # type: ignore[arg-type]


def test_rows_are_chosen_by_all_parts_of_a_filter() -> None:
    assert len(chosen()) == 4
    assert chosen(glob="gain") == ["gain r1 0,0,1,-1", "gain r2 2,0,-1,-1"]
    assert chosen(glob="gain[x]") == ["gain[x] r1 0,0,-1,-1"]
    assert chosen(regex="(gain|map)", revision=1) == ["gain r1 0,0,1,-1", "map r1 1,0,3,-1"]
    assert chosen(within=iov("2,0,2,5")) == ["gain r2 2,0,-1,-1", "gain[x] r1 0,0,-1,-1", "map r1 1,0,3,-1"]
    assert chosen(within=iov("0,0,3,-1"), contained=True) == ["gain r1 0,0,1,-1", "map r1 1,0,3,-1"]
    assert chosen(ids=frozenset({ROWS[3].id})) == ["map r1 1,0,3,-1"]
    assert chosen(ids=frozenset({ROWS[3].id}), glob="gain") == []


def test_a_row_that_is_meant_by_its_number_must_be_there() -> None:
    with pytest.raises(IovNotFound, match="no IoV 123456789 in tag 't'"):
        chosen(ids=frozenset({ROWS[0].id, 123456789}))


def test_filters_that_mean_nothing_are_refused() -> None:
    for parts in ({"cut": True}, {"contained": True}):
        with pytest.raises(BadInputError, match="give `within`"):
            IovFilter(**parts)  # type: ignore[arg-type]
    with pytest.raises(BadInputError, match="give one of them"):
        IovFilter(within=iov("always"), cut=True, contained=True)
    with pytest.raises(BadInputError, match="is no regular expression"):
        IovFilter(regex="(")
    assert ALL.takes_all
    assert not IovFilter(glob="*").takes_all


def test_copies_are_added_once_and_may_get_other_runs() -> None:
    there = rows("target", "gain r1 0,0,1,-1; other r1 always")
    plan = plan_copy(("t", ROWS), ("target", 4, there), IovFilter(glob="gain"))
    assert (plan.lines(), plan.base_revision) == (["CREATE gain r2 2,0,-1,-1"], 4)
    plan = plan_copy(("t", ROWS), ("target", 4, there), IovFilter(glob="map"), iov("7,0,7,-1"))
    assert plan.lines() == ["CREATE map r1 7,0,7,-1"]
    inside = IovFilter(within=iov("1,5,2,5"), cut=True, regex="gain|map")
    assert plan_copy(("t", ROWS), ("target", 4, there), inside).lines() == [
        "CREATE gain r1 1,5,1,-1",
        "CREATE gain r2 2,0,2,5",
        "CREATE map r1 1,5,2,5",
    ]


def test_a_tag_may_be_copied_into_itself_at_other_runs() -> None:
    plan = plan_copy(("t", ROWS), ("t", 4, ROWS), IovFilter(glob="map"), iov("8,0,-1,-1"))
    assert plan.lines() == ["CREATE map r1 8,0,-1,-1"]


def test_rows_get_other_intervals() -> None:
    gain = IovFilter(glob="gain")
    assert plan_modify(("t", 1, ROWS), gain, IovEdit(first=Run(1, 5))).lines() == [
        "MOVE gain r1 0,0,1,-1 -> 1,5,1,-1",
        "MOVE gain r2 2,0,-1,-1 -> 1,5,-1,-1",
    ]
    assert plan_modify(("t", 1, ROWS), IovFilter(glob="map"), IovEdit(last=OPEN)).lines() == [
        "EXTEND map r1 1,0,3,-1 -> 1,0,-1,-1"
    ]
    assert plan_modify(("t", 1, ROWS), IovFilter(glob="map"), IovEdit(iov=iov("4,0,4,-1"))).lines() == [
        "MOVE map r1 1,0,3,-1 -> 4,0,4,-1"
    ]
    with pytest.raises(BadInterval, match=r"'gain r1 0,0,1,-1' is no interval.*new first run comes after its last"):
        plan_modify(("t", 1, ROWS), gain, IovEdit(first=Run(2, 0)))


def test_rows_or_the_chosen_runs_of_them_get_another_revision() -> None:
    new = {"gain": payload("gain", 3)}
    plan = plan_modify(("t", 1, ROWS), IovFilter(glob="gain", revision=2), IovEdit(revision=3), new)
    assert plan.lines() == ["DELETE gain r2 2,0,-1,-1", "CREATE gain r3 2,0,-1,-1"]
    part = IovFilter(glob="gain", within=iov("5,0,5,-1"), cut=True)
    assert plan_modify(("t", 1, ROWS), part, IovEdit(revision=3), new).lines() == [
        "CLOSE gain r2 2,0,-1,-1 -> 2,0,4,-1",
        "CREATE gain r3 5,0,5,-1",
        "CREATE gain r2 6,0,-1,-1",
    ]


def test_edits_that_mean_nothing_are_refused() -> None:
    with pytest.raises(BadInputError, match="nothing to change"):
        IovEdit()
    with pytest.raises(BadInputError, match="one or the other"):
        IovEdit(iov=iov("always"), first=Run(0, 0))
    with pytest.raises(BadInputError, match="no other runs"):
        plan_modify(("t", 1, ROWS), IovFilter(within=iov("1,0,1,-1"), cut=True), IovEdit(first=Run(1, 1)))


def test_rows_that_become_the_same_are_one_row() -> None:
    twice = rows("t", "gain r1 0,0,1,-1; gain r1 2,0,-1,-1")
    plan = plan_modify(("t", 1, twice), ALL, IovEdit(iov=iov("always")))
    assert said(plan.applied(twice)) == ["gain r1 0,0,-1,-1"]


def test_a_row_may_take_the_place_of_one_that_moves_on() -> None:
    chain = rows("t", "gain r1 1,0,1,-1; gain r1 2,0,2,-1")
    moved = plan_modify(("t", 1, chain), IovFilter(ids=frozenset({chain[0].id})), IovEdit(iov=iov("2,0,2,-1")))
    assert said(moved.applied(chain)) == ["gain r1 2,0,2,-1"]
    assert moved.lines() == ["DELETE gain r1 1,0,1,-1"]


def test_whole_rows_or_the_chosen_runs_of_them_are_deleted() -> None:
    exp_2 = iov("2,0,2,-1")
    assert plan_delete(("t", 1, ROWS), IovFilter(regex="gain|map", within=exp_2)).lines() == [
        "DELETE gain r2 2,0,-1,-1",
        "DELETE map r1 1,0,3,-1",
    ]
    assert plan_delete(("t", 1, ROWS), IovFilter(regex="gain|map", within=exp_2, cut=True)).lines() == [
        "MOVE gain r2 2,0,-1,-1 -> 3,0,-1,-1",
        "CLOSE map r1 1,0,3,-1 -> 1,0,1,-1",
        "CREATE map r1 3,0,3,-1",
    ]
    assert plan_delete(("t", 1, ROWS), IovFilter(regex="gain|map", within=exp_2, contained=True)).is_empty
    assert len(plan_delete(("t", 1, ROWS), ALL).deletes) == 4


@st.composite
def filters(draw: st.DrawFn) -> IovFilter:
    within = draw(st.none() | intervals())
    how = draw(st.sampled_from(["", "", "contained", "cut"])) if within is not None else ""
    regex = draw(st.none() | st.sampled_from(["p1", "p[12]", "q"]))
    revision = draw(st.none() | st.integers(1, 3))
    return IovFilter(regex=regex, within=within, contained=how == "contained", cut=how == "cut", revision=revision)


def is_meant(row: IovEntry, chosen: IovFilter) -> bool:
    if chosen.regex is not None and not re.fullmatch(chosen.regex, row.payload.name):
        return False
    if chosen.revision is not None and row.payload.revision != chosen.revision:
        return False
    if chosen.within is None:
        return True
    common = row.iov & chosen.within
    return common == row.iov if chosen.contained else common is not None


@given(contents("t"), filters())
def test_exactly_the_chosen_runs_are_deleted(entries: list[IovEntry], chosen: IovFilter) -> None:
    after = content("t", plan_delete(("t", 0, entries), chosen).applied(entries))
    for run in EVERY_RUN:
        expected = {
            row.payload
            for row in entries
            if run in row.iov
            and not (is_meant(row, chosen) and (not chosen.cut or (chosen.within and run in chosen.within)))
        }
        assert {row.payload for row in after if run in row.iov} == expected


@given(contents("t"), contents("target"), filters())
def test_a_copy_adds_the_chosen_runs_and_takes_nothing_away(
    entries: list[IovEntry], there: list[IovEntry], chosen: IovFilter
) -> None:
    plan = plan_copy(("t", entries), ("target", 0, there), chosen)
    assert not plan.changes
    assert not plan.deletes
    after = content("target", plan.applied(there))
    assert len({(row.payload, row.iov) for row in after}) == len(after)
    for run in EVERY_RUN:
        copied = {
            row.payload
            for row in entries
            if run in row.iov and is_meant(row, chosen) and (not chosen.cut or (chosen.within and run in chosen.within))
        }
        assert {row.payload for row in after if run in row.iov} == copied | {
            row.payload for row in there if run in row.iov
        }


@given(contents("t"), filters())
def test_another_revision_is_given_out_for_exactly_the_chosen_runs(entries: list[IovEntry], chosen: IovFilter) -> None:
    new = {name: payload(name, 9) for name in NAMES}
    plan = plan_modify(("t", 0, entries), chosen, IovEdit(revision=9), new)
    after = content("t", plan.applied(entries))
    for run in EVERY_RUN:
        expected = set()
        for row in entries:
            if run in row.iov:
                is_new = is_meant(row, chosen) and (not chosen.cut or (chosen.within and run in chosen.within))
                expected.add(new[row.payload.name] if is_new else row.payload)
        assert {row.payload for row in after if run in row.iov} == expected
