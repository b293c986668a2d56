"""How commands find a filter in the conditions: by revision, by tag and run, and among what came along."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conditions.store import open_store
from smartbkg.cli import main
from smartbkg.smartbackground import CONFIG_FILE
from support.evaluated import LabelledSample, write_sample
from support.shipped import installed
from support.trained_multiskim import publish_random

WEIGHTS, CONFIG = "SmartBackgroundWeights_default", "SmartBackgroundConfig_default"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two multi-skim networks in two tags."""
    folder = tmp_path_factory.mktemp("filters")
    with open_store(f"sqlite:///{folder / 'store.db'}") as store:
        publish_random(store, folder / "first", seed=1, tag="one")
        publish_random(store, folder / "second", seed=2, tag="two")
    return folder


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> LabelledSample:
    return write_sample(tmp_path_factory.mktemp("sample"), 60)


def compare(folder: Path, sample: LabelledSample, a: str, b: object, *more: object) -> Result:
    words = ["compare", a, str(b), str(sample.events), "--store", str(folder / "store.db"), *map(str, more)]
    return CliRunner().invoke(main, words)


@pytest.mark.parametrize(
    ("payload", "more", "trained"),
    [
        (f"{WEIGHTS}@1", [], "first"),
        (f"{WEIGHTS}@2", [], "second"),
        (WEIGHTS, [], "second"),
        (f"{CONFIG}@1", [], "first"),
        (CONFIG, ["--tag", "one"], "first"),
        (WEIGHTS, ["--tag", "one", "--run", "3,7"], "first"),
        (WEIGHTS, ["--tag", "two", "--tag", "one"], "second"),
    ],
)
def test_weights_and_configuration_come_together(
    folder: Path, sample: LabelledSample, payload: str, more: list[str], trained: str
) -> None:
    result = compare(folder, sample, payload, folder / trained, "--max-drift", 0, "--json", *more)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["a"]["sha256"] == found["b"]["sha256"]
    assert "batched" in found["a"]["sha256"]
    assert len(found["skims"]) == 4


def test_weights_with_the_configuration_of_other_weights_are_refused(folder: Path, sample: LabelledSample) -> None:
    config = folder / "second" / CONFIG_FILE
    result = compare(folder, sample, f"{WEIGHTS}@1", folder / "first", "--config", config)
    assert result.exit_code == 1
    assert "two trainings" in result.stderr


def test_weights_whose_configuration_is_gone_say_what_to_do(folder: Path, sample: LabelledSample) -> None:
    result = compare(folder, sample, f"{WEIGHTS}@1", folder / "first", "--config", "GATGAPgen_none")
    assert result.exit_code == 1
    assert f"no payload GATGAPgen_none belongs to {WEIGHTS}" in result.stderr


def test_two_networks_drift_in_every_skim(folder: Path, sample: LabelledSample) -> None:
    result = compare(folder, sample, f"{WEIGHTS}@1", f"{WEIGHTS}@2", "--labels", sample.labels, "--max-drift", 0.01)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines[0] == f"a  {WEIGHTS}@1"
    assert {line.split()[0] for line in lines[4:]} == {"feiHadronic", "feiSL", "TauGeneric", "XToD0_D0ToHpJm"}
    assert "AUC a" in lines[3]


def test_what_came_along_is_found_by_run_with_nothing_configured(
    sample: LabelledSample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, tmp_path)
    for payload, trained in (("GATGAPgen.pth", "gatgap"), (WEIGHTS, "multiskim")):
        words = ["compare", payload, str(tmp_path / "shipped-maker" / trained), str(sample.events), "--run", "0,1"]
        result = CliRunner().invoke(main, [*words, "--max-drift", "1e-6"])
        assert result.exit_code == 0, result.output
        assert f"{payload}@1 of run 0:1" in result.stdout


def test_a_run_that_is_none_is_refused(folder: Path, sample: LabelledSample) -> None:
    result = compare(folder, sample, WEIGHTS, folder / "first", "--tag", "one", "--run", "x")
    assert result.exit_code == 2
    assert "EXP,RUN" in result.stderr
