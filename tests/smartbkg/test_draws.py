"""Draws by counter: known answers, independence, and the numbers' distribution."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartbkg.draws import block_seed, event_draw, normal, philox, uniform
from smartbkg.errors import BadEvent, BadSeed


def words(*values: int) -> tuple[np.ndarray, ...]:
    return tuple(np.array([v], dtype=np.uint64) for v in values)


@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [  # the known-answer vectors that come with the Random123 paper's library
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (
            (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
            (0xA4093822, 0x299F31D0),
            (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
        ),
    ],
)
def test_philox_gives_the_published_answers(
    counter: tuple[int, ...], key: tuple[int, int], answer: tuple[int, ...]
) -> None:
    assert tuple(int(w[0]) for w in philox(words(*counter), key)) == answer


def test_a_draw_belongs_to_its_event_whatever_stands_beside_it() -> None:
    together = uniform(7, 0, 12, np.arange(100), stream="filter")
    alone = np.array([uniform(7, 0, 12, event, stream="filter") for event in range(100)])
    assert np.array_equal(together, alone)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"exp": 1},
        {"run": 1},
        {"event": 1},
        {"index": 1},
        {"stream": "b"},
        {"seed": -1},
        {"seed": 2**63},
    ],
)
def test_every_part_of_the_key_changes_the_draw(other: dict[str, object]) -> None:
    first = {"seed": 1, "exp": 0, "run": 0, "event": 0, "index": 0, "stream": "a"}
    assert uniform(**first) != uniform(**{**first, **other})  # type: ignore[arg-type]


def test_uniform_numbers_fill_the_interval_evenly() -> None:
    draws = uniform(3, 0, 0, np.arange(200_000), stream="test")
    counts, _ = np.histogram(draws, bins=50, range=(0, 1))
    chi2 = ((counts - 4000) ** 2 / 4000).sum()
    assert 20 < chi2 < 95  # 49 degrees of freedom; 99.99 % lie inside
    assert draws.min() >= 0
    assert draws.max() < 1


def test_normal_numbers_have_the_moments_of_a_gaussian() -> None:
    draws = normal(3, 0, 0, np.arange(200_000), stream="test")
    moments = [float((draws**k).mean()) for k in (1, 2, 3, 4)]
    assert moments == pytest.approx([0, 1, 0, 3], abs=0.05)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**64 - 1))
def test_any_event_number_and_seed_gives_a_probability(event: int, run: int, seed: int) -> None:
    assert 0 <= uniform(seed, 0, run, event, stream="s") < 1


@pytest.mark.parametrize("event", [-1, 2**32])
def test_an_event_number_that_does_not_fit_is_refused(event: int) -> None:
    with pytest.raises(BadEvent, match="event number"):
        uniform(1, 0, 0, event, stream="s")


def test_a_seed_beyond_64_bits_is_refused() -> None:
    with pytest.raises(BadSeed, match="64 bits"):
        uniform(2**64, 0, 0, 0, stream="s")


def test_block_seeds_differ_by_every_word_and_stay_the_same_for_ever() -> None:
    assert block_seed(1, "mixed", 0) != block_seed(1, "mixed", 1) != block_seed(1, "charged", 1)
    assert block_seed(1, "ab", "c") != block_seed(1, "a", "bc")
    assert block_seed(1, "mixed", 0) == 8090964735647996941


def test_events_of_two_types_with_the_same_numbers_draw_for_themselves() -> None:
    event = np.arange(4000)
    draws = [event_draw(1, 0, 1, event, np.full(len(event), kind), stream="filter") for kind in range(-1, 7)]
    assert np.abs(np.corrcoef(draws)[np.triu_indices(8, 1)]).max() < 5 / np.sqrt(len(event))
    mixed = event_draw(1, 0, 1, event, event % 7, stream="filter")
    assert np.array_equal(mixed[event % 7 == 3], draws[1 + 3][event % 7 == 3])
