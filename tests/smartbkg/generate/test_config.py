"""Settings of a job: what is refused, and which blocks hold which events."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartbkg.errors import BadSeed, GenerationError, UnknownName
from smartbkg.generate.config import BLOCK_EVENTS, GenerateConfig


def test_an_unknown_type_names_the_near_one() -> None:
    with pytest.raises(UnknownName, match="near: mixed"):
        GenerateConfig("mixd", 1, 1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_events": -3}, "n_events must be 0 to .* found -3"),
        ({"first_event": 0}, "first_event must be 1"),
        ({"exp": -1}, "exp must be 0"),
        ({"run": 1 << 31}, "run must be 0"),
        ({"first_event": (1 << 31) - 5, "n_events": 10}, "do not fit"),
        ({"seed": 1 << 64}, "64 bits"),
    ],
)
def test_numbers_out_of_range_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises((BadSeed, GenerationError), match=message):
        GenerateConfig(**{"event_type": "mixed", "n_events": 1, "seed": 1, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("decays", "belle"), ("tau_decays", "slow")])
def test_unknown_modes_are_refused(name: str, value: str) -> None:
    with pytest.raises(UnknownName, match=value):
        GenerateConfig("mixed", 1, 1, **{name: value})  # type: ignore[arg-type]


@given(st.integers(1, 5000), st.integers(0, 5000))
def test_blocks_hold_exactly_the_events_of_the_job(first: int, n: int) -> None:
    config = GenerateConfig("mixed", n, 1, first_event=first)
    numbers = [
        number * BLOCK_EVENTS + 1 + row for number in config.blocks for row in range(BLOCK_EVENTS)[config.rows(number)]
    ]
    assert numbers == list(range(first, first + n))
