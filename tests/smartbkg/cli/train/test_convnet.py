"""`smartbkg train convnet`: the baseline from labels to a filter, by the same commands as GATGAP."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smartbkg.cli import main
from smartbkg.events import read_events
from smartbkg.framework import create_path, process
from smartbkg.modules.filter import NNFilterModule
from smartbkg.scorer import open_scorer
from support.networks import random_network, write_model
from support.training import SKIM, ToySample, write_toy_sample


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ToySample:
    return write_toy_sample(tmp_path_factory.mktemp("toy"), n_events=200, kaons=2)


@pytest.fixture(scope="module")
def trained(toy: ToySample, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("out")
    result = train(toy, folder, "--epochs", "3")
    assert result.exit_code == 0, result.output
    return folder


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def train(toy: ToySample, folder: Path, *more: object) -> Result:
    return call("train", "convnet", toy.events, "--labels", toy.labels, "--skim", SKIM, "-o", folder, *more)


def test_its_files_say_what_they_are(trained: Path) -> None:
    for name in ("ConvNet.pth", "ConvNet.onnx"):
        manifest = open_scorer(trained / name).manifest
        assert (manifest.kind, manifest.skim) == ("convnet", SKIM)
        assert manifest.feature_spec.features[-2:] == ("mass_gev", "charge")
    metrics = json.loads((trained / "metrics.json").read_text())
    assert metrics["config"]["model"]["max_particles"] == 100


def test_it_filters_and_is_evaluated_as_any_trained_file(toy: ToySample, trained: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.parquet"
    done = call("filter", toy.events, "--model-file", trained / "ConvNet.onnx", "--seed", 1, "-o", kept)
    assert done.exit_code == 0, done.stderr
    assert 0 < len(read_events(kept)) < 200
    for name in ("ConvNet.pth", "ConvNet.onnx"):
        result = call("evaluate", trained / name, toy.events, "--labels", toy.labels, "--skim", SKIM, "--json")
        assert result.exit_code == 0, result.stderr
        assert '"auc": 0.' in result.stdout


def test_its_folder_is_evaluated_and_published_and_a_job_filters_with_the_payload(
    toy: ToySample, trained: Path, tmp_path: Path
) -> None:
    result = call("evaluate", trained, toy.events, "--labels", toy.labels, "--skim", SKIM, "--json")
    assert result.exit_code == 0, result.stderr
    assert '"kind": "convnet"' in result.stdout
    store = tmp_path / "conditions.sqlite"
    done = call("publish", trained, "--store", store, "--state", "PUBLISHED")
    assert done.exit_code == 0, done.stderr
    assert "ConvNet.pth r1 and ConvNet.onnx r1 in SmartBKG_ConvNet (PUBLISHED)" in done.stdout
    path = create_path()
    path.add_module("EventInput", input_files=[toy.events])
    module = NNFilterModule(payload="ConvNet.pth", global_tag="SmartBKG_ConvNet")
    path.add_module(module)
    process(path, seed=1, conditions=str(store))
    names = [model["name"] for model in module.summary()["models"]]
    assert names == ["ConvNet.pth", "ConvNet.onnx"]


def test_it_is_resumed_and_fine_tuned(toy: ToySample, trained: Path, tmp_path: Path) -> None:
    refused = train(toy, trained, "--epochs", "3")
    assert refused.exit_code == 1
    assert "holds a finished training" in refused.stderr
    assert train(toy, trained, "--epochs", "3", "--resume").exit_code == 0
    result = train(toy, tmp_path / "b", "--start-from", trained / "ConvNet.pth", "--epochs", "1", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["parent"]["skim"] == SKIM


def test_a_network_of_another_kind_is_not_fine_tuned_as_this_one(toy: ToySample, tmp_path: Path) -> None:
    checkpoint, _ = write_model(tmp_path, random_network())
    result = train(toy, tmp_path / "out", "--start-from", checkpoint)
    assert result.exit_code == 1
    assert "is a 'gatgap' network: `smartbkg train gatgap` fine-tunes it, not convnet" in result.stderr
