"""Events as arrays, and the event file: what is written is what is read."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartbkg.errors import BadEvent, ColumnsMissing, NotAnEventFile, UnknownName
from smartbkg.events import (
    EVENT_TYPES,
    EventBatch,
    EventWriter,
    MCParticles,
    event_type_code,
    read_batches,
    read_events,
    read_metadata,
)


def batch_of(counts: list[int], seed: int = 1) -> EventBatch:
    """Events with these numbers of particles and random content; the mother of each is the one before it."""
    rng = np.random.default_rng(seed)
    n = sum(counts)
    index = np.concatenate([np.arange(c) for c in counts]) if counts else np.array([])
    floats = {f.name: rng.normal(size=n).astype(np.float32) for f in fields(MCParticles)}
    whole = {
        "pdg": rng.integers(-(2**40), 2**40, n),
        "mother": (index - 1).astype(np.int32),
        "status": np.ones(n, np.int32),
    }
    return EventBatch(
        exp=np.zeros(len(counts), np.int32),
        run=np.full(len(counts), 12, np.int32),
        event=np.arange(len(counts), dtype=np.int64) + 2**33,
        event_type=rng.integers(-1, 7, len(counts)).astype(np.int8),
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        particles=MCParticles(**{**floats, **whole}),
        extra={"weight": rng.uniform(1, 9, len(counts))},
    )


def same(a: EventBatch, b: EventBatch) -> bool:
    names = ("exp", "run", "event", "event_type", "offsets")
    return (
        all(np.array_equal(getattr(a, n), getattr(b, n)) for n in names)
        and all(np.array_equal(getattr(a.particles, f.name), getattr(b.particles, f.name)) for f in fields(MCParticles))
        and set(a.extra) == set(b.extra)
        and all(np.array_equal(a.extra[n], b.extra[n]) for n in a.extra)
    )


COUNTS = st.lists(st.integers(0, 5), max_size=12)


@given(COUNTS)
def test_a_table_holds_everything_of_a_batch(counts: list[int]) -> None:
    batch = batch_of(counts)
    assert same(EventBatch.from_table(batch.to_table()), batch)


@given(COUNTS, st.data())
def test_selected_events_are_whole_and_in_the_order_asked_for(counts: list[int], data: st.DataObject) -> None:
    batch = batch_of(counts)
    rows = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=8)) if counts else []
    chosen = batch.select(np.array(rows, dtype=np.int64))
    assert same(chosen, EventBatch.concat([batch[r : r + 1] for r in rows]) if rows else batch[0:0])


@given(COUNTS, st.integers(0, 12))
def test_two_halves_make_the_whole_again(counts: list[int], cut: int) -> None:
    batch = batch_of(counts)
    assert same(EventBatch.concat([batch[:cut], batch[cut:]]), batch)


def test_a_mask_selects_like_its_indices() -> None:
    batch = batch_of([2, 0, 3])
    assert same(batch.select(np.array([True, False, True])), batch.select(np.array([0, 2])))


def test_a_slice_of_a_file_batch_is_written_as_its_own_events(tmp_path: Path) -> None:
    batch = batch_of([2, 0, 3, 1])
    with EventWriter(tmp_path / "x.parquet", {"seed": 5}) as writer:
        writer.write(batch[:1])
        writer.write(batch[1:])
    assert same(read_events(tmp_path / "x.parquet"), batch)
    assert read_metadata(tmp_path / "x.parquet") == {"seed": 5}


@pytest.mark.parametrize("size", [1, 3, 100])
def test_any_batch_size_reads_the_same_events(tmp_path: Path, size: int) -> None:
    batch = batch_of([1, 2, 0, 4, 3, 3, 1])
    with EventWriter(tmp_path / "x.parquet") as writer:
        writer.write(batch)
    batches = list(read_batches(tmp_path / "x.parquet", size))
    assert max(map(len, batches)) <= size
    assert same(EventBatch.concat(batches), batch)


def test_a_file_without_events_is_a_valid_file(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "x.parquet"):
        pass
    assert len(read_events(tmp_path / "x.parquet")) == 0
    assert list(read_batches(tmp_path / "x.parquet")) == []


def test_the_file_speaks_the_vocabulary_of_the_users(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "x.parquet") as writer:
        writer.write(batch_of([3]))
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.column_names == ["exp", "run", "event", "event_type", "particles", "weight"]
    names = [
        "arrayIndex",
        "mass",
        "charge",
        "energy",
        "prodTime",
        "x",
        "y",
        "z",
        "px",
        "py",
        "pz",
        "PDG",
        "motherIndex",
        "status",
    ]
    assert [f.name for f in table.schema.field("particles").type.value_type] == names
    assert [p["arrayIndex"] for p in table["particles"][0].as_py()] == [0, 1, 2]


def test_extra_info_must_have_one_value_an_event() -> None:
    with pytest.raises(BadEvent, match="2 values for 3 events"):
        batch_of([1, 1, 1]).with_extra(score=np.zeros(2))


def test_batches_with_different_extra_info_are_not_joined() -> None:
    batch = batch_of([1])
    with pytest.raises(BadEvent, match="different extra info"):
        EventBatch.concat([batch, batch.with_extra(score=np.zeros(1))])


def test_a_later_batch_with_other_columns_is_refused_and_leaves_no_file(tmp_path: Path) -> None:
    batch = batch_of([1])
    with pytest.raises(BadEvent, match="score"), EventWriter(tmp_path / "x.parquet") as writer:
        writer.write(batch)
        writer.write(batch.with_extra(score=np.zeros(1)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("column", ["exp", "run", "event", "event_type", "particles"])
def test_a_missing_column_is_named_with_those_found(tmp_path: Path, column: str) -> None:
    pq.write_table(batch_of([1]).to_table().drop_columns([column]), tmp_path / "x.parquet")
    with pytest.raises(ColumnsMissing, match=rf"x.parquet lacks {column}; it has .*weight"):
        read_events(tmp_path / "x.parquet")


def test_a_missing_particle_column_is_named(tmp_path: Path) -> None:
    table = batch_of([2]).to_table()
    flat = table["particles"].combine_chunks()
    kept = [f for f in flat.type.value_type if f.name != "prodTime"]
    structs = pa.StructArray.from_arrays([flat.values.field(f.name) for f in kept], fields=kept)
    lists = pa.ListArray.from_arrays(flat.offsets, structs)
    pq.write_table(table.set_column(4, "particles", lists), tmp_path / "x.parquet")
    with pytest.raises(ColumnsMissing, match="prodTime"):
        read_events(tmp_path / "x.parquet")


def test_a_column_of_another_kind_is_refused(tmp_path: Path) -> None:
    table = batch_of([2]).to_table()
    pq.write_table(table.set_column(4, "particles", pa.array([1.0])), tmp_path / "x.parquet")
    with pytest.raises(BadEvent, match="not a list of structs"):
        read_events(tmp_path / "x.parquet")


@pytest.mark.parametrize("mother", [-2, 3, 2**30])
def test_a_mother_outside_its_event_is_refused_naming_the_event(mother: int) -> None:
    batch = batch_of([1, 3])
    broken = replace(batch.particles, mother=np.array([-1, -1, 0, mother], np.int32))
    with pytest.raises(BadEvent, match=rf"event {2**33 + 1} of run 0,12 has a mother index {mother} among 3"):
        EventBatch.from_table(replace(batch, particles=broken).to_table())


def test_an_event_without_a_list_is_not_taken_for_an_empty_one() -> None:
    table = batch_of([1, 2]).to_table()
    lists = pa.array([None, table["particles"][1].as_py()], table["particles"].type)
    with pytest.raises(BadEvent, match="1 events have no particles"):
        EventBatch.from_table(table.set_column(4, "particles", lists))


def test_missing_numbers_are_refused() -> None:
    table = batch_of([1, 2]).to_table()
    with pytest.raises(BadEvent, match="1 values of run are missing"):
        EventBatch.from_table(table.set_column(1, "run", pa.array([None, 3], pa.int32())))


def test_numbers_that_do_not_fit_are_refused() -> None:
    table = batch_of([1]).to_table()
    with pytest.raises(BadEvent, match="run does not fit int32"):
        EventBatch.from_table(table.set_column(1, "run", pa.array([2**40])))


@pytest.mark.parametrize("column", ["exp", "event_type"])
def test_a_column_of_lists_is_refused_by_name(column: str) -> None:
    table = batch_of([1]).to_table()
    lists = table.set_column(table.column_names.index(column), column, pa.array([[1]]))
    with pytest.raises(BadEvent, match=rf"events\.parquet: {column}"):
        EventBatch.from_table(lists, "events.parquet")


def test_an_event_type_in_a_file_that_nobody_knows_names_the_file_and_what_is_near() -> None:
    table = batch_of([1]).to_table()
    with pytest.raises(BadEvent, match=r"events\.parquet: event_type: unknown event type 'mixd'; near: mixed"):
        EventBatch.from_table(table.set_column(3, "event_type", pa.array(["mixd"])), "events.parquet")


def test_missing_extra_info_is_nan_for_a_float_and_refused_for_an_integer() -> None:
    table = batch_of([1, 1]).to_table()
    batch = EventBatch.from_table(table.append_column("score", pa.array([0.5, None])))
    assert np.isnan(batch.extra["score"]).tolist() == [False, True]
    with pytest.raises(BadEvent, match="1 values of rank are missing"):
        EventBatch.from_table(table.append_column("rank", pa.array([7, None])))


def test_a_truncated_file_is_refused_and_named(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "x.parquet") as writer:
        writer.write(batch_of([5] * 100))
    whole = (tmp_path / "x.parquet").read_bytes()
    (tmp_path / "x.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(NotAnEventFile, match=r"cannot read .*x\.parquet"):
        read_events(tmp_path / "x.parquet")


def test_damaged_pages_are_refused_and_named(tmp_path: Path) -> None:
    with EventWriter(tmp_path / "x.parquet") as writer:
        writer.write(batch_of([5] * 1000))
    content = bytearray((tmp_path / "x.parquet").read_bytes())
    content[1000:9000] = bytes(8000)
    (tmp_path / "x.parquet").write_bytes(content)
    with pytest.raises(NotAnEventFile, match=r"x\.parquet"):
        read_events(tmp_path / "x.parquet")


def test_event_types_have_the_published_codes() -> None:
    assert {name: event_type_code(name) for name in EVENT_TYPES} == {
        "ccbar": 0, "charged": 1, "ddbar": 2, "mixed": 3, "ssbar": 4, "taupair": 5, "uubar": 6,
    }  # fmt: skip


def test_an_unknown_event_type_names_what_is_near() -> None:
    with pytest.raises(UnknownName, match="near: mixed"):
        event_type_code("mixd")


def test_reading_a_long_file_needs_no_more_memory_than_a_short_one(tmp_path: Path) -> None:
    batch = batch_of([60] * 4000)
    peak = []
    for repeats in (1, 12):
        path = tmp_path / f"{repeats}.parquet"
        with EventWriter(path) as writer:
            for _ in range(repeats):
                writer.write(batch)
        code = (
            "import sys, resource; from smartbkg.events import read_batches\n"
            "n = sum(len(b) for b in read_batches(sys.argv[1]))\n"
            "print(n, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
        )
        done = subprocess.run([sys.executable, "-c", code, path], capture_output=True, text=True, check=True)
        count, kilobytes = map(int, done.stdout.split())
        assert count == 4000 * repeats
        peak.append(kilobytes)
    assert peak[1] < peak[0] + 60_000  # twelve times the events would be 160 MB more
