"""Operations of a running update that came from outside: only what the past allows, all of it or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conditions.errors import IovNotFound, UpdateRefused
from conditions.iov import OPEN, EndOfExp, IntervalOfValidity, Last, Run, key_of
from conditions.plans.operations import fixed_key, plan_operations
from conditions.plans.plan import Plan
from conditions.plans.running import RunningMode, plan_running
from conditions.resolve import IovEntry
from support.rows import EVERY_RUN, content, contents, intervals, payload, rows, winners

RUNNING = rows("online", "p1 r1 0,1,1,0; p1 r2 1,1,-1,-1; p2 r1 0,1,-1,-1")
P1_CLOSED, P1_OPEN, P2_OPEN = (row.id for row in RUNNING)


def operations(closes: list[tuple[int, Last]], creates: str = "") -> Plan:
    added = [(row.payload, row.iov) for row in rows("new", creates)]
    return plan_operations(("online", 2, RUNNING), closes, added)


def test_open_rows_are_closed_and_later_ones_added() -> None:
    plan = operations([(P1_OPEN, Run(1, 1)), (P2_OPEN, Run(1, 4))], "p1 r3 1,2,1,8; p1 r4 1,9,-1,-1; p2 r2 1,5,-1,-1")
    assert plan.lines() == [
        "CLOSE p1 r2 1,1,-1,-1 -> 1,1,1,1",
        "CREATE p1 r3 1,2,1,8",
        "CREATE p1 r4 1,9,-1,-1",
        "CLOSE p2 r1 0,1,-1,-1 -> 0,1,1,4",
        "CREATE p2 r2 1,5,-1,-1",
    ]
    assert plan.base_revision == 2


def test_a_worked_out_update_is_taken_as_it_is() -> None:
    staging = rows("staging", "p1 r3 0,0,1,8; p1 r4 1,9,1,20; p2 r1 0,0,1,20; p3 r1 0,0,-1,-1")
    mode = RunningMode(full_replacement=True)
    plan = plan_running(("online", 2, RUNNING), ("staging", staging), Run(1, 2), mode)
    closes = [(row.id, iov.last) for row, iov in plan.changes]
    assert plan_operations(("online", 2, RUNNING), closes, plan.creates) == plan


@pytest.mark.parametrize(
    ("number", "last", "fault"),
    [
        (P1_CLOSED, Run(0, 5), "has its end already"),
        (P1_OPEN, OPEN, "is open already"),
        (P2_OPEN, Run(1, 0), "cannot end at 1,0, before what the tag has given out"),
        (P2_OPEN, EndOfExp(0), "cannot end at 0,-1, before what the tag has given out"),
    ],
)
def test_only_open_rows_are_closed_and_not_in_the_past(number: int, last: Last, fault: str) -> None:
    with pytest.raises(UpdateRefused, match=fault):
        operations([(number, last)])


def test_a_row_is_closed_once() -> None:
    with pytest.raises(UpdateRefused, match="is closed twice"):
        operations([(P2_OPEN, Run(1, 5)), (P2_OPEN, Run(1, 6))])


@pytest.mark.parametrize(
    ("creates", "fault"),
    [
        ("p1 r3 1,1,1,1", "p1 r3 1,1,1,1 begins before the end of what the tag has given out"),
        ("new r1 1,0,-1,-1", "new r1 1,0,-1,-1 begins before the end of what the tag has given out"),
        ("p2 r2 1,2,-1,-1", "p2 r2 1,2,-1,-1 overlaps an IoV of the tag; close the open one first"),
        ("new r1 1,2,1,8; new r2 1,8,-1,-1", "new r2 1,8,-1,-1 overlaps another new one"),
    ],
)
def test_what_is_added_comes_later_and_never_overlaps(creates: str, fault: str) -> None:
    with pytest.raises(UpdateRefused, match=fault):
        operations([(P1_OPEN, Run(1, 1))], creates)


def test_where_something_has_ended_is_given_out_too() -> None:
    ended = rows("online", "p1 r1 0,1,2,0; p2 r1 0,1,-1,-1")
    new = [(payload("p3", 1), IntervalOfValidity(Run(1, 5)))]
    with pytest.raises(UpdateRefused, match="p2 r1 0,1,-1,-1, cannot end at 1,5"):
        plan_operations(("online", 2, ended), [(ended[1].id, Run(1, 5))], [])
    with pytest.raises(UpdateRefused, match="p3 r1 1,5,-1,-1 begins before the end"):
        plan_operations(("online", 2, ended), [], new)
    assert plan_operations(("online", 2, ended), [(ended[1].id, Run(2, 0))], []).step_count == 1


def test_a_row_of_another_tag_is_not_found() -> None:
    with pytest.raises(IovNotFound, match="no IoV 987654321 in tag 'online'"):
        operations([(987654321, Run(5, 5))])


def test_all_faults_are_said_at_once() -> None:
    with pytest.raises(UpdateRefused) as caught:
        operations([(P1_CLOSED, Run(0, 5)), (P2_OPEN, Run(0, 5))], "p1 r3 0,0,0,0")
    assert len(caught.value.faults) == 3


def test_nothing_asked_is_nothing_done() -> None:
    assert operations([]).is_empty


ENDS: list[Last] = [*EVERY_RUN, EndOfExp(1), EndOfExp(2), OPEN]


@given(st.data(), contents("online"), st.lists(st.tuples(st.integers(1, 3), intervals()), max_size=3))
def test_no_operation_changes_what_was_given_out(
    data: st.DataObject, running: list[IovEntry], new: list[tuple[int, IntervalOfValidity]]
) -> None:
    chosen = data.draw(st.lists(st.sampled_from(running), unique=True)) if running else []
    closes = [(row.id, last) for row in chosen if key_of(last := data.draw(st.sampled_from(ENDS))) >= row.iov.first_key]
    creates = [(payload("p1", revision), iov) for revision, iov in new]
    try:
        plan = plan_operations(("online", 0, running), closes, creates)
    except UpdateRefused:
        return
    after = content("online", plan.applied(running))
    for run in EVERY_RUN:
        if run.key <= fixed_key(running):
            assert winners("online", after, run) == winners("online", running, run)
