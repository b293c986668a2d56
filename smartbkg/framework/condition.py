"""Conditions on a module's return value: where an event goes next.

Letters: `B` events.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import FrameworkError

if TYPE_CHECKING:
    from smartbkg.framework.path import Path


class AfterConditionPath(Enum):
    """What happens to an event after the path of a condition."""

    END = "end"  # the event is done, also for the paths around
    CONTINUE = "continue"  # it goes on behind the module that sent it away


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "<=": operator.le,
    ">=": operator.ge,
}
_EXPRESSION = re.compile(r"\s*([=!<>]=|[=<>])\s*([-+]?\d+)\s*")


@dataclass(frozen=True)
class Condition:
    """An expression such as `<1`, the path of the events for which it holds, and what comes after."""

    expression: str
    path: Path
    after: AfterConditionPath

    def __post_init__(self) -> None:
        _parse(self.expression)

    def holds(self, values: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(B,) True where the condition holds for these return values (B,)."""
        compare, bound = _parse(self.expression)
        return np.asarray(compare(values, bound), dtype=bool)

    def __str__(self) -> str:
        return f"if {self.expression}, then {self.after.value}"


def _parse(expression: str) -> tuple[Callable[[Any, Any], Any], int]:
    match = _EXPRESSION.fullmatch(expression)
    if match is None:
        known = " ".join(COMPARISONS)
        raise FrameworkError(f"cannot read the condition {expression!r}: want one of {known} and an integer, as '<1'")
    return COMPARISONS[match[1]], int(match[2])
