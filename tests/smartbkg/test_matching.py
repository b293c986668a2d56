"""Events are found by (exp, run, event), in any order of files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartbkg.errors import EventDataError, EventTwice
from smartbkg.matching import EventIndex, EventKeys, join_keys

NAMES = st.tuples(st.integers(0, 3), st.integers(0, 3), st.sampled_from([0, 1, 2, 7, 2**32 - 1, 2**40]))


def keys_of(names: list[tuple[int, int, int]]) -> EventKeys:
    table = np.array(names, dtype=np.int64).reshape(-1, 3)
    return table[:, 0].astype(np.int32), table[:, 1].astype(np.int32), table[:, 2]


@given(st.lists(NAMES, unique=True), st.lists(NAMES))
def test_rows_are_those_of_a_dictionary(known: list[tuple[int, int, int]], asked: list[tuple[int, int, int]]) -> None:
    rows = {name: row for row, name in enumerate(known)}
    found = EventIndex(keys_of(known)).rows_of(keys_of(asked))
    assert found.tolist() == [rows.get(name, -1) for name in asked]


def test_the_same_event_number_in_two_runs_is_two_events() -> None:
    index = EventIndex(keys_of([(0, 1, 5), (0, 2, 5), (1, 1, 5)]))
    assert index.rows_of(keys_of([(0, 2, 5), (1, 2, 5)])).tolist() == [1, -1]


def test_an_event_that_is_there_twice_is_named() -> None:
    with pytest.raises(EventTwice, match=r"1 events are labelled more than once, the first is event 9 of run 3,4"):
        EventIndex(keys_of([(3, 4, 9), (3, 4, 8), (3, 4, 9)]), "labelled")


def test_event_numbers_too_far_apart_are_refused() -> None:
    with pytest.raises(EventDataError, match="cannot be matched"):
        EventIndex(keys_of([(0, 0, -(2**62)), (0, 1, 2**62)]))


def test_keys_of_batches_follow_one_another() -> None:
    joined = join_keys([keys_of([(0, 1, 5)]), keys_of([(0, 1, 6), (0, 2, 5)])])
    assert [column.tolist() for column in joined] == [[0, 0, 0], [1, 1, 2], [5, 6, 5]]
