"""`smartbkg simulate`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from smartbkg.cli import main
from smartbkg.detector import read_reco
from smartbkg.events import EventWriter
from support.generated import generated


@pytest.fixture
def event_file(tmp_path):
    with EventWriter(tmp_path / "events.parquet") as writer:
        writer.write(generated("mixed", 600)[0:50])
    return tmp_path / "events.parquet"


def test_it_writes_one_reconstructed_event_for_each_generated_one(event_file, tmp_path):
    output = tmp_path / "reco.parquet"
    result = CliRunner().invoke(main, ["simulate", str(event_file), "--seed", "1", "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"50 events in {output}")
    assert len(read_reco(output)) == 50


def test_json_is_the_files_metadata(event_file, tmp_path):
    arguments = ["simulate", str(event_file), "--seed", "1", "-o", str(tmp_path / "reco.parquet"), "--json"]
    metadata = json.loads(CliRunner().invoke(main, arguments).stdout)
    assert metadata["kind"] == "reco"
    assert metadata["provenance"][-1]["seed"] == 1


def test_a_missing_file_is_named(tmp_path):
    arguments = ["simulate", str(tmp_path / "no.parquet"), "--seed", "1", "-o", str(tmp_path / "reco.parquet")]
    result = CliRunner().invoke(main, arguments)
    assert (result.exit_code, result.stdout) == (3, "")
    assert "no.parquet" in result.stderr


def test_a_file_that_is_no_parquet_is_refused(tmp_path):
    (tmp_path / "bad.parquet").write_text("not parquet")
    arguments = ["simulate", str(tmp_path / "bad.parquet"), "--seed", "1", "-o", str(tmp_path / "reco.parquet")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert not (tmp_path / "reco.parquet").exists()


def test_the_seed_is_required(event_file, tmp_path):
    result = CliRunner().invoke(main, ["simulate", str(event_file), "-o", str(tmp_path / "reco.parquet")])
    assert result.exit_code == 2
    assert "--seed" in result.stderr


def test_a_missing_folder_is_named(event_file, tmp_path):
    result = CliRunner().invoke(main, ["simulate", str(event_file), "--seed", "1", "-o", str(tmp_path / "no" / "r.pq")])
    assert result.exit_code == 3
    assert result.stderr == f"error: no folder {tmp_path / 'no'} for r.pq\n"


def test_a_seed_that_does_not_fit_is_refused_in_one_line(event_file, tmp_path):
    arguments = ["simulate", str(event_file), "--seed", str(2**64), "-o", str(tmp_path / "reco.parquet")]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 1
    assert result.stderr == f"error: the seed must fit 64 bits, found {2**64}\n"
