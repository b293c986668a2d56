"""Gaps between intervals of a name, and runs that two of them hold."""

from __future__ import annotations

from hypothesis import given

from conditions.iov import Run
from conditions.plans.check import PayloadFault, TagCheck, find_gaps, find_name_overlaps
from conditions.resolve import IovEntry
from support.rows import EVERY_RUN, contents, rows, winners


def test_gaps_lie_between_intervals_of_one_name() -> None:
    entries = rows("t", "a r1 0,5,1,-1; a r2 3,0,3,5; a r1 3,6,4,0; b r1 1,0,1,-1; b r2 2,0,2,-1")
    assert [str(gap) for gap in find_gaps(entries)] == ["a 2,0,2,-1: nothing is valid there"]


def test_overlaps_say_who_wins() -> None:
    entries = rows("t", "a r1 0,0,5,-1; a r3 1,0,1,-1; a r2 1,5,3,0; a r1 6,0,-1,-1; b r1 always")
    assert [str(overlap) for overlap in find_name_overlaps(entries)] == [
        "a 1,0,1,-1: two or more are valid there, r3 wins",
        "a 2,0,3,0: two or more are valid there, r2 wins",
    ]


def test_the_same_revision_twice_is_a_duplicate() -> None:
    entries = rows("t", "a r1 0,0,5,-1; a r1 4,0,9,-1; a r2 5,0,5,-1; b r1 0,0,1,-1; b r1 2,0,-1,-1")
    assert [str(overlap) for overlap in find_name_overlaps(entries)] == [
        "a 4,0,4,-1: r1 is there twice or more, a duplicate",
        "a 5,0,5,-1: two or more are valid there, r2 wins",
    ]


def test_a_tag_is_sound_when_nothing_was_found() -> None:
    assert TagCheck("t", 1, 2, 2).ok
    assert not TagCheck("t", 1, 2, 2, faults=(PayloadFault("a", 1, "has lost its file"),)).ok


@given(contents("t"))
def test_every_run_that_is_held_twice_is_in_one_overlap_with_its_winner(entries: list[IovEntry]) -> None:
    overlaps = list(find_name_overlaps(entries))
    gaps = list(find_gaps(entries))
    for run in EVERY_RUN:
        won = winners("t", entries, run)
        for name in {row.payload.name for row in entries}:
            of_name = [row.iov for row in entries if row.payload.name == name]
            found = [each for each in overlaps if each.name == name and run in each.iov]
            assert len(found) == (sum(run in iov for iov in of_name) > 1)
            assert all(each.winner.revision == won[name] for each in found)
            revisions = {row.payload.revision for row in entries if row.payload.name == name and run in row.iov}
            assert all(each.is_duplicate == (len(revisions) == 1) for each in found)
            assert any(gap.name == name and run in gap.iov for gap in gaps) == is_between(run, entries, name)


def is_between(run: Run, entries: list[IovEntry], name: str) -> bool:
    of_name = [row.iov for row in entries if row.payload.name == name]
    begins = any(iov.final_key < run.key for iov in of_name)
    ends = any(iov.first_key > run.key for iov in of_name)
    return begins and ends and not any(run in iov for iov in of_name)
