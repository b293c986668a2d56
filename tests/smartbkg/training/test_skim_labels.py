"""Labels of many skims: which there are, in which order, and whose they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from smartbkg.errors import ColumnsMissing, EventTwice, TrainingError
from smartbkg.events import EventBatch
from smartbkg.parquet import TableWriter
from smartbkg.smartbackground import skim_code
from smartbkg.training.skim_labels import SkimColumn, find_columns, read_packed_labels, unpacked
from support.events import decay_trees
from support.multiskim import skim_labels, typed, write_flags


def flags_of(batch: EventBatch, *names: str) -> dict[str, np.ndarray]:  # type: ignore[type-arg]
    draw = np.random.default_rng(len(names))
    return {name: draw.random(len(batch)) < 0.5 for name in names}


def with_codes(path: Path, **codes: int | None) -> Path:
    """A file whose history says which skims it is of."""
    columns = {"exp": [0], "run": [1], "event": [1], **{name: [True] for name in codes}, "isGood": [True]}
    table = pa.table(columns)
    step = {"step": "skim", "skims": [{"name": name, "code": code} for name, code in codes.items()]}
    with TableWriter(path, table.schema, {"provenance": [{"step": "generate"}, step]}) as writer:
        writer.write_table(table)
    return path


def test_skims_come_in_the_order_of_their_codes_which_is_that_of_the_deployed_outputs(tmp_path: Path) -> None:
    batch = decay_trees(5)
    path = write_flags(tmp_path / "a", batch, flags_of(batch, "mySkim", "BToXgamma", "feiHadronic"))
    columns = find_columns([path])
    assert [column.name for column in columns] == ["feiHadronic", "BToXgamma", "mySkim"]
    assert [column.code for column in columns] == [11180500, 12160100, skim_code("mySkim", None)]


def test_the_files_history_says_what_is_a_skim_and_its_code(tmp_path: Path) -> None:
    path = with_codes(tmp_path / "a", theirs=77, mine=None)
    assert find_columns([path]) == (SkimColumn("theirs", 77), SkimColumn("mine", skim_code("mine", None)))


def test_files_that_disagree_about_a_code_are_refused(tmp_path: Path) -> None:
    paths = [with_codes(tmp_path / "a", theirs=77), with_codes(tmp_path / "b", theirs=78)]
    with pytest.raises(TrainingError, match="b gives the skim theirs the code 78, another file 77"):
        find_columns(paths)


def test_two_skims_of_one_code_are_refused_before_anything_is_trained(tmp_path: Path) -> None:
    path = with_codes(tmp_path / "a", theirs=77, mine=77, other=78)
    with pytest.raises(TrainingError, match="the code 77 stands for theirs and mine"):
        find_columns([path])
    assert [column.name for column in find_columns([path], ["mine", "other"])] == ["mine", "other"]


def test_what_not_every_file_has_is_left_out_and_said_or_refused_when_it_was_asked_for(tmp_path: Path) -> None:
    batch = decay_trees(5)
    paths = [write_flags(tmp_path / n, batch, flags_of(batch, *s)) for n, s in (("a", ("x", "y")), ("b", ("y", "z")))]
    said: list[str] = []
    assert [column.name for column in find_columns(paths, say=said.append)] == ["y"]
    assert said == ["left out, since not every label file has them: x, z"]
    with pytest.raises(ColumnsMissing, match=r"b lacks x; it has y, z"):
        find_columns(paths, ["x"])


@pytest.mark.parametrize(
    ("asked", "error", "said"),
    [
        (["x", "x"], TrainingError, "asked for twice"),
        (["feiHadronik"], ColumnsMissing, "lacks feiHadronik; it has x"),
        (["n_tracks"], TrainingError, "holds float, not yes or no"),
    ],
)
def test_wrong_skims_are_refused(asked: list[str], error: type[Exception], said: str, tmp_path: Path) -> None:
    batch = decay_trees(5)
    path = write_flags(tmp_path / "a", batch, flags_of(batch, "x"))
    with pytest.raises(error, match=said):
        find_columns([path], asked)


def test_files_without_any_skim_are_refused(tmp_path: Path) -> None:
    batch = decay_trees(5)
    one, other = (write_flags(tmp_path / name, batch, flags_of(batch, name)) for name in ("x", "y"))
    with pytest.raises(TrainingError, match="no skim is in all of the 2 label files"):
        find_columns([one, other])
    with pytest.raises(ColumnsMissing, match="lacks a yes-or-no column for a skim; it has exp, run"):
        find_columns([write_flags(tmp_path / "none", batch, {})])


def test_packed_labels_are_found_by_name_and_type(tmp_path: Path) -> None:
    mixed, light = typed(decay_trees(30), "mixed"), typed(decay_trees(30, seed=5), "uubar")
    both = EventBatch.concat([mixed, light])  # the same runs and numbers, but other events
    order = np.random.default_rng(1).permutation(60)
    shuffled = both.select(order)
    path = write_flags(tmp_path / "a", shuffled, skim_labels(shuffled))
    columns = find_columns([path])
    labels = read_packed_labels([path], columns)
    for batch in (mixed, light):
        found = unpacked(labels.of((batch.exp, batch.run, batch.event), batch.event_type), 2)
        expected = skim_labels(batch)
        assert np.array_equal(found, np.stack([expected[column.name] for column in columns], axis=1))


def test_labels_that_do_not_say_the_type_fit_any(tmp_path: Path) -> None:
    batch = typed(decay_trees(10), "ccbar")
    table = {"exp": batch.exp, "run": batch.run, "event": batch.event, "x": np.arange(10) % 3 == 0}
    with TableWriter(tmp_path / "a", pa.table(table).schema) as writer:
        writer.write_table(pa.table(table))
    labels = read_packed_labels([tmp_path / "a"], [SkimColumn("x", 1)])
    found = unpacked(labels.of((batch.exp, batch.run, batch.event), batch.event_type), 1)
    assert np.array_equal(found[:, 0], table["x"])


def test_events_of_a_type_without_labels_are_named(tmp_path: Path) -> None:
    batch = typed(decay_trees(10), "mixed")
    path = write_flags(tmp_path / "a", batch, skim_labels(batch))
    labels = read_packed_labels([path], find_columns([path]))
    other = typed(batch, "taupair")
    with pytest.raises(TrainingError, match="no label for any taupair event, the first is event 1 of run 0,1"):
        labels.of((other.exp, other.run, other.event), other.event_type)
    with pytest.raises(TrainingError, match="1 of 1 events have no label, the first is event 11 of run 0,1"):
        labels.of((batch.exp[:1], batch.run[:1], batch.event[-1:] + 1), batch.event_type[:1])


def test_an_event_labelled_twice_is_refused(tmp_path: Path) -> None:
    batch = decay_trees(4)
    path = write_flags(tmp_path / "a", batch, skim_labels(batch))
    with pytest.raises(EventTwice, match="4 events are labelled more than once"):
        read_packed_labels([path, path], find_columns([path]))


def test_labels_of_nothing_are_refused(tmp_path: Path) -> None:
    batch = decay_trees(4)[:0]
    path = write_flags(tmp_path / "a", batch, {"x": np.zeros(0, bool)})
    with pytest.raises(TrainingError, match="no labels: the files are empty"):
        read_packed_labels([path], find_columns([path]))
