"""Skims of files."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from smartbkg.detector import RecoWriter
from smartbkg.errors import BadEvent, ColumnsMissing, NotASkim
from smartbkg.parquet import read_metadata
from smartbkg.skim import CallableSkim, CombinedSkim, get_skim, list_skims, observables
from smartbkg.skim.job import skim_file
from support.generated import reconstructed


@pytest.fixture
def reco_file(tmp_path):
    path = tmp_path / "reco.parquet"
    with RecoWriter(path, {"times_ms": {"simulate": 0.1}, "provenance": [{"step": "simulate"}]}) as writer:
        writer.write(reconstructed("mixed", 600).with_extra(weight=np.linspace(1, 3, 600)))
    return path


def content(path) -> bytes:
    """All rows, bit by bit (NaN is not equal to NaN otherwise), without the metadata."""
    table = pq.read_table(path).replace_schema_metadata(None).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


def test_every_event_is_written_with_what_passes_and_its_weight(reco_file, tmp_path):
    skim_file(list_skims(), reco_file, tmp_path / "skimmed.parquet")
    table = pq.read_table(tmp_path / "skimmed.parquet")
    reco = reconstructed("mixed", 600)
    assert table.num_rows == 600
    assert table["event"].to_pylist() == reco.event.tolist()
    assert table["weight"].to_numpy().tolist() == np.linspace(1, 3, 600).tolist()
    expected = get_skim("feiHadronic").apply(reco)
    assert table["feiHadronic"].to_pylist() == expected.passed.tolist()
    assert np.array_equal(table["feiHadronic_mbc_gev"].to_numpy(), expected.variables["mbc_gev"], equal_nan=True)
    assert np.array_equal(table["r2"].to_numpy(), observables(reco)["r2"])


def test_retention_and_times_are_kept(reco_file, tmp_path):
    half = CallableSkim("half", lambda reco: reco.event % 2 == 0)
    metadata = skim_file([half], reco_file, tmp_path / "skimmed.parquet", command="by hand")
    assert metadata == read_metadata(tmp_path / "skimmed.parquet")
    assert metadata["retention"] == {"half": 0.5}
    assert set(metadata["times_ms"]) == {"simulate", "skim"}
    assert [step["step"] for step in metadata["provenance"]] == ["simulate", "skim"]


def test_a_file_without_events_is_skimmed(tmp_path):
    with RecoWriter(tmp_path / "none.parquet"):
        pass
    metadata = skim_file([get_skim("feiHadronic")], tmp_path / "none.parquet", tmp_path / "skimmed.parquet")
    assert (metadata["events"], metadata["retention"]) == (0, {"feiHadronic": 0.0})
    assert pq.read_schema(tmp_path / "skimmed.parquet").field("feiHadronic").type == "bool"


def test_the_file_is_the_same_for_any_number_of_workers(reco_file, tmp_path):
    (tmp_path / "mine.py").write_text("def odd(reco):\n    return reco.event % 2 == 1\n")
    skims, tables = ["feiHadronic", "tau", f"{tmp_path / 'mine.py'}:odd"], []
    for workers in (1, 2):
        output = tmp_path / f"{workers}.parquet"
        metadata = skim_file(skims, reco_file, output, workers=workers)
        tables.append(content(output))
        assert metadata["retention"]["odd"] == 0.5
    assert tables[0] == tables[1]


def test_a_function_that_cannot_travel_to_workers_is_refused_with_what_to_do(reco_file, tmp_path):
    half = CallableSkim("half", lambda reco: reco.event % 2 == 0)
    with pytest.raises(NotASkim, match=r"cannot be sent to 2 workers .* FILE.py:NAME"):
        skim_file([half], reco_file, tmp_path / "skimmed.parquet", workers=2)
    assert not (tmp_path / "skimmed.parquet").exists()


def test_a_combined_skim_has_a_column_beside_those_of_its_parts(reco_file, tmp_path):
    combined = CombinedSkim(get_skim("feiHadronic"), get_skim("TauGeneric"), name="both")
    metadata = skim_file([combined, get_skim("TauGeneric")], reco_file, tmp_path / "skimmed.parquet")
    assert list(metadata["retention"]) == ["feiHadronic", "TauGeneric", "both"]
    table = pq.read_table(tmp_path / "skimmed.parquet")
    either = table["feiHadronic"].to_numpy() | table["TauGeneric"].to_numpy()
    assert table["both"].to_pylist() == either.tolist()


def test_missing_columns_are_named_and_nothing_is_left(reco_file, tmp_path):
    bad = tmp_path / "bad.parquet"
    pq.write_table(pq.read_table(reco_file).drop_columns(["tracks"]), bad)
    with pytest.raises(ColumnsMissing, match=r"bad\.parquet lacks tracks"):
        skim_file([get_skim("TauGeneric")], bad, tmp_path / "skimmed.parquet")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.parquet", "reco.parquet"]


def test_extra_info_with_the_name_of_an_observable_is_refused(tmp_path):
    with RecoWriter(tmp_path / "reco.parquet") as writer:
        writer.write(reconstructed("mixed", 600).with_extra(r2=np.zeros(600)))
    with pytest.raises(BadEvent, match="two columns named 'r2'"):
        skim_file([get_skim("TauGeneric")], tmp_path / "reco.parquet", tmp_path / "skimmed.parquet")
