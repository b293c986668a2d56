from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartbkg.decision import MultiSkimPolicy, SamplingPolicy, ThresholdPolicy, check_scores
from smartbkg.draws import uniform
from smartbkg.errors import BadScore

SCORES = st.floats(0.0, 1.0)
DRAWS = st.floats(0.0, 1.0, exclude_max=True)


@given(SCORES, DRAWS, st.floats(1.0, 1e6))
def test_the_expected_weight_is_one_for_every_score(score: float, draw: float, max_weight: float) -> None:
    policy = SamplingPolicy(max_weight)
    keep, weight = policy.decide(np.array([score, score]), np.array([draw, 0.0]))
    assert weight[1] >= 1.0  # the draw 0 keeps every event
    probability = 1.0 / weight[1]
    assert probability * weight[1] == pytest.approx(1.0)
    assert keep[0] == (draw < max(score, 1.0 / max_weight))
    assert weight[0] == (weight[1] if keep[0] else 0.0)
    assert weight[1] <= max_weight * (1 + 1e-12)


def test_weighted_sums_are_unbiased_over_many_seeds() -> None:
    score = np.linspace(0.0, 1.0, 501)
    value = np.sin(7 * score) + 2  # some observable, correlated with the score
    policy = SamplingPolicy(max_weight=50.0)
    sums, n_seeds = [], 2000
    for seed in range(n_seeds):
        _, weight = policy.decide(score, uniform(seed, 0, 0, np.arange(501), stream="test"))
        sums.append([weight.sum(), (weight * value).sum()])
    mean, error = np.mean(sums, axis=0), np.std(sums, axis=0) / np.sqrt(n_seeds)
    assert np.all(np.abs(mean - [501, value.sum()]) < 4 * error)
    assert np.all(error < 0.02 * mean)  # the test would see a bias of a few per cent


def test_a_score_of_zero_is_kept_with_the_largest_weight() -> None:
    keep, weight = SamplingPolicy().decide(np.zeros(2), np.array([0.00099, 0.00101]))
    assert keep.tolist() == [True, False]
    assert weight.tolist() == [1000.0, 0.0]


def test_a_score_of_one_is_always_kept() -> None:
    keep, weight = SamplingPolicy().decide(np.ones(1), np.array([np.nextafter(1.0, 0.0)]))
    assert keep.tolist() == [True]
    assert weight.tolist() == [1.0]


@given(st.lists(SCORES, max_size=20), SCORES)
def test_a_threshold_keeps_what_reaches_it(scores: list[float], threshold: float) -> None:
    keep, weight = ThresholdPolicy(threshold).decide(np.array(scores), np.ones(len(scores)))
    assert keep.tolist() == [score >= threshold for score in scores]
    assert weight.tolist() == keep.astype(float).tolist()


def test_a_threshold_of_zero_keeps_everything() -> None:
    assert ThresholdPolicy(0.0).decide(np.array([0.0, 0.3]), np.ones(2))[0].all()


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.0001, np.inf])
@pytest.mark.parametrize("policy", [SamplingPolicy(), ThresholdPolicy(0.0)])
def test_a_score_that_is_no_probability_is_an_error(policy: SamplingPolicy | ThresholdPolicy, bad: float) -> None:
    with pytest.raises(BadScore, match=r"1 of 3 scores are no probabilities; the first is .* at place 1"):
        policy.decide(np.array([0.5, bad, 0.5]), np.zeros(3))


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.5, 0.0, -1.0])
def test_a_largest_weight_that_makes_no_sense_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        SamplingPolicy(bad)


@pytest.mark.parametrize("bad", [np.nan, -0.1, 1.1])
def test_a_threshold_outside_the_scores_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        ThresholdPolicy(bad)


def test_no_scores_are_no_error() -> None:
    assert check_scores(np.zeros(0)).shape == (0,)


def test_one_draw_for_all_skims_keeps_the_largest_probability_of_the_events() -> None:
    p = np.random.default_rng(1).uniform(0.01, 1.0, (5000, 4))
    event = np.arange(5000)[:, np.newaxis]
    policy = MultiSkimPolicy(100.0)
    shared, weight = policy.decide(p, uniform(1, 0, 0, event, stream="test"))
    each, weight_each = policy.decide(p, uniform(1, 0, 0, event, stream="test", index=np.arange(4)))
    for keep, weights, chance in ((shared, weight, p.max(axis=1)), (each, weight_each, 1 - (1 - p).prod(axis=1))):
        assert abs(keep.sum() - chance.sum()) < 4 * np.sqrt((chance * (1 - chance)).sum())
        assert np.array_equal(keep, (weights > 0).any(axis=1))
        assert np.array_equal(weights[weights > 0], (1 / p)[weights > 0])
        assert np.all(np.abs(weights.sum(axis=0) - 5000) < 4 * np.sqrt((1 / p - 1).sum(axis=0)))
    assert shared.sum() < each.sum()


def test_a_wrong_probability_among_skims_is_found_by_event_and_skim() -> None:
    with pytest.raises(BadScore, match=r"1 of 6 scores are no probabilities; the first is nan at place 1, 2"):
        MultiSkimPolicy(100.0).decide(np.array([[1.0, 1.0, 1.0], [1.0, 1.0, np.nan]]), np.zeros((2, 1)))
