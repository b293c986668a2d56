from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conditions.store import open_store
from smartbkg.parquet import read_metadata, read_tables
from support.trained import publish_trained


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with a published network."""
    url = f"sqlite:///{tmp_path / 'store' / 'conditions.db'}"
    with open_store(url) as store:
        publish_trained(store, tmp_path / "network", seed=5)
    return url


def test_the_example_runs_as_users_run_it(url: str, tmp_path: Path) -> None:
    output = tmp_path / "skimmed.parquet"
    done = subprocess.run(
        [sys.executable, "-m", "smartbkg.examples.smartbkg_evtgen", "400", str(output)],
        env={**os.environ, "CONDITIONS_URL": url, "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "400 events of 1 run" in done.stdout
    assert "NNFilterModule" in done.stdout
    (table,) = list(read_tables(output))
    assert table["feiHadronic"].to_numpy().all()
    assert np.array_equal(table["weight"].to_numpy(), 1 / table["NN_prediction"].to_numpy())
    metadata = read_metadata(output)
    assert [step["step"] for step in metadata["provenance"]] == ["generate", "filter", "simulate", "skim"]
    assert set(metadata["times_ms"]) == {"generate", "filter", "simulate", "skim"}
    assert metadata["provenance"][1]["n_events"] == 400
    assert metadata["provenance"][1]["models"][0]["tag"] == "SmartBKG_GATGAP"
