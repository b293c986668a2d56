"""Differences of nested values: every path once, with what became of it."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conditions.errors import PayloadUnreadable
from conditions.formats.structure import MAX_ROWS, Difference, differences, plain, section

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def found(left: Any, right: Any) -> dict[str, Difference]:
    rows = {row.path: row for row in differences(left, right)}
    return {path: row for path, row in rows.items() if row.kind != "same"}


def test_each_path_is_told_as_what_became_of_it() -> None:
    left = {"gain": 1.5, "old": [1], "name": "a", "same": {"x": None}, "flag": True}
    right = {"gain": 1.8, "new": {}, "name": 3, "same": {"x": None}, "flag": 1}
    rows = found(left, right)
    assert {path: row.kind for path, row in rows.items()} == {
        ".gain": "changed", ".old": "removed", ".new": "added", ".name": "type", ".flag": "type",
    }  # fmt: skip
    assert rows[".gain"].change["difference"] == pytest.approx(0.3)
    assert rows[".gain"].change["relative"] == pytest.approx(0.2)
    assert rows[".name"].change == {"type": "text → number"}


def test_paths_name_places_in_lists_and_names_that_are_no_words() -> None:
    assert set(found({"a b": [{"x": 1}]}, {"a b": [{"x": 2}, "y"]})) == {'["a b"][0].x', '["a b"][1]'}


def test_an_int_and_the_same_float_are_one_number_and_nan_is_as_nan() -> None:
    assert not found([1, float("nan")], [1.0, float("nan")])
    assert found([float("nan")], [1.0])["[0]"].left == "nan"


def test_a_long_list_of_numbers_is_one_row_with_its_distance() -> None:
    left = [float(n) for n in range(100)]
    (row,) = found({"v": left}, {"v": [*left[:-1], 100.0]}).values()
    assert row.change == {"unlike": 1, "largest": 1.0, "relative_l2": pytest.approx(1 / 573.02, rel=1e-3)}
    (row,) = found(left, [*left, 1.0]).values()
    assert row.change == {"length": 1}


@pytest.mark.parametrize(("left", "right"), [(0, 1), (10**400, 1), (1e308, -1e308), (0.0, float("inf"))], ids=range(4))
def test_numbers_without_a_finite_distance_are_still_rows(left: float, right: float) -> None:
    (row,) = found(left, right).values()
    json.dumps(row.as_dict(), allow_nan=False)


@given(VALUES, VALUES)
def test_values_differ_from_others_exactly_when_some_path_does(left: Any, right: Any) -> None:
    assert not found(left, left)
    rows, back = found(left, right), found(right, left)
    assert rows.keys() == back.keys()
    swapped = {"added": "removed", "removed": "added"}
    assert all(back[path].kind == swapped.get(row.kind, row.kind) for path, row in rows.items())
    for row in rows.values():
        json.dumps(row.as_dict(), allow_nan=False)


def test_a_change_of_one_leaf_of_many_is_the_only_row() -> None:
    draw = random.Random(1)  # noqa: S311
    for _ in range(50):
        left = {f"k{n}": {"values": [draw.random() for _ in range(3)], "text": str(n)} for n in range(20)}
        right = json.loads(json.dumps(left))
        name, place = f"k{draw.randrange(20)}", draw.randrange(3)
        right[name]["values"][place] += 1
        assert set(found(left, right)) == {f".{name}.values[{place}]"}


def test_a_section_counts_what_it_does_not_list() -> None:
    part = section("x", differences({}, {str(n): n for n in range(MAX_ROWS + 5)}))
    assert (len(part.rows), part.more_count, part.is_same) == (MAX_ROWS, 5, False)


def test_nesting_without_end_is_refused() -> None:
    left: list[Any] = []
    left.append(left)
    with pytest.raises(PayloadUnreadable, match="nested"):
        list(differences(left, left))


def test_a_long_text_is_cut_and_says_so() -> None:
    assert str(plain("x" * 10_000)).endswith("… (10000 characters)")
    assert str(plain(list(range(10_000)))).startswith("list of 10000: [0, 1")
