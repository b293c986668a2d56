from __future__ import annotations

import operator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartbkg.errors import FrameworkError
from smartbkg.framework import AfterConditionPath, create_path
from smartbkg.framework.condition import Condition

MEANING = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}


def condition(expression: str) -> Condition:
    return Condition(expression, create_path(), AfterConditionPath.END)


@given(st.sampled_from(sorted(MEANING)), st.integers(-5, 5), st.lists(st.integers(-6, 6), max_size=8))
def test_every_comparison_means_what_it_says(sign: str, bound: int, values: list[int]) -> None:
    for expression in (f"{sign}{bound}", f"  {sign}  {bound} "):
        held = condition(expression).holds(np.array(values, dtype=np.int64)).tolist()
        assert held == [MEANING[sign](value, bound) for value in values]


@pytest.mark.parametrize("expression", ["", "1", "=>1", "<", "<1.5", "< x", "<1 and >0", "<<1", "<1\n>2"])
def test_an_expression_that_cannot_be_read_is_refused(expression: Any) -> None:
    with pytest.raises(FrameworkError, match="cannot read the condition"):
        condition(expression)
