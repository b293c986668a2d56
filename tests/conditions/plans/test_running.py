"""The running update: the example with every mode to the letter, what is refused, and what never changes."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conditions.errors import BadInputError, ChangeRefused, UpdateRefused
from conditions.iov import OPEN, EndOfExp, IntervalOfValidity, Run, just_before
from conditions.payload import Payload
from conditions.plans.plan import Plan
from conditions.plans.running import STRICT, RunningMode, check_update_states, plan_running
from conditions.resolve import IovEntry
from conditions.tags import TagState
from support.rows import EVERY_RUN, NAMES, content, contents, payload, rows, winners

RUNNING = "p1 r1 0,1,1,0; p1 r2 1,1,-1,-1; p2 r1 0,1,-1,-1; p3 r1 0,1,1,0; p4 r1 0,1,-1,-1; p5 r1 0,1,-1,-1"
STAGING = "p1 r3 0,0,1,8; p1 r4 1,9,1,20; p2 r2 1,5,1,20; p3 r2 0,0,-1,-1; p4 r1 0,0,1,20"
ALLOW_CLOSED = RunningMode(allow_closed=True)
FIX_CLOSED = RunningMode(fix_closed=True)
FULL = RunningMode(full_replacement=True)
SIMPLE = RunningMode(simple=True)
LAST_EXP = 3  # where a staging tag that is drawn at random may end


def update(staging: str, run: Run, mode: RunningMode = STRICT, running: str = RUNNING) -> Plan:
    return plan_running(("online", 5, rows("online", running)), ("staging", rows("staging", staging)), run, mode)


def test_ends_are_kept_where_they_are_allowed() -> None:
    plan = update(STAGING, Run(1, 2), ALLOW_CLOSED)
    assert plan.lines() == [
        "CLOSE p1 r2 1,1,-1,-1 -> 1,1,1,1",
        "CREATE p1 r3 1,2,1,8",
        "CREATE p1 r4 1,9,1,20",
        "CLOSE p2 r1 0,1,-1,-1 -> 0,1,1,4",
        "CREATE p2 r2 1,5,1,20",
        "CREATE p3 r2 1,2,-1,-1",
        "CLOSE p4 r1 0,1,-1,-1 -> 0,1,1,20",
    ]
    assert (plan.tag, plan.base_revision, plan.deletes) == ("online", 5, ())


def test_a_full_replacement_closes_what_staging_does_not_have() -> None:
    allowed = update(STAGING, Run(1, 2), ALLOW_CLOSED).lines()
    assert update(STAGING, Run(1, 2), FULL).lines() == [*allowed, "CLOSE p5 r1 0,1,-1,-1 -> 0,1,1,1"]


def test_ends_are_opened_where_they_are_to_be_fixed() -> None:
    assert update(STAGING, Run(1, 2), FIX_CLOSED).lines() == [
        "CLOSE p1 r2 1,1,-1,-1 -> 1,1,1,1",
        "CREATE p1 r3 1,2,1,8",
        "CREATE p1 r4 1,9,-1,-1",
        "CLOSE p2 r1 0,1,-1,-1 -> 0,1,1,4",
        "CREATE p2 r2 1,5,-1,-1",
        "CREATE p3 r2 1,2,-1,-1",
    ]


def test_a_full_replacement_may_open_ends_too() -> None:
    opened = update(STAGING, Run(1, 2), FIX_CLOSED).lines()
    both = RunningMode(full_replacement=True, fix_closed=True)
    assert update(STAGING, Run(1, 2), both).lines() == [*opened, "CLOSE p5 r1 0,1,-1,-1 -> 0,1,1,1"]


def test_ends_are_refused_by_default_and_all_are_named() -> None:
    with pytest.raises(UpdateRefused, match="3 closed payloads") as caught:
        update(STAGING, Run(1, 2))
    assert all(text in str(caught.value) for text in ("p1 r4 1,9,1,20", "p2 r2 1,5,1,20", "p4 r1 0,0,1,20"))
    assert "p3" not in str(caught.value)


def test_a_run_at_which_the_running_tag_begins_something_is_too_early() -> None:
    with pytest.raises(UpdateRefused, match="1 IoV of the running tag beginning at or after 1:1: p1 r2 1,1,-1,-1"):
        update(STAGING, Run(1, 1), ALLOW_CLOSED)


def test_a_run_after_which_staging_begins_something_is_too_late() -> None:
    with pytest.raises(UpdateRefused, match="1 IoV beginning before 1:6 and not at 0:0: p2 r2 1,5,1,20"):
        update(STAGING, Run(1, 6), ALLOW_CLOSED)


def test_a_simple_update_takes_nothing_but_always() -> None:
    with pytest.raises(UpdateRefused, match=r"4 IoVs other than 0,0,-1,-1.*p1 r3 0,0,1,8.*p4 r1 0,0,1,20") as caught:
        update(STAGING, Run(1, 2), SIMPLE)
    assert "p3 r2" not in str(caught.value)
    plan = update("p1 r3 always; p4 r1 always; p6 r1 always", Run(1, 2), SIMPLE)
    assert plan.lines() == [
        "CLOSE p1 r2 1,1,-1,-1 -> 1,1,1,1",
        "CREATE p1 r3 1,2,-1,-1",
        "CREATE p6 r1 1,2,-1,-1",
    ]


def test_every_closed_interval_of_the_running_tag_must_have_ended() -> None:
    running = "p1 r1 0,1,1,5; p2 r1 0,1,-1,-1"
    with pytest.raises(UpdateRefused, match="1 closed IoV of the running tag ending at or after 1:5: p1 r1 0,1,1,5"):
        update("p2 r2 always", Run(1, 5), running=running)
    assert update("p2 r2 always", Run(1, 6), running=running).step_count == 2


@pytest.mark.parametrize(
    ("staging", "fault"),
    [
        ("p1 r3 0,0,2,5; p1 r4 2,7,-1,-1", "1 IoV with a gap before it: p1 r4 2,7,-1,-1"),
        ("p1 r3 0,0,2,5; p1 r4 2,5,-1,-1", "1 IoV overlapping the one before: p1 r4 2,5,-1,-1"),
        ("p1 r3 always; p1 r4 2,0,2,1; p1 r4 2,9,-1,-1", "2 IoVs overlapping the one before"),
        ("p1 r3 0,0,1,1; p1 r4 1,2,-1,-1", "1 IoV ending before 1:2: p1 r3 0,0,1,1"),
        ("p1 r3 0,1,-1,-1", "1 IoV beginning before 1:2 and not at 0:0: p1 r3 0,1,-1,-1"),
        ("", "staging holds nothing"),
    ],
)
def test_staging_must_say_without_gap_or_overlap_what_comes(staging: str, fault: str) -> None:
    with pytest.raises(UpdateRefused, match=fault):
        update(staging, Run(1, 2), ALLOW_CLOSED)


def test_the_border_between_experiments_is_no_gap() -> None:
    assert update("p1 r3 0,0,1,-1; p1 r4 2,0,-1,-1", Run(1, 2)).step_count == 3


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(UpdateRefused) as caught:
        update(STAGING, Run(1, 1))
    assert len(caught.value.faults) == 2
    assert "p1 r2 1,1,-1,-1" in caught.value.faults[0]
    assert "3 closed payloads" in caught.value.faults[1]


def test_many_faulty_rows_are_counted_and_some_named() -> None:
    staging = "; ".join(f"q{number} r1 0,0,5,5" for number in range(50))
    with pytest.raises(UpdateRefused, match=r"50 closed payloads.*and 30 more"):
        update(staging, Run(1, 2))


@pytest.mark.parametrize(
    ("staging", "lines"),
    [
        ("p4 r1 always", []),
        ("p4 r1 2,0,-1,-1", []),
        ("p4 r1 0,0,2,5; p4 r2 2,6,-1,-1", ["CLOSE p4 r1 0,1,-1,-1 -> 0,1,2,5", "CREATE p4 r2 2,6,-1,-1"]),
        ("p4 r1 0,0,2,5; p4 r1 2,6,-1,-1", []),
        ("p4 r1 0,0,2,5; p4 r1 2,6,3,-1", ["CLOSE p4 r1 0,1,-1,-1 -> 0,1,3,-1"]),
        (
            "p4 r1 1,7,2,5; p4 r2 2,6,3,5; p4 r1 3,6,-1,-1",
            ["CLOSE p4 r1 0,1,-1,-1 -> 0,1,2,5", "CREATE p4 r2 2,6,3,5", "CREATE p4 r1 3,6,-1,-1"],
        ),
    ],
)
def test_the_payload_that_is_open_goes_on_with_its_own_row(staging: str, lines: list[str]) -> None:
    assert update(staging, Run(1, 2), ALLOW_CLOSED).lines() == lines


def test_what_has_ended_is_never_made_longer() -> None:
    assert update("p3 r1 always", Run(1, 2)).lines() == ["CREATE p3 r1 1,2,-1,-1"]


def test_of_overlapping_open_rows_only_the_one_that_goes_on_stays_open() -> None:
    running = "p1 r1 0,0,-1,-1; p1 r2 1,0,-1,-1"
    assert update("p1 r1 always", Run(2, 0), running=running).lines() == ["CLOSE p1 r2 1,0,-1,-1 -> 1,0,1,-1"]
    assert update("p1 r3 always", Run(2, 0), running=running).lines() == [
        "CLOSE p1 r1 0,0,-1,-1 -> 0,0,1,-1",
        "CLOSE p1 r2 1,0,-1,-1 -> 1,0,1,-1",
        "CREATE p1 r3 2,0,-1,-1",
    ]


def test_an_empty_running_tag_may_begin_with_the_very_first_run() -> None:
    assert update("p1 r1 always", Run(0, 0), running="").lines() == ["CREATE p1 r1 0,0,-1,-1"]


@pytest.mark.parametrize("state", [state for state in TagState if state is not TagState.RUNNING])
def test_only_a_running_tag_is_updated(state: TagState) -> None:
    with pytest.raises(ChangeRefused, match=f"'online', which is {state}"):
        check_update_states(("online", state), ("staging", TagState.VALIDATED))


@pytest.mark.parametrize("state", [state for state in TagState if state is not TagState.VALIDATED])
def test_only_a_validated_tag_is_taken(state: TagState) -> None:
    with pytest.raises(ChangeRefused, match=f"'staging', which is {state}"):
        check_update_states(("online", TagState.RUNNING), ("staging", state))


def test_modes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(BadInputError, match="both keep ends"):
        RunningMode(allow_closed=True, fix_closed=True)
    for mode in ("allow_closed", "fix_closed"):
        with pytest.raises(BadInputError, match="a simple update"):
            RunningMode(simple=True, **{mode: True})


@st.composite
def stagings(draw: st.DrawFn, first_run: Run) -> list[IovEntry]:
    """A staging tag without gap or overlap, which may begin at (0,0) or later and may have an end."""
    parts: list[tuple[Payload, IntervalOfValidity]] = []
    after = [run for run in EVERY_RUN[:-1] if run >= first_run]
    for name in draw(st.lists(st.sampled_from(NAMES), min_size=1, unique=True)):
        cuts = sorted(draw(st.sets(st.sampled_from(after), min_size=1, max_size=3)))
        begins = [Run(0, 0) if draw(st.booleans()) and cuts[0] >= first_run else cuts[0], *cuts[1:]]
        if begins[0] == Run(0, 0) and len(begins) > 1 and begins[1] == first_run:
            begins[0] = first_run
            begins = sorted(set(begins))
        for begin, following in zip(begins, [*begins[1:], None], strict=True):
            last = EndOfExp(LAST_EXP) if draw(st.booleans()) else OPEN
            end = last if following is None else just_before(following)
            assert end is not None
            parts.append((payload(name, draw(st.integers(1, 3))), IntervalOfValidity(begin, end)))
    return content("staging", parts)


@given(st.data(), contents("online"), st.sampled_from([ALLOW_CLOSED, FULL, FIX_CLOSED]))
def test_the_past_stays_and_the_future_is_what_staging_says(
    data: st.DataObject, running: list[IovEntry], mode: RunningMode
) -> None:
    fixed = [row.iov.first_key if row.iov.is_open else row.iov.final_key for row in running]
    allowed = [run for run in EVERY_RUN[:-1] if run.key > max(fixed, default=-1)]
    first_run = data.draw(st.sampled_from(allowed))
    staging = data.draw(stagings(first_run))
    plan = plan_running(("online", 0, running), ("staging", staging), first_run, mode)
    after = content("online", plan.applied(running))
    opened = [dataclasses.replace(row, iov=with_open_end(row.iov)) for row in staging]
    begins = {name: min(row.iov.first for row in staging if row.payload.name == name) for name in names_of(staging)}
    for run in EVERY_RUN:
        before = winners("online", running, run)
        if run < first_run:
            assert winners("online", after, run) == before
            continue
        prepared = winners("staging", opened if mode.fix_closed else staging, run)
        expected = {name: before[name] for name in before if name not in begins and not mode.full_replacement}
        expected |= {name: before[name] for name in before if name in begins and run < begins[name]}
        expected |= {name: revision for name, revision in prepared.items() if run >= begins[name]}
        assert winners("online", after, run) == expected
    assert not plan.deletes
    assert all(old.iov.is_open and old.iov.first == new.first for old, new in plan.changes)


def with_open_end(iov: IntervalOfValidity) -> IntervalOfValidity:
    return IntervalOfValidity(iov.first, OPEN) if iov.last == EndOfExp(LAST_EXP) else iov


def names_of(entries: list[IovEntry]) -> set[str]:
    return {row.payload.name for row in entries}
