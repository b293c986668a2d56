"""The interval tree, against looking at every interval."""

from __future__ import annotations

import doctest

from hypothesis import given
from hypothesis import strategies as st

from conditions.iov import FOREVER_KEY, MAX_NUMBER, Run
from conditions.store import lookup
from conditions.store.lookup import LEVELS, fork_of, path_to

keys = st.one_of(st.integers(0, 64), st.integers(0, FOREVER_KEY - 1), st.just(Run(MAX_NUMBER, MAX_NUMBER).key))


@given(keys, keys, keys)
def test_an_interval_is_met_on_the_path_exactly_when_it_covers_the_run(a: int, b: int, key: int) -> None:
    first_key, final_key = min(a, b), max(a, b)
    node = fork_of(first_key, final_key)
    left, right = path_to(key)
    met = (node in left and final_key >= key) or (node in right and first_key <= key)
    assert met == (first_key <= key <= final_key)


@given(keys, keys)
def test_an_interval_is_kept_inside_itself_at_its_topmost_node(a: int, b: int) -> None:
    first, final = min(a, b) + 1, max(a, b) + 1
    node = fork_of(first - 1, final - 1)
    assert first <= node <= final
    above = 2 * (node & -node)  # no number in the interval can be divided by two once more
    assert final // above * above < first


@given(keys)
def test_a_path_is_short_and_names_each_node_once(key: int) -> None:
    left, right = path_to(key)
    assert len({*left, *right}) == len(left) + len(right) <= LEVELS + 1


@given(keys)
def test_intervals_without_an_end_are_kept_at_the_root(key: int) -> None:
    assert fork_of(key, FOREVER_KEY) == 2**LEVELS
    assert 2**LEVELS in path_to(key)[1]


def test_examples_in_the_docstrings_hold() -> None:
    result = doctest.testmod(lookup)
    assert (result.attempted, result.failed) == (2, 0)
