"""Both corridors, end to end, with the commands as a user types them: events to weights, trained file to module."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from smartbkg.events import read_events, read_metadata
from smartbkg.quickstart import Plan, steps
from support.postgres import create_database, drop_database, session_cluster

# Enough for a network that has learnt something; about half a minute on one core.
SIZE = ("--train", "12000", "--new", "6000", "--epochs", "3", "--workers", "1")


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name(str(command[0]))
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("CONDITIONS_", "BELLE2_"))}
    return subprocess.run(
        [program, *command[1:]], cwd=cwd, env={**clean, **environment}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The quickstart's folder and what it printed."""
    folder = tmp_path_factory.mktemp("house") / "quickstart"
    done = run("smartbkg", "quickstart", "-o", folder, *SIZE, cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def test_the_network_tells_new_events_apart(quickstart: tuple[Path, str]) -> None:
    figures = json.loads((quickstart[0] / "report" / "evaluation.json").read_text())
    assert figures["n_events"] == 6000
    assert figures["skims"]["feiHadronic"]["auc"] > 0.65
    comparison = figures["skims"]["feiHadronic"]["comparison"]
    assert len(comparison["observables"]) >= 30
    assert abs(comparison["largest_pull"]) < 5
    assert comparison["p_value"] > 1e-4


def test_every_generated_event_is_kept_or_not_and_weights_are_inverse_probabilities(
    quickstart: tuple[Path, str],
) -> None:
    kept = read_events(quickstart[0] / "kept.parquet")
    new = read_events(quickstart[0] / "new.parquet")
    assert set(kept.event) < set(new.event)
    assert np.array_equal(kept.extra["weight"], 1 / np.maximum(kept.extra["NN_prediction"], 1e-3))
    spread = np.sqrt((kept.extra["weight"] ** 2).sum())
    assert abs(kept.extra["weight"].sum() - len(new)) < 5 * spread


def test_a_kept_event_is_simulated_as_it_would_have_been_without_the_filter(quickstart: tuple[Path, str]) -> None:
    kept = pq.read_table(quickstart[0] / "kept.skim.parquet")
    truth = pq.read_table(quickstart[0] / "new.skim.parquet")
    place = {event: row for row, event in enumerate(truth["event"].to_pylist())}
    rows = [place[event] for event in kept["event"].to_pylist()]
    for name in truth.column_names:
        # Numbers are compared as text: where there is no candidate, NaN is what both sides have.
        assert list(map(str, kept[name].to_pylist())) == list(map(str, truth[name].take(rows).to_pylist())), name


def test_the_output_names_the_payload_it_was_filtered_with(quickstart: tuple[Path, str]) -> None:
    shown = run("conditions", "--store", quickstart[0], "resolve", "--tag", "SmartBKG_GATGAP", "--run", "0,2", "--json",
                cwd=quickstart[0])  # fmt: skip
    digests = {entry["sha256"] for entry in json.loads(shown.stdout)}
    said = json.dumps(read_metadata(quickstart[0] / "kept.parquet"))
    assert len(digests) == 2
    assert all(digest in said for digest in digests)


def test_the_published_tag_is_closed_and_its_history_complete(quickstart: tuple[Path, str]) -> None:
    store = ("conditions", "--store", quickstart[0])
    refused = run(*store, "iov", "add", "SmartBKG_GATGAP", "GATGAPgen.pth", "1,0,1,5", cwd=quickstart[0])
    assert refused.returncode == 1
    assert "PUBLISHED" in refused.stderr
    history = run(*store, "tag", "history", "SmartBKG_GATGAP", cwd=quickstart[0]).stdout
    assert all(word in history for word in ("create", "iov", "TESTING", "VALIDATED", "PUBLISHED"))


def test_a_second_run_repeats_nothing(quickstart: tuple[Path, str]) -> None:
    before = (quickstart[0] / "train.parquet").stat().st_mtime_ns
    again = run("smartbkg", "quickstart", "-o", quickstart[0], *SIZE, cwd=quickstart[0].parent)
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("(done already)") == sum(step.output is not None for step in steps(Plan(), 1))
    assert (quickstart[0] / "train.parquet").stat().st_mtime_ns == before
    same = [line for line in quickstart[1].splitlines() if line.startswith(("AUC  ", "largest pull"))]
    assert len(same) == 2
    assert all(line in again.stdout.splitlines() for line in same)


def test_the_same_payload_is_resolved_from_postgresql(
    quickstart: tuple[Path, str], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    folder = quickstart[0]
    url = create_database(session_cluster(pytestconfig))
    site = {"CONDITIONS_URL": url, "CONDITIONS_FILES": str(tmp_path / "payloads")}
    try:
        assert run("conditions", "db", "init", cwd=folder, **site).returncode == 0
        published = run("smartbkg", "publish", "gatgap", "--state", "PUBLISHED", cwd=folder, **site)
        assert published.returncode == 0, published.stderr
        kept = tmp_path / "kept.parquet"
        filtered = run("smartbkg", "filter", "new.parquet", "--seed", "1", "-o", kept, cwd=folder, **site)
        assert filtered.returncode == 0, filtered.stderr
        assert pq.read_table(kept).equals(pq.read_table(folder / "kept.parquet"))
    finally:
        drop_database(url)
