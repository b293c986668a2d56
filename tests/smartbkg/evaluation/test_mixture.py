"""The natural mixture of event types."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.evaluation.mixture import CROSS_SECTION_NB, natural_weights, shares
from smartbkg.events import EVENT_TYPES, event_type_code


def types(**counts: int) -> np.ndarray:  # type: ignore[type-arg]
    return np.repeat([event_type_code(name) for name in counts], list(counts.values())).astype(np.int8)


def test_every_type_has_a_cross_section() -> None:
    assert set(CROSS_SECTION_NB) == set(EVENT_TYPES)
    assert CROSS_SECTION_NB["mixed"] + CROSS_SECTION_NB["charged"] == pytest.approx(1.11)


def test_weights_make_the_shares_of_the_collider_whatever_the_sample() -> None:
    sample = types(mixed=100, uubar=7, taupair=1000)
    weight = natural_weights(sample)
    assert weight is not None
    assert weight.mean() == pytest.approx(1)
    found = {name: weight[sample == event_type_code(name)].sum() / weight.sum() for name in shares(sample)}
    assert found == pytest.approx(shares(sample))
    assert found["uubar"] / found["taupair"] == pytest.approx(1.61 / 0.919)


@pytest.mark.parametrize("sample", [types(mixed=3), np.array([3, -1], np.int8), np.empty(0, np.int8)])
def test_one_type_and_unknown_types_stay_as_they_are(sample: np.ndarray) -> None:  # type: ignore[type-arg]
    assert natural_weights(sample) is None
