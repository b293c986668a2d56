"""`smartbkg train multiskim`: options to files, talk on stderr, data on stdout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smartbkg.cli import main
from support.multiskim import Sample, toy_batches, write_sample

SHORT = ("--epochs", "1", "--epoch-events", "64", "--batch-size", "32")


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return write_sample(tmp_path_factory.mktemp("toy"), *toy_batches(120))


def train(sample: Sample, folder: Path, *more: str) -> Result:
    options = [*map(str, sample.events), "-o", str(folder)]
    for path in sample.labels:
        options += ["--labels", str(path)]
    return CliRunner().invoke(main, ["train", "multiskim", *options, *more])


def test_train_writes_its_files_and_says_what_came_out(sample: Sample, tmp_path: Path) -> None:
    result = train(sample, tmp_path / "out", *SHORT)
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert lines[0].startswith("2 skims, 240 events of 240 generated, ")
    assert lines[1].split("  ")[0] == "epoch 1/1"
    assert lines[1].endswith("0 min left")
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "skim",
        "manyKaons",
        "manyPhotons",
        "mean",
        "in",
    ]
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {
        "SmartBackgroundWeights_default.onnx",
        "SmartBackgroundWeights_default_batched.onnx",
        "SmartBackgroundConfig_default.json",
        "multiskim.pt",
        "metrics.json",
        "training.csv",
    }


def test_options_reach_the_training(sample: Sample, tmp_path: Path) -> None:
    options = ["--skims", "manyKaons", "--precision", "bf16", "--no-augment", "--seed", "9", "--learning-rate", "0.01"]
    options += ["--keep-failing", "0.9", "--validation-fraction", "0.3", "--threads", "1", "--device", "cpu", "--json"]
    result = train(sample, tmp_path / "out", *SHORT, *options)
    assert result.exit_code == 0, result.output
    metrics = json.loads(result.stdout)
    config = metrics["config"]
    assert list(metrics["skims"]) == ["manyKaons"]
    assert (config["precision"], config["augment"], config["seed"], config["batch_size"]) == ("bf16", False, 9, 32)
    assert (config["learning_rate"], config["validation_fraction"], metrics["keep_failing"]) == (0.01, 0.3, 0.9)


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--precision", "fp8"), 3, "unknown precision 'fp8'"),
        (("--device", "tpu"), 3, "unknown device 'tpu'"),
        (("--epochs", "0"), 2, "--epochs"),
        (("--keep-failing", "0"), 2, "--keep-failing"),
        (("--max-minutes", "0"), 2, "--max-minutes"),
        (("--skims", "feiHadronic"), 1, "lacks feiHadronic; it has manyKaons, manyPhotons"),
        (("--skims", "manyKaons,manyKaons"), 1, "asked for twice"),
        (("--start-from", "none.pt"), 3, "no file none.pt"),
    ],
)
def test_wrong_options_are_refused(more: tuple[str, ...], code: int, said: str, sample: Sample, tmp_path: Path) -> None:
    result = train(sample, tmp_path / "out", *SHORT, *more)
    assert (result.exit_code, said in result.stderr) == (code, True), result.output


def test_a_training_in_the_way_is_not_overwritten(sample: Sample, tmp_path: Path) -> None:
    assert train(sample, tmp_path / "out", *SHORT).exit_code == 0
    result = train(sample, tmp_path / "out", *SHORT)
    assert (result.exit_code, "holds a finished training" in result.stderr) == (1, True)
    assert train(sample, tmp_path / "out", *SHORT, "--resume").exit_code == 0


def test_without_torch_the_extra_to_install_is_named(sample: Sample, tmp_path: Path) -> None:
    # A process in which torch cannot be imported, as on a worker without it.
    code = "import sys; sys.modules['torch'] = None; from smartbkg.cli import main; main()"
    options = [*sample.events, "--labels", sample.labels[0], "--labels", sample.labels[1], "-o", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "multiskim", *options], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (
        1,
        "error: this needs torch, which is not installed: pip install 'smartbkg[train]'\n",
    )
