"""Intervals against a brute-force model: sets of runs on a small grid, by the definition of -1."""

from __future__ import annotations

import doctest
import time
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conditions import iov as iov_module
from conditions.errors import BadInterval, BadRun
from conditions.iov import (
    FOREVER_KEY,
    MAX_NUMBER,
    OPEN,
    EndOfExp,
    IntervalOfValidity,
    IovSet,
    Run,
    find_overlaps,
    just_before,
)

SIDE = 3  # intervals begin and end inside 0..SIDE; the grid goes on further, where only open ends reach
GRID = [Run(exp, run) for exp, run in product(range(SIDE + 3), repeat=2)]
Numbers = tuple[int, int, int, int]


def iov(*numbers: int) -> IntervalOfValidity:
    return IntervalOfValidity.from_tuple(*numbers)


def model(numbers: Numbers) -> set[Run]:
    """The runs of the grid that an interval holds, from the four numbers and nothing else."""
    first_exp, first_run, final_exp, final_run = numbers
    end_exp = 10**9 if final_exp == -1 else final_exp
    end_run = 10**9 if final_run == -1 else final_run
    return {r for r in GRID if (first_exp, first_run) <= (r.exp, r.run) <= (end_exp, end_run)}


def members(intervals: IntervalOfValidity | IovSet) -> set[Run]:
    return {run for run in GRID if intervals.contains(run)}


small = st.integers(0, SIDE)
ends = st.one_of(st.tuples(small, small), st.tuples(small, st.just(-1)), st.just((-1, -1)))
all_numbers = st.tuples(st.tuples(small, small), ends).map(lambda pair: (*pair[0], *pair[1]))
intervals = all_numbers.filter(lambda n: bool(model(n)))
interval_lists = st.lists(intervals, max_size=5)


@given(intervals)
def test_an_interval_holds_what_its_numbers_say(numbers: Numbers) -> None:
    assert members(iov(*numbers)) == model(numbers)


@given(all_numbers.filter(lambda n: not model(n)))
def test_first_after_last_is_refused(numbers: Numbers) -> None:
    with pytest.raises(BadInterval, match="first run comes after its last"):
        iov(*numbers)


@given(intervals, intervals)
def test_intersection_is_that_of_the_sets(a: Numbers, b: Numbers) -> None:
    common = iov(*a) & iov(*b)
    assert (set() if common is None else members(common)) == model(a) & model(b)
    assert iov(*a).overlaps(iov(*b)) == bool(model(a) & model(b))


@given(intervals, intervals)
def test_difference_is_that_of_the_sets(a: Numbers, b: Numbers) -> None:
    pieces = iov(*a) - iov(*b)
    assert set().union(*map(members, pieces)) == model(a) - model(b)
    assert sum(len(members(piece)) for piece in pieces) == len(model(a) - model(b))


@given(intervals, intervals)
def test_union_is_that_of_the_sets(a: Numbers, b: Numbers) -> None:
    assert set().union(*map(members, iov(*a) | iov(*b))) == model(a) | model(b)


@given(interval_lists, interval_lists)
def test_algebra_of_sets_is_that_of_the_model(a: list[Numbers], b: list[Numbers]) -> None:
    left, right = IovSet(iov(*n) for n in a), IovSet(iov(*n) for n in b)
    in_left, in_right = set().union(*map(model, a)), set().union(*map(model, b))
    assert members(left | right) == in_left | in_right
    assert members(left & right) == in_left & in_right
    assert members(left - right) == in_left - in_right


def test_sets_of_many_pieces_are_taken_from_each_other_in_one_walk() -> None:
    n = 20_000  # every hole looked at for every piece would take minutes
    combs = [
        IovSet(IntervalOfValidity(Run(1, 10 * i + at), Run(1, 10 * i + at + 3)) for i in range(n)) for at in (0, 2)
    ]
    left, right = combs
    assert len(left - right) == len(left & right) == n
    assert (left - right) | (left & right) == left


@given(interval_lists, interval_lists)
def test_sets_are_equal_when_they_hold_the_same_runs(a: list[Numbers], b: list[Numbers]) -> None:
    left, right = IovSet(iov(*n) for n in a), IovSet(iov(*n) for n in b)
    assert (left == right) == (members(left) == members(right))
    assert left == IovSet(reversed(left.pieces)) == (left | left) == (left & left)
    assert hash(left) == hash(IovSet(reversed(left.pieces)))
    assert not left - left


@given(interval_lists)
def test_gaps_are_what_is_missing_between(a: list[Numbers]) -> None:
    there = IovSet(iov(*n) for n in a)
    inside = set().union(*map(model, a))
    between = {run for run in GRID if inside and min(inside) < run < max(inside)} - inside
    assert members(there.gaps()) == between


@given(interval_lists)
def test_overlaps_are_the_runs_held_twice(a: list[Numbers]) -> None:
    twice = {run for run in GRID if sum(run in model(n) for n in a) >= 2}
    assert members(find_overlaps(iov(*n) for n in a)) == twice


@given(intervals)
def test_every_written_form_is_read_back(numbers: Numbers) -> None:
    interval = iov(*numbers)
    assert interval.to_tuple() == numbers
    a, b, c, d = numbers
    for text in (str(interval), f"{a},{b}-{c},{d}", f" ({a}, {b}, {c}, {d}) ", f"{a}:{b} - {c}:{d}"):
        assert IntervalOfValidity.parse(text) == interval
    assert IntervalOfValidity.from_keys(interval.first_key, interval.final_key) == interval


