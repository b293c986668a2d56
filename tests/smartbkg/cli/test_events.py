"""`smartbkg events` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import pyhepmc
import pytest
from click.testing import CliRunner, Result

from smartbkg.cli import main
from smartbkg.events import read_events
from smartbkg.generate import GenerateConfig, generate_file


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["events", *map(str, words)])


@pytest.fixture(scope="module")
def event_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("events") / "events.parquet"
    generate_file(GenerateConfig("charged", 50, seed=1, exp=7, run=2), path)
    return path


def write_hepmc(path: Path) -> None:
    event = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
    vertex = pyhepmc.GenVertex((0.0, 0.0, 10.0, 0.0))
    vertex.add_particle_in(pyhepmc.GenParticle((0.0, 0.0, 0.0, 0.498), 310, 2))
    for pdg, pz in ((211, 0.206), (-211, -0.206)):
        vertex.add_particle_out(pyhepmc.GenParticle((0.0, 0.0, pz, 0.249), pdg, 1))
    event.add_vertex(vertex)
    with pyhepmc.open(path, "w") as stream:
        stream.write(event)


def test_a_summary_counts_and_tells_the_origin(event_file: Path) -> None:
    summary = json.loads(run("show", event_file, "--json").stdout)
    assert summary["events"] == 50
    assert summary["types"] == {"charged": 50}
    assert summary["runs"] == ["7:2"]
    assert summary["event_numbers"] == [1, 50]
    assert 8 < summary["charged_per_event"] < 13
    assert summary["metadata"]["provenance"][0]["config"]["seed"] == 1


def test_the_text_has_the_same_fields(event_file: Path) -> None:
    text, names = run("show", event_file).stdout, json.loads(run("show", event_file, "--json").stdout)
    assert [line.split()[0] for line in text.splitlines()] == list(names)


def test_an_empty_file_has_a_summary(tmp_path: Path) -> None:
    generate_file(GenerateConfig("mixed", 0, seed=1), tmp_path / "none.parquet")
    summary = json.loads(run("show", tmp_path / "none.parquet", "--json").stdout)
    assert (summary["events"], summary["types"], summary["event_numbers"]) == (0, {}, [])


def test_a_hepmc_file_becomes_an_event_file(tmp_path: Path) -> None:
    write_hepmc(tmp_path / "kaon.hepmc")
    result = run("import", tmp_path / "kaon.hepmc", "--type", "mixed", "--run", 9, "-o", tmp_path / "kaon.parquet")
    assert result.exit_code == 0
    assert result.stdout.startswith("1 mixed events of ")
    particles = read_events(tmp_path / "kaon.parquet").particles
    assert particles.pdg.tolist() == [310, 211, -211]
    assert particles.z_cm.tolist() == [0.0, 1.0, 1.0]
    again = run("import", tmp_path / "kaon.hepmc", "--type", "mixed", "-o", tmp_path / "kaon.parquet", "--json")
    assert json.loads(again.stdout)["events"] == 1


def test_a_damaged_file_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    write_hepmc(tmp_path / "kaon.hepmc")
    (tmp_path / "kaon.hepmc").write_bytes((tmp_path / "kaon.hepmc").read_bytes()[:-60])
    result = run("import", tmp_path / "kaon.hepmc", "--type", "mixed", "-o", tmp_path / "kaon.parquet")
    assert result.exit_code == 1
    assert "kaon.hepmc" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["kaon.hepmc"]


@pytest.mark.parametrize("words", [("show", "none.parquet"), ("import", "none.hepmc", "--type", "mixed", "-o", "x")])
def test_missing_files_are_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert result.exit_code == 3
    assert words[1] in result.stderr


def test_a_file_that_is_no_event_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.parquet").write_bytes(b"PAR1 but not really PAR1")
    result = run("show", tmp_path / "x.parquet")
    assert result.exit_code == 1
    assert "x.parquet" in result.stderr


@pytest.mark.parametrize("command", ["import", "show"])
def test_help_has_an_example(command: str) -> None:
    assert "Example: smartbkg events" in run(command, "--help").stdout


@pytest.mark.parametrize("step", ["simulate", "skim"])
def test_reconstructed_and_skimmed_files_are_summarised_too(event_file: Path, tmp_path: Path, step: str) -> None:
    reco, skimmed = tmp_path / "simulate", tmp_path / "skim"
    CliRunner().invoke(main, ["simulate", str(event_file), "--seed", "1", "-o", str(reco)])
    CliRunner().invoke(main, ["skim", "feiHadronic", str(reco), "-o", str(skimmed)])
    summary = json.loads(run("show", tmp_path / step, "--json").stdout)
    assert (summary["events"], summary["types"], summary["runs"]) == (50, {"charged": 50}, ["7:2"])
    assert ("feiHadronic" if step == "skim" else "tracks") in summary["columns"]
    assert [s["step"] for s in summary["metadata"]["provenance"]][:2] == ["generate", "simulate"]


@pytest.mark.parametrize("step", ["simulate", "skim feiHadronic"])
def test_a_step_never_replaces_its_input(event_file: Path, step: str) -> None:
    before = event_file.read_bytes()
    seed = ["--seed", "1"] if step == "simulate" else []
    result = CliRunner().invoke(main, [*step.split(), str(event_file), "-o", str(event_file), *seed])
    assert result.exit_code == 1
    assert "is an input of this step" in result.stderr
    assert event_file.read_bytes() == before
