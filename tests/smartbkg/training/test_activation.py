"""Activations by their speed-up: the fit finds the best, and the figures are those of the definitions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from smartbkg.errors import TrainingError
from smartbkg.evaluation import mixture
from smartbkg.evaluation.mixture import CROSS_SECTION_NB
from smartbkg.events import event_type_code
from smartbkg.smartbackground import activation
from smartbkg.training.activation import (
    SCALES,
    TypeSample,
    figures,
    fit_activation,
    shares,
    weighted_auc,
)
from smartbkg.training.metrics import REFERENCE_TIMES, auc, effective_fraction, kept_fraction, speed_up


def sample(
    kind: str = "mixed", n: int = 4000, apart: float = 2.4, retention: float = 0.05, seed: int = 1
) -> TypeSample:
    """Balanced logits of a calibrated network: two normals of variance `apart`."""
    draw = np.random.default_rng(seed)
    passing, failing = (draw.normal(sign * apart / 2, apart**0.5, n) for sign in (1, -1))
    return TypeSample(kind, passing, failing, np.ones(n), retention)


def natural(one: TypeSample, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """p and labels of a sample's events."""
    p = activation(np.concatenate([one.passing, one.failing]), a, b)
    return p, np.arange(len(p)) < len(one.passing)


def test_the_figures_of_one_type_are_those_of_the_definitions() -> None:
    one = sample()
    found = figures([one], 0.5, 1.0)
    p, passed = natural(one, 0.5, 1.0)
    logits = np.concatenate([one.passing, one.failing])
    expected = {
        "speed_up": speed_up(p, passed, one.retention),
        "effective_fraction": effective_fraction(p, passed),
        "kept_fraction": kept_fraction(p, passed, one.retention),
        "auc": auc(logits, passed),
        "retention": one.retention,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value)
        assert found["types"]["mixed"][name] == pytest.approx(value)


def test_no_point_of_a_fine_grid_is_better_than_the_fit() -> None:
    one = sample()
    a, b = fit_activation([one])
    best = figures([one], a, b)["speed_up"]
    grid = [figures([one], x, y)["speed_up"] for x in np.linspace(*SCALES, 25) for y in np.linspace(-4, 8, 49)]
    assert best >= max(grid) - 2e-3
    assert 0.3 < a < 0.7  # the square root of the pass probability is the best
    assert best > 1.5


def test_the_fit_is_for_the_retention_and_the_times() -> None:
    rare, common = (figures([s], *fit_activation([s])) for s in (sample(retention=0.01), sample(retention=0.4)))
    assert rare["speed_up"] > common["speed_up"] > 0.99
    slow = dataclasses.replace(REFERENCE_TIMES, network_ms=60.0)
    assert figures([sample()], *fit_activation([sample()], slow), slow)["speed_up"] < 1.2


def test_a_network_that_tells_nothing_keeps_everything() -> None:
    draw = np.random.default_rng(2)
    none = TypeSample("mixed", draw.normal(size=2000), draw.normal(size=2000), np.ones(2000), 0.05)
    found = figures([none], *fit_activation([none]))
    assert found["speed_up"] == pytest.approx(1.0, abs=0.03)
    assert found["auc"] == pytest.approx(0.5, abs=0.03)


def test_with_few_passing_events_only_the_shift_is_fitted() -> None:
    one = sample(n=60)
    a, b = fit_activation([one])
    assert a == 0.5
    assert figures([one], a, b)["speed_up"] > figures([one], a, b + 1.0)["speed_up"]
    assert SCALES[0] <= fit_activation([sample(n=200)])[0] <= SCALES[1]


def test_types_take_part_by_what_passes_in_them() -> None:
    many, other, few = sample("mixed"), sample("uubar", retention=0.01), sample("taupair", n=5, retention=0.2)
    share = shares([many, other, few])
    passing = {"mixed": 0.05 * CROSS_SECTION_NB["mixed"], "uubar": 0.01 * CROSS_SECTION_NB["uubar"]}
    assert share == pytest.approx({kind: value / sum(passing.values()) for kind, value in passing.items()})
    assert shares([few]) == {"taupair": 1.0}


def test_the_campaigns_speed_up_is_the_harmonic_mean_of_those_of_its_types() -> None:
    samples = [sample("mixed"), sample("ccbar", apart=1.0, retention=0.02, seed=2), sample("taupair", n=4, seed=3)]
    a, b = fit_activation(samples)
    found, share = figures(samples, a, b), shares(samples)
    own = {kind: found["types"][kind] for kind in share}
    assert found["speed_up"] == pytest.approx(1 / sum(u / own[kind]["speed_up"] for kind, u in share.items()))
    assert found["auc"] == pytest.approx(sum(u * own[kind]["auc"] for kind, u in share.items()))
    assert set(found["types"]) == {"mixed", "ccbar", "taupair"}
    assert found["n_validation_passing"] == 8004


def test_one_failing_event_of_weight_three_is_three_events() -> None:
    one = sample(n=300)
    thin = dataclasses.replace(one, failing=one.failing[:100], weight=np.full(100, 3.0))
    thick = dataclasses.replace(one, failing=np.repeat(one.failing[:100], 3), weight=np.ones(300))
    assert fit_activation([thin]) == fit_activation([thick])
    for name in ("speed_up", "auc", "kept_fraction"):
        assert figures([thin], 0.5, 1.0)[name] == pytest.approx(figures([thick], 0.5, 1.0)[name])


def test_the_area_under_the_curve_counts_equal_logits_half() -> None:
    draw = np.random.default_rng(4)
    passing, failing = draw.integers(0, 6, 200) * 0.5, draw.integers(0, 5, 300) * 0.5
    logits, passed = np.concatenate([passing, failing]), np.arange(500) < 200
    assert weighted_auc(passing, failing, np.ones(300)) == pytest.approx(auc(logits, passed))


@pytest.mark.parametrize("empty", ["passing", "failing"])
def test_without_both_kinds_of_events_nothing_is_fitted(empty: str) -> None:
    one = dataclasses.replace(sample(n=10), **{empty: np.empty(0)})
    with pytest.raises(TrainingError, match="no event type has both passing and failing"):
        fit_activation([one])


def test_no_event_gets_more_than_the_largest_weight() -> None:
    one = sample(apart=30.0, retention=0.001)
    a, b = fit_activation([one], max_weight=20.0)
    assert activation(one.failing, a, b, 20.0).min() == pytest.approx(0.05)
    assert figures([one], a, b, max_weight=20.0)["kept_fraction"] > 0.05


def test_types_that_pass_alike_weigh_as_in_the_mixture_of_the_evaluation() -> None:
    kinds = ("mixed", "charged", "uubar")
    there = np.array([event_type_code(kind) for kind in kinds], np.int8)
    assert shares([sample(kind) for kind in kinds]) == pytest.approx(mixture.shares(there))
