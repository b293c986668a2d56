from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conditions.store import open_store
from smartbkg.examples.smartbkg_debug_mode import write_predictions
from smartbkg.examples.smartbkg_multiskim import produce_skimmed_events
from smartbkg.parquet import read_metadata, read_tables
from smartbkg.skim import CombinedSkim, get_skim
from support.trained_multiskim import publish_random

N_EVENTS = 400
COMBINED = CombinedSkim(get_skim("feiHadronic"), get_skim("feiSL"), get_skim("TauGeneric"))
NAMES = [skim.name for skim in COMBINED.skims]


@pytest.fixture(autouse=True)
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store with a network for these skims, the default one of this test."""
    for name in ("CONDITIONS_TAGS", "BELLE2_CONDB_GLOBALTAG", "CONDITIONS_FILES"):
        monkeypatch.delenv(name, raising=False)
    url = f"sqlite:///{tmp_path / 'store' / 'conditions.db'}"
    monkeypatch.setenv("CONDITIONS_URL", url)
    with open_store(url) as store:
        publish_random(store, tmp_path / "network")


def columns(path: Path) -> dict[str, np.ndarray]:
    (table,) = list(read_tables(path))
    return {name: table[name].to_numpy() for name in table.column_names if name != "event_type"}


def test_one_skim_is_filtered_simulated_and_skimmed(tmp_path: Path) -> None:
    done = produce_skimmed_events(get_skim("feiHadronic"), N_EVENTS, str(tmp_path / "skimmed.parquet"))
    found = columns(tmp_path / "skimmed.parquet")
    assert found["feiHadronic"].all()
    assert found["weight_feiHadronic"].min() >= 1.0
    steps = read_metadata(tmp_path / "skimmed.parquet")["provenance"]
    assert [step["step"] for step in steps] == ["generate", "filter", "simulate", "skim"]
    assert [model["tag"] for model in steps[1]["models"]] == ["SmartBackground"] * 3
    assert done["FastSimulation"].n_events == steps[1]["n_kept"] < N_EVENTS
    assert done.n_events == N_EVENTS


def test_each_skim_of_a_combined_one_has_a_weight_of_its_own(tmp_path: Path) -> None:
    produce_skimmed_events(COMBINED, N_EVENTS, str(tmp_path / "skimmed.parquet"))
    found = columns(tmp_path / "skimmed.parquet")
    assert found["CombinedSkim"].all()
    assert np.array_equal(found["CombinedSkim"], np.logical_or.reduce([found[name] for name in NAMES]))
    assert all(max(weights) > 0 for weights in zip(*(found[f"weight_{name}"] for name in NAMES), strict=True))


def test_weighted_skims_agree_with_those_of_all_events(tmp_path: Path) -> None:
    write_predictions(COMBINED, N_EVENTS, str(tmp_path / "all.parquet"))
    true = columns(tmp_path / "all.parquet")
    for seed in (1, 2):
        produce_skimmed_events(COMBINED, N_EVENTS, str(tmp_path / f"{seed}.parquet"), seed=seed)
    # The same seed generates and simulates the same events, whether they were filtered or not.
    kept = columns(tmp_path / "1.parquet")
    rows = np.searchsorted(true["event"], kept["event"])
    for name in NAMES:
        estimate = float(kept[f"weight_{name}"][kept[name]].sum())
        assert np.array_equal(true[name][rows], kept[name])
        p = true[f"SmartBKG_Prediction_{name}"]
        sampled = kept[f"weight_{name}"] > 0
        assert np.array_equal(kept[f"weight_{name}"][sampled], 1 / p[rows][sampled])
        error = np.sqrt((1 / p[true[name]] - 1).sum())
        assert abs(estimate - true[name].sum()) < 4 * error + 1e-9
    assert not np.array_equal(kept["event"], columns(tmp_path / "2.parquet")["event"])


def test_debug_mode_writes_predictions_and_flags_of_all_events(tmp_path: Path) -> None:
    done = write_predictions(COMBINED, N_EVENTS, str(tmp_path / "all.parquet"))
    found = columns(tmp_path / "all.parquet")
    assert len(found["event"]) == done.n_finished == N_EVENTS
    for name in NAMES:
        assert found[f"SmartBKG_Prediction_{name}"].min() > 0
        assert len(np.unique(found[f"SmartBKG_Prediction_{name}"])) > 100
        assert found[name].dtype == bool
    assert not [name for name in found if name.startswith("weight")]
    assert 0 < found["feiHadronic"].sum() < N_EVENTS


@pytest.mark.parametrize(
    ("example", "words", "said"),
    [
        ("smartbkg_multiskim", ["100", "out.parquet"], "100 events of 1 run"),
        ("smartbkg_multiskim", ["100", "out.parquet", "feiHadronic", "18570600"], "SmartBackground"),
        ("smartbkg_debug_mode", ["100", "out.parquet", "feiHadronic", "TauGeneric"], "100 to the end"),
    ],
)
def test_the_examples_run_as_users_run_them(tmp_path: Path, example: str, words: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", f"smartbkg.examples.{example}", *words],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert said in done.stdout
    assert "SmartBackgroundWeights_default_batched r1 of SmartBackground" in done.stderr
    assert (tmp_path / "out.parquet").exists()


def test_the_lines_in_the_readme_are_those_of_the_example() -> None:
    root = Path(__file__).parents[3]
    text = (root / "README.md").read_text(encoding="utf-8")
    example = (root / "smartbkg" / "examples" / "smartbkg_multiskim.py").read_text(encoding="utf-8")
    lines = text.split("```python\npath = create_path()")[1].split("```")[0].split("\n")
    assert len([line for line in lines if line]) == 5
    assert [line for line in lines if line not in example] == []
