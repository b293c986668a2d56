"""Reconstructed events as batches, tables and files."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smartbkg.detector import DetectorConfig, RecoBatch, RecoWriter, read_reco, read_reco_batches, simulate
from smartbkg.errors import BadEvent, ColumnsMissing, NotAnEventFile


@pytest.fixture(scope="module")
def reco(mixed_events) -> RecoBatch:
    batch = simulate(mixed_events[0:30], DetectorConfig(), 1)
    return batch.with_extra(weight=np.linspace(1, 4, 30))


def test_a_file_gives_back_what_was_written(reco, tmp_path):
    with RecoWriter(tmp_path / "reco.parquet", {"note": 1}) as writer:
        writer.write(reco[0:12])
        writer.write(reco[12:30])
    assert read_reco(tmp_path / "reco.parquet").to_table().equals(reco.to_table())


def test_a_file_is_read_in_batches(reco, tmp_path):
    with RecoWriter(tmp_path / "reco.parquet") as writer:
        writer.write(reco)
    sizes = [len(batch) for batch in read_reco_batches(tmp_path / "reco.parquet", 8)]
    assert sizes == [8, 8, 8, 6]


def test_a_file_without_events_is_read(tmp_path):
    with RecoWriter(tmp_path / "none.parquet"):
        pass
    assert len(read_reco(tmp_path / "none.parquet")) == 0


def test_an_error_leaves_no_file(reco, tmp_path):
    with pytest.raises(KeyboardInterrupt), RecoWriter(tmp_path / "reco.parquet") as writer:
        writer.write(reco)
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_selected_events_keep_their_objects(reco):
    chosen = reco.select(np.array([7, 2]))
    assert chosen.event.tolist() == reco.event[[7, 2]].tolist()
    assert chosen.tracks.counts.tolist() == reco.tracks.counts[[7, 2]].tolist()
    first = reco.tracks.px_gev[reco.tracks.offsets[7] : reco.tracks.offsets[8]]
    assert np.array_equal(chosen.tracks.px_gev[: len(first)], first)
    assert chosen.extra["weight"].tolist() == reco.extra["weight"][[7, 2]].tolist()


def test_parts_put_together_are_the_whole(reco):
    parts = RecoBatch.concat([reco[0:1], reco[1:1], reco[1:30]])
    assert parts.to_table().equals(reco.to_table())


def test_batches_of_different_extra_info_are_refused(reco):
    with pytest.raises(BadEvent, match="different extra info"):
        RecoBatch.concat([reco, reco.with_extra(score=np.zeros(30))])


def test_a_batch_of_other_columns_than_the_first_is_refused(reco, tmp_path):
    with RecoWriter(tmp_path / "reco.parquet") as writer:
        writer.write(reco)
        with pytest.raises(BadEvent, match="score"):
            writer.write(reco.with_extra(score=np.zeros(30)))


def test_extra_info_of_wrong_length_is_refused(reco):
    with pytest.raises(BadEvent, match="'score' has 3 values for 30 events"):
        reco.with_extra(score=np.zeros(3))


def test_a_missing_collection_is_named(reco, tmp_path):
    pq.write_table(reco.to_table().drop_columns(["clusters", "event"]), tmp_path / "bad.parquet")
    with pytest.raises(ColumnsMissing, match="lacks clusters, event"):
        read_reco(tmp_path / "bad.parquet")


def test_a_missing_quantity_of_a_collection_is_named(reco):
    table = reco.to_table()
    tracks = table["tracks"].combine_chunks()
    kept = [f for f in tracks.type.value_type if f.name != "ll_kaon"]
    structs = pa.StructArray.from_arrays([tracks.values.field(f.name) for f in kept], fields=kept)
    lists = pa.ListArray.from_arrays(tracks.offsets, structs)
    bad = table.set_column(table.column_names.index("tracks"), "tracks", lists)
    with pytest.raises(ColumnsMissing, match=r"\(tracks\) lacks ll_kaon"):
        RecoBatch.from_table(bad)


def test_a_column_that_is_no_list_is_refused(reco):
    table = reco.to_table()
    bad = table.set_column(table.column_names.index("pi0s"), "pi0s", pa.array(np.zeros(30)))
    with pytest.raises(BadEvent, match="column pi0s is double"):
        RecoBatch.from_table(bad)


def test_a_truncated_file_is_refused(reco, tmp_path):
    path = tmp_path / "reco.parquet"
    with RecoWriter(path) as writer:
        writer.write(reco)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(NotAnEventFile, match=r"reco\.parquet"):
        read_reco(path)