@pytest.mark.parametrize(
    ("numbers", "inside", "outside"),
    [
        ((45, 221, 49, -1), [(45, 221), (49, 0), (49, MAX_NUMBER)], [(45, 220), (50, 0)]),
        ((1, 1, 2, 0), [(1, 1), (2, 0)], [(1, 0), (2, 1)]),
        ((0, 1, 0, 1), [(0, 1)], [(0, 0), (0, 2), (1, 1)]),
        ((0, 0, -1, -1), [(0, 0), (MAX_NUMBER, MAX_NUMBER)], []),
    ],
)
def test_first_and_last_run_are_inside(
    numbers: Numbers, inside: list[tuple[int, int]], outside: list[tuple[int, int]]
) -> None:
    assert all(Run(*pair) in iov(*numbers) for pair in inside)
    assert not any(Run(*pair) in iov(*numbers) for pair in outside)


def test_examples_of_the_algebra() -> None:
    assert iov(0, 0, 10, -1) - iov(5, 0, 5, -1) == (iov(0, 0, 4, -1), iov(6, 0, 10, -1))
    assert iov(1, 0, 2, 5) & iov(2, 0, 2, -1) == iov(2, 0, 2, 5)
    assert iov(1, 0, 1, 4) | iov(1, 5, 2, 0) == (iov(1, 0, 2, 0),)
    assert iov(1, 0, 1, -1) | iov(2, 0, 2, -1) == (iov(1, 0, 2, -1),)
    assert iov(1, 0, 1, 4) | iov(1, 6, 2, 0) == (iov(1, 0, 1, 4), iov(1, 6, 2, 0))


def test_the_run_just_before_an_experiment_is_the_open_end_of_the_one_before() -> None:
    assert just_before(Run(5, 0)) == EndOfExp(4)
    assert just_before(Run(5, 7)) == Run(5, 6)
    assert just_before(Run(0, 0)) is None


def test_a_difference_at_the_largest_numbers_names_only_runs_that_exist() -> None:
    everything = IntervalOfValidity.always()
    assert everything - iov(0, 0, MAX_NUMBER, -1) == ()
    assert iov(0, 0, 3, -1) - iov(0, 0, 3, MAX_NUMBER) == ()
    assert everything.final_key == FOREVER_KEY


def test_open_ends_differ() -> None:
    assert iov(1, 0, -1, -1).is_open
    assert not iov(1, 0, 1, -1).is_open
    assert iov(1, 0, -1, -1).last is OPEN
    assert iov(1, 0, 1, -1).last == EndOfExp(1)
    assert repr(OPEN) == "OPEN"


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ((0, 0, -1, 5), "write -1,-1 for ever"),
        ((-1, 0, 1, 1), "cannot be negative"),
        ((0, -1, 1, 1), "cannot be negative"),
        ((0, 0, -2, -1), "only negative number"),
        ((0, 0, 1, -7), "only negative number"),
        ((1, 1, 1, 0), "first run comes after its last"),
        ((0, 0, MAX_NUMBER + 1, 0), f"end at {MAX_NUMBER}"),
        ((0, 0, 1.0, 0), "ints"),
        ((True, 0, 1, 0), "ints"),
    ],
)
def test_refused_numbers_are_named_with_the_reason(numbers: Numbers, message: str) -> None:
    with pytest.raises(BadInterval, match=message) as caught:
        iov(*numbers)
    assert ",".join(map(str, numbers)) in str(caught.value).replace(" ", "")


@pytest.mark.parametrize(
    "text", ["", "1,2", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1,2,3,4 x", "0,0 -1,-1", "१,0,1,1", "1" * 30 + ",0,1,1"]
)
def test_other_text_is_refused_with_the_form_expected(text: str) -> None:
    with pytest.raises(BadInterval, match="FIRST_EXP,FIRST_RUN,LAST_EXP,LAST_RUN"):
        IntervalOfValidity.parse(text)


@pytest.mark.parametrize("text", [f"{' ' * 50_000}x", f"1,2,3,4{' ' * 50_000}x", f"1,2{' ' * 50_000}x"])
def test_long_nonsense_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    with pytest.raises(BadInterval):
        IntervalOfValidity.parse(text)
    assert time.process_time() - began < 1  # looking at each blank for each blank would take ten seconds


def test_always_is_a_text_form() -> None:
    assert IntervalOfValidity.parse(" Always ") == IntervalOfValidity.always() == iov(0, 0, -1, -1)


@pytest.mark.parametrize("given_run", [(-1, 0), (0, -1), (0, MAX_NUMBER + 1), (0.0, 1), ("0", 1), (True, 1)])
def test_runs_that_cannot_be_are_refused(given_run: tuple[int, int]) -> None:
    with pytest.raises(BadRun):
        Run(*given_run)


def test_runs_are_ordered_by_experiment_then_run() -> None:
    assert sorted([Run(1, 0), Run(0, 9), Run(0, 1)]) == [Run(0, 1), Run(0, 9), Run(1, 0)]


@pytest.mark.parametrize("text", ["7:120", "7,120", " 7 : 120 "])
def test_runs_are_read_from_text(text: str) -> None:
    assert Run.parse(text) == Run(7, 120)
    assert str(Run.parse(text)) == "7:120"


@pytest.mark.parametrize("text", ["", "7", "7:-1", "7:1:2", "x:1"])
def test_other_text_is_no_run(text: str) -> None:
    with pytest.raises(BadRun, match="EXP,RUN"):
        Run.parse(text)


def test_integers_of_arrays_make_runs() -> None:
    run = Run(np.int32(7), np.int64(120))
    assert run == Run(7, 120)
    assert type(run.exp) is int


def test_examples_in_the_docstrings_hold() -> None:
    result = doctest.testmod(iov_module)
    assert result.attempted >= 4
    assert result.failed == 0
