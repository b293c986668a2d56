"""Cells say what Python says."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conditions.server import cells

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STYLES: list[tuple[cells.MomentStyle, Literal["auto", "milliseconds", "microseconds"]]] = [
    (cells.MomentStyle(6, True), "auto"),
    (cells.MomentStyle(6, False), "microseconds"),
    (cells.MomentStyle(3, False), "milliseconds"),
]


def _texts(array: np.ndarray) -> list[bytes]:  # type: ignore[type-arg]
    return [each.tobytes() for each in array]


@given(
    values=st.lists(
        st.integers(0, 2**62) | st.sampled_from([0, 9, 10, 9_999, 10_000, 99_999_999, 100_000_000]), min_size=1
    )
)
@pytest.mark.parametrize("fill", [b" ", b"\0"])
def test_numbers_are_digits_at_the_right(values: list[int], fill: bytes) -> None:
    pieces = cells.pieces_for(max(values))
    made = cells.numbers(np.array(values), pieces, fill)
    assert _texts(made) == [str(value).encode().rjust(4 * pieces, fill) for value in values]


@given(
    values=st.lists(
        st.integers(-(10**15), 4 * 10**15).map(lambda us: us // 1000 * 1000) | st.integers(0, 4 * 10**15), min_size=1
    )
)
@pytest.mark.parametrize(("style", "timespec"), STYLES)
def test_times_are_those_that_python_writes(
    values: list[int], style: cells.MomentStyle, timespec: Literal["auto", "milliseconds", "microseconds"]
) -> None:
    made = _texts(cells.moments(np.array(values), style, b'"', b" "))
    written = [(EPOCH + timedelta(microseconds=value)).isoformat(timespec=timespec) for value in values]
    assert [text.rstrip() for text in made] == [text.encode() + b'"' for text in written]


def test_a_whole_second_has_no_fraction_in_the_short_style() -> None:
    made = cells.moments(np.array([0]), cells.MomentStyle(6, True), b'"', b" ")
    assert _texts(made) == [b'1970-01-01T00:00:00+00:00"       ']


def test_digests_are_two_digits_a_byte() -> None:
    digests = np.frombuffer(bytes(range(32)), dtype="V16")
    made = cells.hexadecimals(digests)
    assert _texts(made) == [bytes(range(16)).hex().encode(), bytes(range(16, 32)).hex().encode()]
