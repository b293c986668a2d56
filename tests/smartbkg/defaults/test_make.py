"""Making the defaults: real commands, nothing twice, and a result that can be shipped."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from smartbkg.defaults import MAX_BYTES, SNAPSHOT, size_bytes
from smartbkg.defaults.make import Making, install, make
from smartbkg.defaults.plan import Plan, Training
from smartbkg.errors import DefaultsDamaged, OtherPlan
from smartbkg.modules.shipped import read_shipped
from support.shipped import ship

SMALL = Plan(n_b_pairs=30, n_others=20, n_new=10)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("CONDITIONS_", "BELLE2_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CONDITIONS_CACHE", str(tmp_path / "cache"))


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
