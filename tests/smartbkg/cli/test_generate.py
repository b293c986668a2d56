"""`smartbkg generate` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smartbkg.cli import main
from smartbkg.events import read_events, read_metadata


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["generate", *map(str, words)])


def test_events_are_written_and_said(tmp_path: Path) -> None:
    output = tmp_path / "events.parquet"
    result = run("ccbar", "-n", 30, "--seed", 1, "--exp", 3, "--run", 4, "--first-event", 11, "-o", output)
    assert result.exit_code == 0
    assert result.stdout.startswith(f"30 ccbar events in {output}")
    assert result.stderr == ""
    batch = read_events(output)
    assert batch.event.tolist() == list(range(11, 41))
    assert (batch.exp.tolist()[0], batch.run.tolist()[0]) == (3, 4)


def test_json_is_the_files_metadata(tmp_path: Path) -> None:
    output = tmp_path / "events.parquet"
    result = run("taupair", "-n", 20, "--seed", 1, "--tau-decays", "fast", "-o", output, "--json")
    metadata = json.loads(result.stdout)
    assert metadata == read_metadata(output)
    assert metadata["provenance"][0]["config"]["tau_decays"] == "fast"


def test_an_unknown_type_is_not_found_and_names_the_near_one(tmp_path: Path) -> None:
    result = run("charm", "-n", 1, "--seed", 1, "-o", tmp_path / "x.parquet")
    assert result.exit_code == 3
    assert "unknown event type 'charm'; near: charged" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("option", [("-n", "-1"), ("--workers", "0"), ("--first-event", "0"), ("--seed", "one")])
def test_numbers_that_cannot_be_are_a_usage_error(tmp_path: Path, option: tuple[str, str]) -> None:
    result = run("mixed", "-n", 1, "--seed", 1, "-o", tmp_path / "x.parquet", *option)
    assert result.exit_code == 2
    assert option[0] in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_seed_is_asked_for(tmp_path: Path) -> None:
    result = run("mixed", "-n", 1, "-o", tmp_path / "x.parquet")
    assert result.exit_code == 2
    assert "--seed" in result.stderr


def test_no_events_are_a_valid_file(tmp_path: Path) -> None:
    result = run("mixed", "-n", 0, "--seed", 1, "-o", tmp_path / "x.parquet")
    assert result.exit_code == 0
    assert len(read_events(tmp_path / "x.parquet")) == 0


def test_a_missing_folder_is_not_found(tmp_path: Path) -> None:
    result = run("mixed", "-n", 1, "--seed", 1, "-o", tmp_path / "nowhere" / "x.parquet")
    assert result.exit_code == 3
    assert "no folder" in result.stderr


def test_a_target_that_cannot_be_written_is_refused() -> None:
    result = run("mixed", "-n", 1, "--seed", 1, "-o", "/proc/x.parquet")  # no folder takes files there, not even root's
    assert result.exit_code in {1, 3}
    assert result.stderr.startswith("error: ")
    assert "/proc" in result.stderr


def test_help_has_an_example() -> None:
    result = run("--help")
    assert "Example: smartbkg generate mixed -n 1000 --seed 1 -o mixed.parquet" in result.stdout
