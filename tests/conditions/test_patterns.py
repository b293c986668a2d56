"""Expressions of strangers mean what they mean to `re`, and are never searched for long."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conditions.errors import BadInputError
from conditions.patterns import MAX_CHARACTERS, name_test

atoms = st.sampled_from(
    ["a", "b", ".", "[ab]", "[^a]", "[a-c.]", r"\w", r"\.", "(a|b)", "(ab)", "(?:a|ab|)", "(a*b)", ""]
)
repeats = st.sampled_from(["", "*", "+", "?", "{2}", "{1,3}", "{2,}", "*?"])
pieces = st.builds(lambda atom, repeat: atom + (repeat if atom else ""), atoms, repeats)
sequences = st.lists(pieces, max_size=4).map("".join)
expressions = st.lists(sequences, min_size=1, max_size=2).map("|".join)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(expressions, st.lists(st.text("ab.", max_size=6), max_size=5))
def test_an_expression_matches_what_it_matches_elsewhere(expression: str, names: list[str]) -> None:
    fits = name_test(regex=expression)
    assert [fits(name) for name in names] == [re.fullmatch(expression, name) is not None for name in names]


@pytest.mark.parametrize("expression", ["(a|a)*b", "(a*)*b", "(a?){60}a{60}b", ".*.*.*.*.*.*.*.*x", "(a|a|ab)*c"])
def test_expressions_that_take_years_elsewhere_end_at_once(expression: str) -> None:
    assert not name_test(regex=expression)("a" * 200)


@pytest.mark.parametrize(
    "expression",
    [
        "(", ")", "[", "[b-a]", "*", "a{3,2}", r"(a)\1", "(?=a)", "(?<!a)b", "\\", r"\q",
        "((a{50}){50}){50}", "a{1000}{1000}", "\ud800", "a" * (MAX_CHARACTERS + 1),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_in_linear_time_is_refused(expression: str) -> None:
    with pytest.raises(BadInputError):
        name_test(regex=expression)


def test_a_glob_and_an_expression_must_both_fit() -> None:
    fits = name_test("user_*", "user_[a-c]+")
    assert [fits(name) for name in ("user_a", "user_d", "temp_a")] == [True, False, False]
    assert name_test(glob="a[b]*")("a[b]c")


def test_nothing_given_fits_all() -> None:
    anything: Any = name_test()
    assert anything("")
