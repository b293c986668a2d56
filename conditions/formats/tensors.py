"""How far two arrays of numbers are apart, in float64 and in pieces, so that memory stays bounded."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

PIECE_NUMBERS: Final = 1 << 20


@dataclass
class Distance:
    """Sums over the pieces of two tensors; numbers that are not finite are counted, and left out of the sums."""

    norm: float = 0.0  # of the left numbers
    apart: float = 0.0  # norm of the differences
    largest: float = 0.0
    compared: int = 0  # numbers that are finite on both sides
    unlike: int = 0
    left_not_finite: int = 0
    right_not_finite: int = 0

    def add(self, left: NDArray[Any], right: NDArray[Any]) -> None:
        """Take in one piece of both."""
        bad_left, bad_right = ~np.isfinite(left), ~np.isfinite(right)
        both_nan = np.isnan(left) & np.isnan(right)
        unlike = (left != right) & ~both_nan
        self.left_not_finite += int(bad_left.sum())
        self.right_not_finite += int(bad_right.sum())
        self.unlike += int(unlike.sum())
        with np.errstate(all="ignore"):
            wide = np.complex128 if np.iscomplexobj(left) or np.iscomplexobj(right) else np.float64
            usable = ~(bad_left | bad_right)
            one, two = left[usable].astype(wide), right[usable].astype(wide)
            away = np.abs(two - one)
            self.compared += away.size
            # A number of 1e200 has a square that is none.
            self.norm = math.hypot(self.norm, float(np.linalg.norm(one)))
            self.apart = math.hypot(self.apart, float(np.linalg.norm(away)))
            if away.size:
                self.largest = max(self.largest, float(away.max()))

    @property
    def is_same(self) -> bool:
        """Whether every number is the same, NaN as NaN."""
        return not self.unlike

    def as_change(self) -> dict[str, Any]:
        """What a report says of the two."""
        change: dict[str, Any] = {}
        if self.norm and math.isfinite(self.apart / self.norm):
            change["relative_l2"] = self.apart / self.norm
        elif self.compared and math.isfinite(self.apart):
            change["l2"] = self.apart  # the left ones are all 0: relative to nothing
        if self.compared:
            change["largest"] = self.largest
        change["unlike"] = self.unlike
        if self.left_not_finite or self.right_not_finite:
            change["not_finite"] = [self.left_not_finite, self.right_not_finite]
        return {name: value for name, value in change.items() if not isinstance(value, float) or math.isfinite(value)}


def distance(pieces: Iterable[tuple[NDArray[Any], NDArray[Any]]]) -> Distance:
    """How far two tensors are apart, from pieces of both in the same order."""
    found = Distance()
    for left, right in pieces:
        found.add(left, right)
    return found


def flat_pieces(left: NDArray[Any], right: NDArray[Any]) -> Iterable[tuple[NDArray[Any], NDArray[Any]]]:
    """Pieces of two numpy arrays of one shape."""
    one, two = left.reshape(-1), right.reshape(-1)
    for first in range(0, one.size, PIECE_NUMBERS):
        yield one[first : first + PIECE_NUMBERS], two[first : first + PIECE_NUMBERS]


def shown(dtype: str, shape: Iterable[int]) -> str:
    """A tensor in words: `float32 (64, 32)`."""
    sizes = tuple(shape)
    return f"{dtype} ({', '.join(map(str, sizes))})"
