"""Rows that cover a run, found by an index, are those that a look at every row finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conditions.iov import FOREVER_KEY, MAX_NUMBER, IntervalOfValidity, Run
from conditions.server.index import TagIndex, compile_index
from support.tag_rows import Row, tag_rows

NAMES = ("a", "b", "c")


def _keys(first: tuple[int, int], length: tuple[int, int] | None) -> tuple[int, int]:
    """An interval from its first run: for ever, or up to a run or the end of an experiment a little later."""
    begin = Run(*first)
    if length is None:
        return begin.key, FOREVER_KEY
    exps, runs = length
    last = IntervalOfValidity.from_tuple(begin.exp, begin.run, begin.exp + exps, -1 if runs == 9 else begin.run + runs)
    return begin.key, last.final_key


firsts = st.tuples(st.integers(0, 3), st.integers(0, 12))
lengths = st.none() | st.tuples(st.integers(0, 2), st.integers(0, 9))
rows_of_tags = st.lists(
    st.builds(lambda name, revision, first, length: (name, revision, *_keys(first, length)), st.sampled_from(NAMES),
              st.integers(1, 3), firsts, lengths),
    max_size=40,
)  # fmt: skip


def covering(index: TagIndex, run: Run) -> list[int]:
    return sorted(index.covering(index.segment_at(run.key))["id"].tolist())


def expected(rows: list[Row], run: Run) -> list[int]:
    return [number for number, (*_, first, final) in enumerate(rows, 1) if first <= run.key <= final]


@given(rows_of_tags, st.lists(st.tuples(st.integers(0, 6), st.integers(0, 25)), min_size=1, max_size=10))
@settings(deadline=None, max_examples=150)
def test_an_index_finds_the_rows_that_a_look_at_all_finds(rows: list[Row], runs: list[tuple[int, int]]) -> None:
    index = compile_index(tag_rows(rows))
    for run in [*(Run(*each) for each in runs), Run(0, 0), Run(MAX_NUMBER, MAX_NUMBER)]:
        assert covering(index, run) == expected(rows, run)
        holds = index.holds(index.segment_at(run.key))
        assert run in holds
        for place in {holds.first_key, holds.final_key}:  # an open end's place is that of the runs before it
            assert sorted(n for n, (*_, first, final) in enumerate(rows, 1) if first <= place <= final) == expected(
                rows, run
            )


def test_the_last_run_is_inside_and_the_run_after_it_gets_nothing() -> None:
    index = compile_index(tag_rows([("a", 1, Run(1, 1).key, Run(2, 0).key), ("b", 1, Run(5, 0).key, Run(5, 3).key)]))
    assert [covering(index, Run(*run)) for run in ((1, 0), (1, 1), (2, 0), (2, 1), (5, 3), (5, 4))] == [
        [], [1], [1], [], [2], []
    ]  # fmt: skip


def test_an_end_of_an_experiment_reaches_its_largest_run_and_no_further() -> None:
    iov = IntervalOfValidity.parse("45,221,49,-1")
    index = compile_index(tag_rows([("a", 1, iov.first_key, iov.final_key)]))
    assert covering(index, Run(49, MAX_NUMBER)) == [1]
    assert covering(index, Run(50, 0)) == []


def test_a_tag_without_rows_covers_nothing() -> None:
    index = compile_index(tag_rows([]))
    assert covering(index, Run(0, 0)) == []
    assert str(index.holds(index.segment_at(Run(3, 4).key))) == "0,0,-1,-1"


@pytest.mark.parametrize("reach", [1, 7, 300])
def test_marks_take_a_bounded_part_of_the_rows_however_they_overlap(reach: int) -> None:
    rows = [("a", 1 + step % 50, Run(1, 10 * step).key, Run(1, 10 * (step + reach) - 1).key) for step in range(3_000)]
    index = compile_index(tag_rows(rows))
    assert len(index.marks) > 5
    assert len(index.mark_rows) <= 4 * len(rows)
    for run in (Run(1, run) for run in range(0, 33_000, 97)):
        assert covering(index, run) == expected(rows, run)


def test_rows_that_come_one_by_one_and_end_together_are_found() -> None:
    rows = [("a", 1, Run(1, step).key, Run(2, 0).key) for step in range(1_000)]
    rows += [("b", 1, Run(3, 0).key, Run(3, step).key) for step in range(1_000)]
    index = compile_index(tag_rows(rows))
    for run in (Run(1, 0), Run(1, 555), Run(2, 0), Run(2, 1), Run(3, 0), Run(3, 998), Run(3, 999), Run(3, 1000)):
        assert covering(index, run) == expected(rows, run)


def test_numbers_take_the_fewest_bytes_that_hold_them() -> None:
    few = compile_index(tag_rows([("a", 1, 0, FOREVER_KEY)]))
    many = compile_index(tag_rows([("a", 1, 0, FOREVER_KEY)], first_id=2**40))
    assert few.rows.dtype["id"] == np.uint8
    assert many.rows["id"].tolist() == [2**40]
