"""Cuts as data: a variable between two limits."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import UnknownName


@dataclass(frozen=True)
class Cut:
    """`low <= variable <= high`."""

    variable: str
    low: float = -math.inf
    high: float = math.inf

    def __post_init__(self) -> None:
        if not self.low <= self.high:
            raise ValueError(f"the cut on {self.variable} keeps nothing: {self.low} to {self.high}")


def passes(cuts: Iterable[Cut], variables: Mapping[str, NDArray[Any]], size: int) -> NDArray[np.bool_]:
    """(size,) True where all cuts hold.

    Raises:
        UnknownName: a cut on a variable that is not there.
    """
    passed = np.ones(size, dtype=bool)
    for cut in cuts:
        if cut.variable not in variables:
            raise UnknownName("variable", cut.variable, variables)
        value = variables[cut.variable]
        passed &= (value >= cut.low) & (value <= cut.high)
    return passed
