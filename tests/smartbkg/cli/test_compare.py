"""`smartbkg compare`: two filters on the same events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from conditions.store import open_store
from smartbkg.cli import main
from smartbkg.events import read_events
from smartbkg.features import build
from smartbkg.scorer import open_scorer
from smartbkg.training import metrics
from support.trained import publish_trained, write_trained
from support.trained_multiskim import write_multiskim
from support.training import SKIM, write_toy_sample

N_EVENTS = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks, published as two revisions, and labelled events."""
    folder = tmp_path_factory.mktemp("compare")
    write_toy_sample(folder, n_events=N_EVENTS, kaons=2)
    with open_store(f"sqlite:///{folder / 'store.db'}") as store:
        publish_trained(store, folder / "first", seed=1, tag="one")
        publish_trained(store, folder / "second", seed=2, tag="two")
    return folder


def compare(folder: Path, a: str, b: str, *more: object) -> Result:
    words = ["compare", a, b, str(folder / "toy1.parquet"), "--store", str(folder / "store.db"), *map(str, more)]
    return CliRunner().invoke(main, words)


def figures(folder: Path, *words: object) -> dict[str, Any]:
    result = compare(folder, *map(str, words), "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_the_same_network_does_not_drift(folder: Path) -> None:
    found = figures(folder, folder / "first", folder / "first" / "GATGAPgen.onnx")
    skim = found["skims"]["feiHadronic"]
    assert found["largest_change"] == skim["ks"] == skim["mean_change"] == 0
    assert skim["correlation"] == pytest.approx(1)
    assert skim["kept_by_both"] == 1
    assert skim["a"] == skim["b"]


def test_a_checkpoint_and_its_export_are_one_network(folder: Path) -> None:
    words = (folder / "first" / "GATGAPgen.pth", folder / "first" / "GATGAPgen.onnx", "--max-drift", 1e-4)
    assert figures(folder, *words)["largest_change"] < 1e-5


def test_figures_of_two_networks_are_those_of_their_scores(folder: Path) -> None:
    found = figures(
        folder, "GATGAPgen.pth@1", "GATGAPgen.pth@2", "--labels", folder / "toy1.labels.parquet", "--skim", SKIM
    )
    skim = found["skims"][SKIM]
    events = read_events(folder / "toy1.parquet")
    passed = pq.read_table(folder / "toy1.labels.parquet")[SKIM].to_numpy()
    p = {}
    for side, name in (("a", "first"), ("b", "second")):
        scorer = open_scorer(folder / name / "GATGAPgen.onnx")
        p[side] = np.maximum(scorer.score(build(events)), 1e-3)
        assert skim[side]["auc"] == pytest.approx(metrics.auc(p[side], passed), abs=1e-12)
        assert skim[side]["kept_fraction"] == pytest.approx(p[side].mean())
        assert skim[side]["speed_up"] == pytest.approx(metrics.speed_up(p[side], passed, passed.mean()))
        spread = 5 * np.sqrt(skim[side]["sum_of_squared_weights"])
        assert skim[side]["sum_of_weights"] == pytest.approx(N_EVENTS, abs=spread)
    change = p["b"] - p["a"]
    assert skim["largest_change"] == pytest.approx(np.abs(change).max(), abs=1e-6)
    assert skim["largest_change_of"] == f"event {events.event[np.argmax(np.abs(change))]} of run 0,1"
    assert skim["mean_change"] == pytest.approx(change.mean(), abs=1e-6)
    assert skim["correlation"] == pytest.approx(np.corrcoef(p["a"], p["b"])[0, 1], abs=1e-5)
    assert found["a"]["source"] == "GATGAPgen.pth@1"


def test_people_get_a_table(folder: Path) -> None:
    result = compare(folder, "GATGAPgen.onnx@1", "GATGAPgen.onnx")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[:3] == ["a  GATGAPgen.onnx@1", "b  GATGAPgen.onnx@2", f"{N_EVENTS} events"]
    assert "largest change" in result.stdout
    assert "AUC" not in result.stdout  # nothing is labelled


def test_more_drift_than_allowed_ends_with_one_and_names_the_event(folder: Path) -> None:
    result = compare(folder, "GATGAPgen.pth@1", "GATGAPgen.pth@2", "--max-drift", 0.001)
    assert result.exit_code == 1
    assert "of run 0,1 for feiHadronic), 0.001 is allowed" in result.stderr
    assert "largest change" in result.stdout
    assert compare(folder, "GATGAPgen.pth@1", "GATGAPgen.pth@2", "--max-drift", 1).exit_code == 0


def test_a_payload_by_tag_is_the_one_that_jobs_of_the_run_get(folder: Path) -> None:
    found = figures(folder, "GATGAPgen.pth", folder / "second", "--tag", "two")
    assert found["largest_change"] == 0
    assert found["a"]["source"] == "GATGAPgen.pth@2 of run 0:1"
    named = compare(folder, "GATGAPgen.pth", str(folder / "first"), "--tag", "one", "--run", "7,120", "--max-drift", 0)
    assert named.exit_code == 0
    assert "GATGAPgen.pth@1 of run 7:120" in named.stdout


@pytest.mark.parametrize(
    ("a", "more", "said"),
    [
        ("nothing.pth", [], "nothing.pth"),
        ("GATGAPgen.pth@9", [], "GATGAPgen.pth"),
        ("GATGAPgen.pth", ["--tag", "three"], "three"),
        ("nothing.pth", ["--tag", "one"], "nothing.pth"),
        ("no/file.onnx", [], "no/file.onnx"),
    ],
)
def test_what_is_not_there_is_said_by_name(folder: Path, a: str, more: list[str], said: str) -> None:
    result = compare(folder, a, "GATGAPgen.pth@1", *more)
    assert result.exit_code == 3, result.output
    assert said in result.stderr


def test_events_of_runs_with_different_payloads_need_a_run(folder: Path, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'store.db'}") as store:
        publish_trained(store, tmp_path / "first", seed=1, tag="both", iov="0,0,0,1", state=None)
        publish_trained(store, tmp_path / "second", seed=2, tag="both", iov="0,2,-1,-1")
    table = pq.read_table(folder / "toy1.parquet")
    runs = np.where(np.arange(len(table)) < 50, 2, 1).astype(np.int32)
    mixed = table.set_column(table.schema.get_field_index("run"), "run", [runs])
    pq.write_table(mixed, tmp_path / "events.parquet")
    words = ["compare", "GATGAPgen.pth", "GATGAPgen.pth", str(tmp_path / "events.parquet"), "--tag", "both"]
    result = CliRunner().invoke(main, [*words, "--store", str(tmp_path / "store.db")])
    assert result.exit_code == 1
    assert "the runs 0:1, 0:2 get different payloads GATGAPgen.pth: choose one with --run" in result.stderr


def test_filters_that_know_no_common_skim_need_one_to_be_named(folder: Path, tmp_path: Path) -> None:
    write_trained(tmp_path / "third", 3)
    found = figures(folder, folder / "first", tmp_path / "third", "--skim", "another")
    assert list(found["skims"]) == ["another"]


def test_two_filters_of_one_skim_each_are_compared_whatever_they_are_for(folder: Path, tmp_path: Path) -> None:
    other = write_multiskim(tmp_path / "other", skims={"feiSL": 11180600})
    forth = figures(folder, folder / "first", other, "--event-type", "mixed")
    back = figures(folder, other, folder / "first", "--event-type", "mixed")
    assert (list(forth["skims"]), list(back["skims"])) == (["feiHadronic"], ["feiSL"])
    assert forth["skims"]["feiHadronic"]["b"]["kept_fraction"] == back["skims"]["feiSL"]["a"]["kept_fraction"]
