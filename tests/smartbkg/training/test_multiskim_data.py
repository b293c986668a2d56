"""Events of several types meet the labels of several skims: natural numbers, weights, and a split by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from smartbkg.bridging import build_bridged
from smartbkg.errors import BadEvent, EventTwice, TrainingError
from smartbkg.events import EVENT_TYPES, EventBatch, event_type_code
from smartbkg.training.multiskim_data import MultiSkimSet, open_multiskim_set, prepare_multiskim
from support.events import Particle, decay_trees, event_batch
from support.multiskim import Sample, skim_labels, toy_batches, typed, write_events, write_flags, write_sample


def prepared(sample: Sample, folder: Path, **more: object) -> MultiSkimSet:
    return prepare_multiskim(sample.events, sample.labels, folder / "data", **more)  # type: ignore[arg-type]


def test_numbers_are_those_of_each_type(tmp_path: Path) -> None:
    batches = toy_batches()
    data = prepared(write_sample(tmp_path, *batches), tmp_path)
    counts = data.count_passing()
    for batch in batches:
        kind = batch.event_type[0]
        assert data.natural[kind] == len(batch)
        for place, skim in enumerate(data.skims):
            assert counts[kind, place] == skim_labels(batch)[skim.name].sum()
            assert data.retention[kind, place] == pytest.approx(skim_labels(batch)[skim.name].mean())
    assert data.natural.sum() == len(data)


def test_features_on_disk_are_those_of_the_event_loop(tmp_path: Path) -> None:
    batches = toy_batches()
    data = prepared(write_sample(tmp_path, *batches), tmp_path)
    direct = build_bridged(EventBatch.concat(batches))
    assert np.array_equal(data.features.x, direct.x)
    assert np.array_equal(data.features.token, direct.token)
    assert np.array_equal(data.features.mother, direct.mother)
    assert np.array_equal(data.features.offsets, direct.offsets)
    assert (data.features.x.dtype, data.features.token.dtype, data.features.mother.dtype) == (
        np.float32,
        np.int16,
        np.int16,
    )
    assert isinstance(data.features.x, np.memmap)  # data may be larger than memory


def test_thinned_out_failing_events_leave_natural_numbers_and_stand_for_the_others(tmp_path: Path) -> None:
    batches = toy_batches(400)
    sample = write_sample(tmp_path, *batches)
    whole, thin = (prepared(sample, tmp_path / name, keep_failing=f) for name, f in (("a", 1.0), ("b", 0.25)))
    assert np.array_equal(thin.natural, whole.natural)
    assert np.array_equal(thin.count_passing(), whole.count_passing())
    assert np.array_equal(thin.retention, whole.retention)
    passes = thin.passed(slice(None)).any(axis=1)
    assert np.array_equal(thin.weight, np.where(passes, 1.0, 4.0).astype(np.float32))
    assert 0.15 < (~passes).sum() / (len(whole) - passes.sum()) < 0.35
    all_rows = np.arange(len(thin))
    assert thin.sum_weights(all_rows) == pytest.approx(whole.natural, rel=0.2)


def test_which_failing_events_stay_follows_from_their_names(tmp_path: Path) -> None:
    batches = toy_batches(100)
    forward = prepared(write_sample(tmp_path, *batches), tmp_path / "a", keep_failing=0.5)
    backward = prepared(write_sample(tmp_path, *batches[::-1]), tmp_path / "b", keep_failing=0.5)
    names = [set(zip(d.event_type.tolist(), d.keys[2].tolist(), strict=True)) for d in (forward, backward)]
    assert names[0] == names[1]


@pytest.mark.parametrize("fraction", [0.0, -1.0, 1.5, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction: float, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="the fraction of failing events to keep"):
        prepared(write_sample(tmp_path, *toy_batches(5)), tmp_path, keep_failing=fraction)


def test_the_split_belongs_to_the_event_not_to_the_order_of_files(tmp_path: Path) -> None:
    batches = toy_batches(200)
    sets = [prepared(write_sample(tmp_path, *b), tmp_path / str(i)) for i, b in enumerate((batches, batches[::-1]))]
    held_out = []
    for data in sets:
        train, validation = data.split(0.2)
        assert len(np.intersect1d(train, validation)) == 0
        assert len(train) + len(validation) == len(data)
        held_out.append({(int(data.event_type[row]), int(data.keys[2][row])) for row in validation})
    assert held_out[0] == held_out[1]
    assert 50 < len(held_out[0]) < 110


def test_events_in_which_nothing_is_seen_count_but_are_not_trained_on(tmp_path: Path) -> None:
    batch = EventBatch.concat([decay_trees(20), event_batch([[], []], first_event=90)])
    data = prepared(write_sample(tmp_path, batch), tmp_path)
    train, validation = data.split(0.5)
    assert data.natural.sum() == 22
    assert set(train) | set(validation) == set(range(20))


def test_runs_may_be_mixed_in_one_file_and_event_numbers_repeat_in_them(tmp_path: Path) -> None:
    runs = [decay_trees(30, seed=run, run=run, depth=2) for run in (1, 2, 3)]
    mixed = EventBatch.concat(runs).select(np.random.default_rng(1).permutation(90))
    data = prepared(write_sample(tmp_path, mixed), tmp_path)
    expected = np.stack([skim_labels(mixed)[skim.name] for skim in data.skims], axis=1)
    assert np.array_equal(data.passed(slice(None)), expected)
    assert len(np.unique(data.keys[1])) == 3


def test_an_event_without_a_type_is_named(tmp_path: Path) -> None:
    batch = decay_trees(5)
    unknown = dataclasses.replace(batch, event_type=np.array([3, 3, -1, 3, -1], np.int8))
    sample = Sample((write_events(tmp_path / "e", unknown),), (write_flags(tmp_path / "l", batch, skim_labels(batch)),))
    with pytest.raises(TrainingError, match="2 of 5 events have no event type, the first is event 3 of run 0,1; the"):
        prepared(sample, tmp_path)


def test_an_event_file_given_twice_is_refused(tmp_path: Path) -> None:
    sample = write_sample(tmp_path, *toy_batches(5))
    with pytest.raises(EventTwice, match="5 events are given more than once"):
        prepared(Sample(sample.events + sample.events[:1], sample.labels), tmp_path)


def test_no_events_and_no_particles_are_refused(tmp_path: Path) -> None:
    none = decay_trees(3)[:0]
    labels = write_flags(tmp_path / "l", decay_trees(3), skim_labels(decay_trees(3)))
    with pytest.raises(TrainingError, match="the event files hold no event"):
        prepared(Sample((write_events(tmp_path / "e", none),), (labels,)), tmp_path / "a")
    empty = event_batch([[], []])
    with pytest.raises(TrainingError, match="no particle is seen in any of 2 events"):
        prepared(write_sample(tmp_path, empty), tmp_path / "b")


def test_the_set_is_kept_and_made_again_when_something_changes(tmp_path: Path) -> None:
    sample, read = write_sample(tmp_path, *toy_batches(20)), list[int]()
    first = prepared(sample, tmp_path, progress=read.append)
    again = prepared(sample, tmp_path, progress=read.append)
    assert (read, again.digest) == ([20, 40], first.digest)
    other = prepared(sample, tmp_path, skims=["manyKaons"])
    assert [skim.name for skim in other.skims] == ["manyKaons"]
    assert other.digest != first.digest


def test_a_folder_without_a_whole_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no training data in"):
        open_multiskim_set(tmp_path)


def test_chosen_skims_keep_their_own_labels(tmp_path: Path) -> None:
    draw = np.random.default_rng(3)
    batch = typed(decay_trees(40, depth=1), "charged")
    flags = {f"skim{i:02d}": draw.random(40) < 0.3 for i in range(11)}  # two bytes of bits
    sample = Sample((write_events(tmp_path / "e", batch),), (write_flags(tmp_path / "l", batch, flags),))
    data = prepared(sample, tmp_path)
    chosen = data.only([data.skims[9], data.skims[2]])
    names = [skim.name for skim in chosen.skims]
    rows = np.array([5, 0, 39])
    assert np.array_equal(chosen.passed(rows), np.stack([flags[name][rows] for name in names], axis=1))
    for place, name in enumerate(names):
        assert np.array_equal(chosen.passes(rows, place), flags[name][rows])
        assert chosen.count_passing()[event_type_code("charged"), place] == flags[name].sum()
    assert chosen.count_passing().shape == (len(EVENT_TYPES), 2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_not_finite_is_named_with_its_file(value: float, tmp_path: Path) -> None:
    batch = decay_trees(5)
    energy = batch.particles.energy_gev.copy()
    energy[int(batch.offsets[3])] = value
    wrong = dataclasses.replace(batch, particles=dataclasses.replace(batch.particles, energy_gev=energy))
    with pytest.raises(BadEvent, match=r"0\.parquet: event 4 of run 0,1: particle 0 has a number that is not finite"):
        prepared(write_sample(tmp_path, wrong), tmp_path)


def test_an_event_of_too_many_particles_is_named_with_its_file(tmp_path: Path) -> None:
    large = event_batch([[Particle(22)], [Particle(22)] * 33_000])
    with pytest.raises(BadEvent, match=r"0\.parquet: event 2 of run 0,1 has 33000 particles, at most 32767 can be"):
        prepared(write_sample(tmp_path, large), tmp_path)
