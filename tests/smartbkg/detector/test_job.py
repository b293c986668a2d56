"""Simulation of files."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.detector import read_reco
from smartbkg.detector.job import SimulateConfig, simulate_file
from smartbkg.errors import ColumnsMissing
from smartbkg.events import EventWriter
from smartbkg.parquet import read_metadata


@pytest.fixture
def event_file(mixed_events, tmp_path):
    path = tmp_path / "events.parquet"
    with EventWriter(path, {"times_ms": {"generate": 0.1}, "provenance": [{"step": "generate"}]}) as writer:
        writer.write(mixed_events[0:300].with_extra(weight=np.full(300, 2.0)))
    return path


def test_content_does_not_depend_on_the_workers(event_file, tmp_path):
    for workers in (1, 2):
        simulate_file(event_file, tmp_path / f"reco{workers}.parquet", SimulateConfig(seed=5, workers=workers))
    one, two = (read_reco(tmp_path / f"reco{workers}.parquet").to_table() for workers in (1, 2))
    assert one.equals(two)
    assert one["weight"].to_pylist() == [2.0] * 300


def test_times_and_provenance_are_carried_forward(event_file, tmp_path):
    told: list[int] = []
    metadata = simulate_file(event_file, tmp_path / "reco.parquet", SimulateConfig(seed=5), progress=told.append)
    assert metadata == read_metadata(tmp_path / "reco.parquet")
    assert metadata["times_ms"]["generate"] == 0.1
    assert 0 < metadata["times_ms"]["simulate"] < 5
    assert [step["step"] for step in metadata["provenance"]] == ["generate", "simulate"]
    assert told == [300]


def test_a_file_of_reconstructed_events_is_no_file_of_generated_ones(event_file, tmp_path):
    simulate_file(event_file, tmp_path / "reco.parquet", SimulateConfig(seed=5))
    with pytest.raises(ColumnsMissing, match="lacks particles"):
        simulate_file(tmp_path / "reco.parquet", tmp_path / "again.parquet", SimulateConfig(seed=5))
    assert not (tmp_path / "again.parquet").exists()
