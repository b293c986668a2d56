"""A plan is the shortest way to what is wanted, in words that people read."""

from __future__ import annotations

from hypothesis import given

from conditions.plans.plan import Plan, plan_for
from conditions.resolve import IovEntry
from support.rows import contents, rows, said

ROWS = rows("t", "a r1 0,0,1,5; a r2 2,0,-1,-1; b r1 1,0,1,-1; c r1 always")


def test_the_lines_are_in_order_of_name_and_run() -> None:
    later = rows("t", "a r1 0,0,1,2; a r2 1,3,-1,-1; b r1 1,0,-1,-1; d r1 always")
    origins = [ROWS[0].id, ROWS[1].id, ROWS[2].id, None]
    plan = plan_for("t", 3, ROWS, [(row.payload, row.iov, origin) for row, origin in zip(later, origins, strict=True)])
    assert plan.lines() == [
        "CLOSE a r1 0,0,1,5 -> 0,0,1,2",
        "MOVE a r2 2,0,-1,-1 -> 1,3,-1,-1",
        "EXTEND b r1 1,0,1,-1 -> 1,0,-1,-1",
        "DELETE c r1 0,0,-1,-1",
        "CREATE d r1 0,0,-1,-1",
    ]
    assert plan.summary() == "t: 1 to create, 3 to change, 1 to delete"
    assert (plan.step_count, plan.base_revision) == (5, 3)


def test_a_plan_of_nothing_is_empty() -> None:
    plan = plan_for("t", 3, ROWS, [(row.payload, row.iov, row.id) for row in ROWS])
    assert plan == Plan("t", 3)
    assert plan.is_empty
    assert plan.lines() == []
    assert plan.summary() == "t: nothing to change"


@given(contents("t"), contents("wanted"))
def test_a_plan_gives_what_is_wanted_and_never_makes_a_row_that_is_there(
    there: list[IovEntry], wanted: list[IovEntry]
) -> None:
    origins = [row.id for row in there] + [None] * len(wanted)
    plan = plan_for("t", 0, there, [(row.payload, row.iov, origins[i]) for i, row in enumerate(wanted)])
    after = list(plan.applied(there))
    assert sorted(said(after)) == sorted(said((row.payload, row.iov) for row in wanted))
    places = {(row.payload, row.iov) for row in there}
    assert all(place not in places for place in plan.creates)
    assert all((row.payload, iov) not in places for row, iov in plan.changes)
