"""Events meet their labels: by name, once, and whatever the order of the files."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smartbkg.errors import BadEvent, ColumnsMissing, EventTwice, NotAnEventFile, TrainingError
from smartbkg.events import EventBatch, EventWriter, event_type_code
from smartbkg.features import build
from smartbkg.training.data import TrainingSet, balanced_batches, prepare, read_labels
from support.events import decay_trees, event_batch, kaon_labels, write_labels


def write_events(path: Path, batch: EventBatch) -> Path:
    with EventWriter(path) as writer:
        writer.write(batch)
    return path


def labelled(folder: Path, batch: EventBatch, name: str = "a") -> tuple[Path, Path]:
    events, labels = folder / f"{name}.parquet", folder / f"{name}.labels.parquet"
    write_labels(labels, batch, kaon_labels(batch))
    return write_events(events, batch), labels


def prepared(folder: Path, *files: tuple[Path, Path]) -> TrainingSet:
    return prepare([e for e, _ in files], [x for _, x in files], "toySkim", folder / "data")


def test_labels_are_found_by_name_whatever_their_order(tmp_path: Path) -> None:
    batch = decay_trees(30)
    events, labels = labelled(tmp_path, batch)
    order = np.random.default_rng(1).permutation(30)
    write_labels(labels, batch.select(order), kaon_labels(batch)[order])
    data = prepared(tmp_path, (events, labels))
    assert np.array_equal(data.passed, kaon_labels(batch))
    assert 0 < data.retention < 1


def test_the_same_event_number_in_another_run_is_another_event(tmp_path: Path) -> None:
    first, second = decay_trees(20, run=1), decay_trees(20, run=2, seed=9)
    files = [labelled(tmp_path, batch, name) for name, batch in (("a", first), ("b", second))]
    data = prepared(tmp_path, *files)
    assert np.array_equal(data.passed, np.concatenate([kaon_labels(first), kaon_labels(second)]))


def test_features_on_disk_are_those_of_build(tmp_path: Path) -> None:
    batch = EventBatch.concat([decay_trees(20), event_batch([[], []], first_event=90)])
    data, direct = prepared(tmp_path, labelled(tmp_path, batch)), build(batch)
    for name, array in direct.network_inputs().items():
        assert np.array_equal(data.features.network_inputs()[name], array)
    rows = np.array([3, 21, 0])
    assert np.array_equal(data.features.select(rows).x, direct.select(rows).x)


def test_an_event_without_label_is_named(tmp_path: Path) -> None:
    batch = decay_trees(10)
    write_labels(tmp_path / "l", batch[:8], kaon_labels(batch)[:8])
    with pytest.raises(TrainingError, match="2 of 10 events have no label, the first is event 9 of run 0,1"):
        prepared(tmp_path, (write_events(tmp_path / "e", batch), tmp_path / "l"))


def test_labels_of_nothing_label_nothing(tmp_path: Path) -> None:
    batch = decay_trees(3)
    write_labels(tmp_path / "l", batch[:0], kaon_labels(batch)[:0])
    with pytest.raises(TrainingError, match="no labels for toySkim: the files are empty"):
        prepared(tmp_path, (write_events(tmp_path / "e", batch), tmp_path / "l"))


def test_an_event_labelled_twice_is_named(tmp_path: Path) -> None:
    batch = decay_trees(5)
    _, labels = labelled(tmp_path, batch)
    with pytest.raises(EventTwice, match="5 events are labelled more than once, the first is event 1 of run 0,1"):
        read_labels([labels, labels], "toySkim")


def test_an_event_file_given_twice_is_refused(tmp_path: Path) -> None:
    events, labels = labelled(tmp_path, decay_trees(5))
    with pytest.raises(EventTwice, match="5 events are given more than once"):
        prepare([events, events], [labels], "toySkim", tmp_path / "data")


def test_an_unknown_skim_is_told_the_columns_that_are_there(tmp_path: Path) -> None:
    _, labels = labelled(tmp_path, decay_trees(5))
    with pytest.raises(ColumnsMissing, match=r"lacks feiHadronic; it has toySkim$"):
        read_labels([labels], "feiHadronic")


def test_a_column_that_is_no_flag_is_refused(tmp_path: Path) -> None:
    _, labels = labelled(tmp_path, decay_trees(5))
    with pytest.raises(TrainingError, match=r"n_tracks of .* holds float, not yes or no"):
        read_labels([labels], "n_tracks")


def test_missing_values_are_refused(tmp_path: Path) -> None:
    rows = {"exp": [0, 0], "run": [1, 1], "event": [1, 2], "toySkim": [True, None]}
    pq.write_table(pa.table(rows), tmp_path / "l")
    with pytest.raises(TrainingError, match=r"1 of 2 events of .* have no label for toySkim"):
        read_labels([tmp_path / "l"], "toySkim")


@pytest.mark.parametrize("run", [[2**32 + 1, 1], [1.5, 2.0], ["one", "two"], [None, 1]])
def test_numbers_that_are_none_are_refused_and_never_taken_for_others(run: list[object], tmp_path: Path) -> None:
    rows = {"exp": [0, 0], "run": run, "event": [1, 2], "toySkim": [True, False]}
    pq.write_table(pa.table(rows), tmp_path / "l")
    with pytest.raises(BadEvent, match=r"l: .*run"):
        read_labels([tmp_path / "l"], "toySkim")


def test_files_with_numbers_of_other_types_go_together(tmp_path: Path) -> None:
    batch = decay_trees(10)
    write_labels(tmp_path / "a", batch[:5], kaon_labels(batch)[:5])
    rows = {"exp": [0] * 5, "run": [1] * 5, "event": batch.event[5:].tolist(), "toySkim": kaon_labels(batch)[5:]}
    pq.write_table(pa.table(rows), tmp_path / "b")  # as pandas would write it: all int64
    labels = read_labels([tmp_path / "a", tmp_path / "b"], "toySkim")
    assert np.array_equal(labels.of((batch.exp, batch.run, batch.event)), kaon_labels(batch))


def test_labels_without_names_of_events_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"toySkim": [True]}), tmp_path / "l")
    with pytest.raises(ColumnsMissing, match="lacks event, exp, run"):
        read_labels([tmp_path / "l"], "toySkim")


def test_files_of_no_events_are_refused(tmp_path: Path) -> None:
    events, labels = labelled(tmp_path, decay_trees(5))
    with pytest.raises(TrainingError, match="hold no event"):
        prepare([write_events(tmp_path / "none", EventBatch.empty())], [labels], "toySkim", tmp_path / "data")
    with pytest.raises(NotAnEventFile):
        (tmp_path / "text").write_text("no Parquet")
        prepare([tmp_path / "text"], [labels], "toySkim", tmp_path / "data")
    with pytest.raises(FileNotFoundError, match="absent"):
        prepare([events, tmp_path / "absent"], [labels], "toySkim", tmp_path / "data")


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_an_event_with_a_number_that_is_none_is_named_with_its_file(number: float, tmp_path: Path) -> None:
    batch = decay_trees(5)
    batch.particles.px_gev[batch.offsets[3] + 1] = number
    files = labelled(tmp_path, batch, "odd")
    said = r"odd\.parquet: event 4 of run 0,1: particle 1 has a number that is not finite"
    with pytest.raises(BadEvent, match=said):
        prepared(tmp_path, labelled(tmp_path, decay_trees(5, run=2)), files)


def test_several_runs_in_one_file_are_one_set(tmp_path: Path) -> None:
    parts = [decay_trees(20, run=run, seed=run) for run in (7, 3, 5)]
    batch = EventBatch.concat(parts)
    shuffled = batch.select(np.random.default_rng(1).permutation(60))
    _, labels = labelled(tmp_path, batch)
    data = prepared(tmp_path, (write_events(tmp_path / "mixed.parquet", shuffled), labels))
    assert np.array_equal(data.passed, kaon_labels(shuffled))
    assert set(data.keys[1].tolist()) == {3, 5, 7}


def test_two_types_with_the_same_events_are_told_what_to_do(tmp_path: Path) -> None:
    batch = decay_trees(5)
    charged = dataclasses.replace(batch, event_type=np.full(5, event_type_code("charged"), np.int8))
    with pytest.raises(EventTwice, match="event 1 of run 0,1: a file twice, or two event types generated for the same"):
        prepared(tmp_path, labelled(tmp_path, batch, "mixed"), labelled(tmp_path, charged, "charged"))


def test_the_event_type_may_be_unknown_but_its_column_is_there(tmp_path: Path) -> None:
    batch = decay_trees(20)
    unknown = dataclasses.replace(batch, event_type=np.full(20, -1, np.int8))
    events, labels = labelled(tmp_path, unknown)
    assert np.array_equal(prepared(tmp_path, (events, labels)).passed, kaon_labels(batch))
    pq.write_table(pq.read_table(events).drop_columns(["event_type"]), tmp_path / "none.parquet")
    with pytest.raises(ColumnsMissing, match=r"none\.parquet lacks event_type"):
        prepared(tmp_path, (tmp_path / "none.parquet", labels))


def test_events_without_any_particle_are_refused(tmp_path: Path) -> None:
    batch = event_batch([[], []])
    write_labels(tmp_path / "l", batch, np.array([True, False]))
    with pytest.raises(TrainingError, match="no particle in any of 2 events"):
        prepared(tmp_path, (write_events(tmp_path / "e", batch), tmp_path / "l"))


def test_the_set_is_kept_and_made_again_when_a_file_changes(tmp_path: Path) -> None:
    events, labels = labelled(tmp_path, decay_trees(20))
    read: list[int] = []
    first = prepare([events], [labels], "toySkim", tmp_path / "data", read.append)
    again = prepare([events], [labels], "toySkim", tmp_path / "data", read.append)
    assert (read, again.digest) == ([20], first.digest)
    labelled(tmp_path, decay_trees(20, seed=2))
    assert prepared(tmp_path, (events, labels)).digest != first.digest


def test_the_index_comes_after_all_data_are_safe_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        flushed.append(Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    files = labelled(tmp_path, decay_trees(20))
    monkeypatch.setattr(os, "fsync", noted)
    prepared(tmp_path, files)
    assert sorted(flushed[:-1]) == sorted({path.name for path in (tmp_path / "data").iterdir()} - {"index.json"})
    assert flushed[-1].startswith(".index.json.")


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_set_with_a_damaged_index_is_made_again(content: str, tmp_path: Path) -> None:
    files = labelled(tmp_path, decay_trees(20))
    whole = prepared(tmp_path, files)
    (tmp_path / "data" / "index.json").write_text(content)
    assert prepared(tmp_path, files).digest == whole.digest


def test_a_half_written_set_is_made_again(tmp_path: Path) -> None:
    files = labelled(tmp_path, decay_trees(20))
    whole = prepared(tmp_path, files)
    (tmp_path / "data" / "x").write_bytes(b"")
    (tmp_path / "data" / "index.json").unlink()
    assert np.array_equal(prepared(tmp_path, files).features.x, whole.features.x)


def test_the_digest_is_of_the_content_not_of_the_place(tmp_path: Path) -> None:
    batch = decay_trees(20)
    digests = set()
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        digests.add(prepared(tmp_path / name, labelled(tmp_path / name, batch)).digest)
    assert len(digests) == 1


def test_the_split_belongs_to_the_event_not_to_the_order_of_files(tmp_path: Path) -> None:
    parts = [decay_trees(200, seed=i, first_event=1 + 200 * i, depth=1) for i in range(2)]
    files = [labelled(tmp_path, part, f"part{i}") for i, part in enumerate(parts)]
    forward, backward = prepared(tmp_path, *files), prepared(tmp_path, *files[::-1])
    held_out = [set(data.keys[2][data.validation_mask(0.2)].tolist()) for data in (forward, backward)]
    assert held_out[0] == held_out[1]
    assert 50 < len(held_out[0]) < 110


def test_batches_hold_every_passing_event_once_and_as_many_failing_ones() -> None:
    passing, failing = np.arange(50), np.arange(100, 1100)
    batches = balanced_batches(passing, failing, 16, seed=1, epoch=1)
    rows = np.concatenate(batches)
    assert np.array_equal(np.sort(rows[rows < 100]), passing)
    assert len(np.unique(rows[rows >= 100])) == 50
    assert all((batch < 100).sum() == (batch >= 100).sum() for batch in batches)
    assert [len(batch) for batch in batches] == [16] * 6 + [4]


def test_failing_events_are_drawn_anew_each_epoch_by_the_seed() -> None:
    def drawn(seed: int, epoch: int) -> list[int]:
        rows = np.concatenate(balanced_batches(np.arange(50), np.arange(100, 1100), 16, seed, epoch))
        return [int(row) for row in rows]

    assert drawn(1, 1) == drawn(1, 1)
    assert set(drawn(1, 1)) != set(drawn(1, 2))
    assert set(drawn(1, 1)) != set(drawn(2, 1))


def test_few_failing_events_repeat() -> None:
    batches = balanced_batches(np.arange(50), np.array([100, 101, 102]), 20, seed=1, epoch=1)
    rows = np.concatenate(batches)
    assert (rows >= 100).sum() == 50
    assert set(rows[rows >= 100].tolist()) == {100, 101, 102}
