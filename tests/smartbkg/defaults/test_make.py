"""Making the defaults: real commands, nothing twice, and a result that can be shipped."""

from __future__ import annotations

import hashlib
import itertools
import os
from dataclasses import asdict
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from smartbkg.defaults import MAX_BYTES, SNAPSHOT, size_bytes
from smartbkg.defaults.make import PLAN_FILE, Making, install, make
from smartbkg.defaults.plan import Plan, Training, sample_lanes
from smartbkg.errors import DefaultsDamaged, OtherPlan, StepFailed
from smartbkg.evaluation.summary import write_evaluation
from smartbkg.modules.shipped import read_shipped
from smartbkg.recipe import remember
from support.shipped import ship
from support.trained import write_trained
from support.trained_multiskim import write_multiskim

SMALL = Plan(n_b_pairs=30, n_others=20, n_new=10)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("CONDITIONS_", "BELLE2_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CONDITIONS_CACHE", str(tmp_path / "cache"))


def evaluated(training: Path) -> None:
    """Leave the smallest evaluation of all files of a training."""
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in training.iterdir()}
    figures = {"n_events": 10, "event_types": {"mixed": 10}, "mixture": None, "network_ms": 0.5}
    skims = {"feiHadronic": {"auc": 0.9}}
    write_evaluation(training, {**figures, "sampling": {"seed": 1}, "skims": skims, "filter": {"sha256": digests}})


def test_events_are_made_once_and_belong_to_their_plan(tmp_path: Path) -> None:
    said: list[str] = []
    make(tmp_path / "work", SMALL, Training(), Making("generate"), said.append)
    rows = {
        path.relative_to(tmp_path / "work").as_posix(): pq.read_metadata(path).num_rows
        for path in (tmp_path / "work").glob("*/*.parquet")
    }
    assert len(rows) == 14
    assert (rows["train/mixed.parquet"], rows["train/uubar.parquet"], rows["new/mixed.parquet"]) == (30, 20, 10)
    assert sum(text.lstrip()[0].isdigit() for text in said) == 14  # the time of each command
    before = len(said)
    make(tmp_path / "work", SMALL, Training(), Making("generate"), said.append)
    assert sum("done already" in text for text in said[before:]) == 14
    with pytest.raises(OtherPlan, match="n_new: 10 there, 11 asked"):
        make(tmp_path / "work", Plan(30, 20, 11), Training(), Making("generate"), said.append)


def test_what_is_installed_takes_the_place_of_what_was_there_and_is_small_enough(tmp_path: Path) -> None:
    made, program = ship(tmp_path / "made").parent, tmp_path / "program"
    install(ship(tmp_path / "older", seed=9).parent, program)
    install(made, program)
    assert size_bytes(program) == size_bytes(made)
    assert read_shipped(program / SNAPSHOT).verify(MAX_BYTES) == size_bytes(made)
    large = next((made / "payloads").rglob("*.root"))
    with large.open("r+b") as stream:
        stream.truncate(MAX_BYTES + 1)
    with pytest.raises(DefaultsDamaged, match="at most 20000000 are shipped"):
        install(made, program)
    assert read_shipped(program / SNAPSHOT).verify(MAX_BYTES)


def test_an_installation_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    made, program = ship(tmp_path / "made").parent, tmp_path / "program"
    older = ship(tmp_path / "older", seed=9)
    install(older.parent, program)
    lost = sorted((made / "payloads").rglob("*.root"))[-1]
    lost.rename(tmp_path / "elsewhere")
    lost.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError):
        install(made, program)
    assert (program / SNAPSHOT).read_bytes() == older.read_bytes()
    assert read_shipped(program / SNAPSHOT).verify(MAX_BYTES)
    lost.unlink()
    (tmp_path / "elsewhere").rename(lost)
    install(made, program)
    assert size_bytes(program) == size_bytes(made)


def test_networks_that_are_there_are_published_with_what_they_are_worth_and_taken_along(tmp_path: Path) -> None:
    folder, said = tmp_path / "work", list[str]()
    remember(folder / PLAN_FILE, asdict(SMALL), "defaults")
    for step in itertools.chain.from_iterable(sample_lanes(SMALL)):
        path = folder / str(step.output)  # their events are not looked at any more
        path.parent.mkdir(exist_ok=True)
        path.touch()
    for training in (write_trained(folder / "gatgap"), write_multiskim(folder / "multiskim")):
        evaluated(training)
    make(folder, SMALL, Training(), Making(), said.append)
    shipped = read_shipped(folder / "snapshot" / SNAPSHOT)
    assert shipped.verify(MAX_BYTES, evaluated=True) == size_bytes(folder / "snapshot")
    assert len(shipped.payloads) == 5
    for each in shipped.payloads:
        assert each.payload.metadata["recipe"] == (
            "tools/defaults --b-pairs 30 --others 20 --new 10 --decays pythia --seed 1"
        )
    # Other networks, and an evaluation that is not theirs.
    write_trained(folder / "gatgap", seed=2)
    with pytest.raises(StepFailed, match="defaults verify"):
        make(folder, SMALL, Training(), Making(), said.append)
