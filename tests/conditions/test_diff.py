"""The difference of two tags is what jobs would notice, and nothing else."""

from __future__ import annotations

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from conditions.diff import diff_rows
from conditions.digest import tag_digest
from conditions.iov import MAX_NUMBER, IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import IovEntry, resolve
from support.rows import EVERY_RUN, contents, intervals, payload, row, rows

LEFT = rows("old", "a r1 0,0,-1,-1; b r1 0,0,4,-1; c r1 always; d r1 1,0,1,-1")
RIGHT = rows("new", "a r1 0,0,1,5; a r2 1,6,-1,-1; b r1 2,0,2,5; c r1 0,0,3,-1; c r1 4,0,-1,-1; e|x r1 always")


def test_runs_with_other_bytes_are_told_piece_by_piece() -> None:
    diff = diff_rows("old", LEFT, "new", RIGHT)
    said = [(each.name, str(each.iov), each.word) for each in diff.differences]
    assert said == [
        ("a", "1,6,-1,-1", "changed"),
        ("b", "0,0,1,-1", "removed"),
        ("b", "2,6,4,-1", "removed"),
        ("d", "1,0,1,-1", "removed"),
        ("e|x", "0,0,-1,-1", "added"),
    ]
    assert (diff.names, diff.same_names) == (("a", "b", "d", "e|x"), ("c",))
    assert diff.summary() == "4 of 5 payload names differ: 1 added, 3 removed, 1 changed"
    assert not diff.is_empty


def test_the_text_reads_like_a_diff() -> None:
    diff = diff_rows("old", LEFT, "new", RIGHT).only(lambda name: name in "ad")
    a1, a2, d1 = (payload(*which).sha256[:12] for which in (("a", 1), ("a", 2), ("d", 1)))
    assert diff.lines() == [
        "--- old",
        "+++ new",
        f"- a r1 1,6,-1,-1 sha256:{a1}",
        f"+ a r2 1,6,-1,-1 sha256:{a2}",
        f"- d r1 1,0,1,-1 sha256:{d1}",
    ]


def test_the_table_can_be_pasted_into_a_merge_request() -> None:
    diff = diff_rows("old", LEFT, "new", RIGHT).only(lambda name: name.startswith(("a", "e")))
    a1, a2, e1 = (payload(*which).sha256[:12] for which in (("a", 1), ("a", 2), ("e|x", 1)))
    assert diff.markdown() == [
        "**`old` → `new`**: 2 of 2 payload names differ: 1 added, 1 changed",
        "",
        "| payload | runs | old | new |",
        "|---|---|---|---|",
        f"| `a` | 1,6,-1,-1 | r1 `sha256:{a1}` | r2 `sha256:{a2}` |",
        f"| `e\\|x` | 0,0,-1,-1 | — | r1 `sha256:{e1}` |",
    ]


def test_tags_that_give_out_the_same_have_no_difference() -> None:
    other_rows = rows("new", "c r1 0,0,3,-1; c r1 2,0,-1,-1")
    diff = diff_rows("old", rows("old", "c r1 always"), "new", other_rows)
    assert diff.is_empty
    assert diff.lines() == ["--- old", "+++ new"]
    assert diff.markdown() == ["**`old` → `new`**: old and new give out the same; payload names compared: 1"]


def test_bytes_are_compared_and_not_revisions() -> None:
    same = dataclasses.replace(payload("a", 1), revision=7)
    assert diff_rows("old", rows("old", "a r1 always"), "new", [row("new", same, Always)]).is_empty
    known_by_md5 = dataclasses.replace(same, sha256="", size_bytes=-1)
    assert diff_rows("old", rows("old", "a r1 always"), "new", [row("new", known_by_md5, Always)]).is_empty
    other = dataclasses.replace(known_by_md5, md5="0" * 32)
    diff = diff_rows("old", rows("old", "a r1 always"), "new", [row("new", other, Always)])
    assert diff.lines()[-1] == "+ a r7 0,0,-1,-1 md5:000000000000"


Always = IntervalOfValidity.always()


def test_only_some_runs_may_be_compared() -> None:
    diff = diff_rows("old", LEFT, "new", RIGHT, IntervalOfValidity.parse("1,0,2,9"))
    assert [(each.name, str(each.iov)) for each in diff.differences if each.name in "ab"] == [
        ("a", "1,6,2,9"),
        ("b", "1,0,1,-1"),
        ("b", "2,6,2,9"),
    ]


def test_the_last_run_that_a_number_can_name_is_an_end_like_others() -> None:
    limits = IntervalOfValidity(Run(1, 0), Run(1, MAX_NUMBER))
    diff = diff_rows("old", rows("old", "a r1 always"), "new", rows("new", "a r2 0,0,1,5"), limits)
    assert [str(each.iov) for each in diff.differences] == ["1,0,1,5", "1,6,1,-1"]


def bytes_for(tag: str, entries: list[IovEntry], run: Run) -> dict[str, str]:
    return {name: found.payload.sha256 for name, found in resolve([tag], run, entries).items()}


@given(contents("left"), contents("right"), st.none() | intervals())
def test_exactly_the_runs_that_get_other_bytes_are_in_a_difference(
    left: list[IovEntry], right: list[IovEntry], within: IntervalOfValidity | None
) -> None:
    diff = diff_rows("left", left, "right", right, within)
    for run in EVERY_RUN:
        old, new = bytes_for("left", left, run), bytes_for("right", right, run)
        is_inside = within is None or run in within
        expected = {n: (old.get(n), new.get(n)) for n in old | new if is_inside and old.get(n) != new.get(n)}
        found = {each.name: (sha(each.left), sha(each.right)) for each in diff.differences if run in each.iov}
        assert found == expected


@given(contents("left"), contents("right"), st.booleans())
def test_there_is_no_difference_exactly_when_the_digests_are_equal(
    left: list[IovEntry], right: list[IovEntry], is_copy: bool
) -> None:
    if is_copy:  # the same content from other rows: each is there twice, cut at a run
        right = [row("right", each.payload, piece) for each in left for piece in cut(each.iov)]
    assert diff_rows("left", left, "right", right).is_empty == (tag_digest(left) == tag_digest(right))


def cut(iov: IntervalOfValidity) -> list[IntervalOfValidity]:
    middle = IntervalOfValidity(Run(1, 2))
    parts = [*(iov - middle), iov & middle]
    return [part for part in parts if part is not None]


def sha(found: Payload | None) -> str | None:
    return None if found is None else found.sha256
