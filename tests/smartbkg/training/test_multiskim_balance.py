"""Balanced logits: what events weigh, how often they are shown, and batches without bias."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smartbkg.bridging import build_bridged
from smartbkg.errors import TrainingError
from smartbkg.events import event_type_code
from smartbkg.training.multiskim_balance import ONE_CLASS_SHARE, Balance, Padded, Sampler, split_by_length
from smartbkg.training.multiskim_data import MultiSkimSet, prepare_multiskim
from support.events import decay_trees, event_batch
from support.multiskim import Sample, toy_batches, typed, write_events, write_flags

MIXED, UUBAR = event_type_code("mixed"), event_type_code("uubar")
N = 300


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> MultiSkimSet:
    """Two types: `common` passes in both, `rare` in 3 events of the first, never in the second."""
    folder = tmp_path_factory.mktemp("balance")
    draw, events, labels = np.random.default_rng(1), [], []
    for batch in toy_batches(N):
        name = str(batch.event_type[0])
        rare = (np.arange(N) < 3) & (batch.event_type == MIXED)
        flags = {"common": draw.random(N) < (0.4 if name == str(MIXED) else 0.1), "rare": rare}
        events.append(write_events(folder / name, batch))
        labels.append(write_flags(folder / f"{name}.skim", batch, flags))
    return prepare_multiskim(events, labels, folder / "data", keep_failing=0.5)


def all_rows(data: MultiSkimSet) -> np.ndarray:  # type: ignore[type-arg]
    return np.arange(len(data))


def place(data: MultiSkimSet, name: str) -> int:
    return [skim.name for skim in data.skims].index(name)


def totals(data: MultiSkimSet, balance: Balance, name: str, kind: int) -> tuple[float, float]:
    """Weight of all passing and of all failing events of a type."""
    rows = np.flatnonzero(data.event_type == kind)
    weight, passed = balance.weights(data, rows)[:, place(data, name)], data.passed(rows)[:, place(data, name)]
    return float(weight[passed].sum()), float(weight[~passed].sum())


def test_passing_and_failing_events_weigh_the_same_in_every_type_however_rare_they_are(data: MultiSkimSet) -> None:
    balance = Balance.of(data, all_rows(data), rare=50.0)
    for name, kind in (("common", MIXED), ("common", UUBAR), ("rare", MIXED)):
        passing, failing = totals(data, balance, name, kind)
        assert passing == pytest.approx(failing)
        assert passing > 0


def test_where_nothing_passes_the_failing_events_weigh_a_little(data: MultiSkimSet) -> None:
    balance = Balance.of(data, all_rows(data), rare=50.0)
    passing, failing = totals(data, balance, "rare", UUBAR)
    assert (passing, failing) == (0.0, pytest.approx(ONE_CLASS_SHARE * 3 / 53))


def test_a_single_passing_event_never_weighs_more_than_the_cap(data: MultiSkimSet) -> None:
    for rare in (1.0, 20.0, 500.0):
        balance = Balance.of(data, all_rows(data), rare=rare)
        assert balance.passing.max() <= 0.5 / rare
    balance = Balance.of(data, all_rows(data), rare=50.0)
    assert sum(totals(data, balance, "rare", MIXED)) == pytest.approx(3 / 53)
    assert sum(totals(data, balance, "common", MIXED)) > 0.4


def test_all_weights_sum_to_the_total(data: MultiSkimSet) -> None:
    balance = Balance.of(data, all_rows(data), rare=50.0)
    assert balance.importance(data, all_rows(data)).sum() == pytest.approx(balance.total)
    assert balance.weights(data, all_rows(data)).sum() == pytest.approx(balance.total)


def test_skims_of_one_class_are_named(tmp_path: Path) -> None:
    batch = typed(decay_trees(20), "charged")
    flags = {
        "none": np.zeros(20, bool),
        "all": np.ones(20, bool),
        "some": np.arange(20) < 5,
        "nought": np.zeros(20, bool),
    }
    sample = Sample((write_events(tmp_path / "e", batch),), (write_flags(tmp_path / "l", batch, flags),))
    data = prepare_multiskim(sample.events, sample.labels, tmp_path / "data")
    with pytest.raises(TrainingError, match="no event to train on passes none, nought, among 20"):
        Balance.of(data, all_rows(data), 10.0)
    with pytest.raises(TrainingError, match="no event to validate with fails all, among 20"):
        Balance.of(
            data.only([s for s in data.skims if s.name in ("all", "some")]), all_rows(data), 10.0, "to validate with"
        )


def test_an_epoch_has_as_many_events_as_asked_for_in_equal_batches() -> None:
    importance = np.random.default_rng(1).exponential(size=1000)
    sampler = Sampler.of(np.arange(1000), importance, 32, 320, max_repeats=2.0)
    batches = sampler.epoch(seed=1, number=1)
    assert [len(batch) for batch in batches] == [32] * 10
    assert sampler.rate.sum() == pytest.approx(320)
    assert sampler.rate.max() <= 2.0
    assert np.bincount(np.concatenate(batches)).max() <= 2


def test_epochs_differ_and_follow_from_the_seed() -> None:
    sampler = Sampler.of(np.arange(500), np.ones(500), 50, 200, max_repeats=2.0)
    first, again, second, other = (np.concatenate(sampler.epoch(s, e)) for s, e in ((1, 1), (1, 1), (1, 2), (2, 1)))
    assert np.array_equal(first, again)
    assert not np.array_equal(np.sort(first), np.sort(second))
    assert not np.array_equal(np.sort(first), np.sort(other))


def test_events_are_drawn_in_proportion_to_their_importance_up_to_the_cap() -> None:
    importance = np.array([0.0, 1.0, 2.0, 1000.0])
    sampler = Sampler.of(np.arange(4), importance, 1, 3, max_repeats=1.5)
    assert sampler.rate == pytest.approx([0.0, 0.5, 1.0, 1.5])
    drawn = np.concatenate([np.concatenate(sampler.epoch(1, e)) for e in range(2000)])
    assert np.bincount(drawn, minlength=4) / 2000 == pytest.approx(sampler.rate, abs=0.05)


def test_the_expected_sum_of_a_weight_over_its_rate_is_that_of_all_events(data: MultiSkimSet) -> None:
    rows = all_rows(data)
    balance = Balance.of(data, rows, rare=50.0)
    sampler = Sampler.of(rows, balance.importance(data, rows), 32, 160, max_repeats=2.0)
    value = np.cos(rows)[:, None] * balance.weights(data, rows)  # (B, S) anything that depends on the event
    drawn = [np.concatenate(sampler.epoch(1, e)) for e in range(300)]
    mean = np.mean([(value[d] / sampler.rate[d, None]).sum(axis=0) for d in drawn], axis=0)
    assert mean == pytest.approx(value.sum(axis=0), abs=0.02)


def test_padding_is_marked_and_events_keep_their_own_numbers() -> None:
    features = build_bridged(decay_trees(6))
    padded = Padded.of(features, np.arange(6, dtype=np.int8))
    assert padded.x.shape == (6, features.counts.max(), 8)
    for row, count in enumerate(features.counts):
        own = features.between(row, row + 1)
        assert np.array_equal(padded.x[row, :count], own.x)
        assert np.array_equal(padded.pdg[row, :count], own.token)
        assert np.array_equal(padded.mother[row, :count], own.mother)
        assert (padded.pdg[row, count:] == -1).all()
        assert (padded.mother[row, count:] == -1).all()
        assert (padded.x[row, count:] == 0).all()
    assert padded.c.tolist() == [0, 1, 2, 3, 4, 5]


def test_events_without_particles_are_padding_only() -> None:
    padded = Padded.of(build_bridged(event_batch([[], []])), np.zeros(2, np.int8))
    assert padded.pdg.tolist() == [[-1], [-1]]


@pytest.mark.parametrize("n_events", [0, 1, 3, 50])
def test_parts_of_a_batch_hold_every_event_once_and_the_longest_come_first(n_events: int) -> None:
    counts = np.random.default_rng(n_events).integers(1, 90, n_events)
    parts = split_by_length(counts, 8)
    assert len(parts) == 8
    joined = np.concatenate(parts)
    assert np.array_equal(np.sort(joined), np.arange(n_events))
    assert (np.diff(counts[joined]) <= 0).all()
    if n_events == 50:
        sums = [counts[part].sum() for part in parts]
        assert max(sums) - min(sums) <= 2 * counts.max()
