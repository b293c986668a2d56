"""`smartbkg train gatgap`: options to files, talk on stderr, data on stdout."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conditions.store import open_store
from smartbkg.cli import main
from smartbkg.scorer import open_scorer
from smartbkg.training.folder import claimed
from support.networks import SMALL_CONFIG
from support.trained import write_trained
from support.training import SKIM, ToySample, write_toy_sample


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ToySample:
    return write_toy_sample(tmp_path_factory.mktemp("toy"), n_events=150, kaons=2)


def train(toy: ToySample, folder: Path, *more: str, skim: str = SKIM) -> Result:
    options = ["train", "gatgap", str(toy.events), "--labels", str(toy.labels), "--skim", skim, "-o", str(folder)]
    return CliRunner().invoke(main, [*options, *more])


def test_train_writes_its_files_and_says_what_came_out(toy: ToySample, tmp_path: Path) -> None:
    result = train(toy, tmp_path / "out", "--epochs", "2")
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert "AUC" in result.stdout
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {
        "GATGAPgen.pth",
        "GATGAPgen.onnx",
        "metrics.json",
        "training.csv",
    }


def test_options_reach_the_training(toy: ToySample, tmp_path: Path) -> None:
    options = ["--epochs", "1", "--loss", "speedup", "--schedule", "cosine", "--batch-size", "16", "--no-augment"]
    options += ["--retention", "0.04", "--seed", "9", "--threads", "1", "--learning-rate", "0.002", "--json"]
    result = train(toy, tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    metrics = json.loads(result.stdout)
    config = metrics["config"]
    assert (config["loss"], config["schedule"], config["batch_size"], config["augment"]) == (
        "speedup",
        "cosine",
        16,
        False,
    )
    assert (config["seed"], config["learning_rate"], metrics["retention"]) == (9, 0.002, 0.04)
    assert open_scorer(tmp_path / "out" / "GATGAPgen.onnx").manifest.skim == SKIM


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        (("--loss", "hinge"), 3, "unknown loss 'hinge'"),
        (("--schedule", "stairs"), 3, "unknown schedule 'stairs'"),
        (("--epochs", "0"), 2, "--epochs"),
        (("--retention", "1"), 2, "--retention"),
        (("--retention", "nan"), 1, "retention is between 0 and 1, not nan"),
        (("--learning-rate", "nan"), 1, "learning rate is a positive number, not nan"),
        (("--start-from", "none.pth"), 3, "no file none.pth"),
    ],
)
def test_wrong_options_are_refused(more: tuple[str, ...], code: int, said: str, toy: ToySample, tmp_path: Path) -> None:
    result = train(toy, tmp_path / "out", *more)
    assert (result.exit_code, said in result.stderr) == (code, True), result.output


def test_an_unknown_skim_is_refused_with_those_that_are_there(toy: ToySample, tmp_path: Path) -> None:
    result = train(toy, tmp_path / "out", skim="feiHadronic")
    assert result.exit_code == 1
    assert "lacks feiHadronic; it has toySkim" in result.stderr


def test_missing_events_are_not_found(toy: ToySample, tmp_path: Path) -> None:
    result = train(ToySample(tmp_path / "none.parquet", toy.labels), tmp_path / "out")
    assert result.exit_code == 3
    assert "none.parquet" in result.stderr


def test_an_unfinished_training_is_not_overwritten(toy: ToySample, tmp_path: Path) -> None:
    assert train(toy, tmp_path / "out", "--epochs", "1").exit_code == 0
    (tmp_path / "out" / "metrics.json").unlink()  # as if it had been killed at the end
    result = train(toy, tmp_path / "out", "--epochs", "1")
    assert result.exit_code == 1
    assert "unfinished training" in result.stderr
    assert train(toy, tmp_path / "out", "--epochs", "1", "--resume").exit_code == 0


def test_a_payload_is_fine_tuned_and_the_next_publication_knows_its_parent(toy: ToySample, tmp_path: Path) -> None:
    assert train(toy, tmp_path / "first", "--epochs", "1").exit_code == 0
    store = ["--store", str(tmp_path / "conditions.sqlite")]
    published = CliRunner().invoke(main, ["publish", str(tmp_path / "first"), *store])
    assert published.exit_code == 0, published.stderr

    result = train(toy, tmp_path / "second", "--from", "GATGAPgen.pth@1", *store, "--epochs", "1")
    assert result.exit_code == 0, result.output
    digest = hashlib.sha256((tmp_path / "first" / "GATGAPgen.pth").read_bytes()).hexdigest()
    assert (
        f"starts from GATGAPgen.pth@1 of SmartBKG_GATGAP (sha256 {digest[:12]}…, for {SKIM}), its last layer kept, "
        "first rate 0.0003\n"
    ) in result.stderr
    assert " before, as GATGAPgen.pth@1 of SmartBKG_GATGAP came)" in result.stdout
    assert CliRunner().invoke(main, ["publish", str(tmp_path / "second"), *store]).exit_code == 0
    with open_store(tmp_path / "conditions.sqlite") as opened:
        told = opened.get_payload("GATGAPgen.onnx", 2).metadata["provenance"]["training"]["parent"]
    assert (told["sha256"], told["name"], told["revision"], told["skim"]) == (digest, "GATGAPgen.pth", 1, SKIM)


def test_a_checkpoint_file_is_fine_tuned_with_a_fresh_head_at_a_rate_of_ones_own(
    toy: ToySample, tmp_path: Path
) -> None:
    checkpoint = write_trained(tmp_path / "first") / "GATGAPgen.pth"  # a network of another size than usual
    options = ["--start-from", str(checkpoint), "--fresh-head", "--learning-rate", "0.002", "--epochs", "1", "--json"]
    result = train(toy, tmp_path / "second", *options)
    assert result.exit_code == 0, result.output
    assert f"starts from {checkpoint} (sha256 " in result.stderr
    assert "for feiHadronic), its last layer made anew, first rate 0.002\n" in result.stderr
    told = json.loads(result.stdout)
    assert told["config"]["model"] == dataclasses.asdict(SMALL_CONFIG)
    assert told["parent"]["fresh_head"]


def test_an_export_cannot_be_fine_tuned_and_says_what_can(toy: ToySample, tmp_path: Path) -> None:
    export = write_trained(tmp_path / "first") / "GATGAPgen.onnx"
    result = train(toy, tmp_path / "second", "--start-from", str(export))
    assert result.exit_code == 1
    assert "no torch checkpoint; of an export, take the checkpoint it was made of" in result.stderr


def test_two_trainings_do_not_share_a_folder(toy: ToySample, tmp_path: Path) -> None:
    with claimed(tmp_path / "out"):
        result = train(toy, tmp_path / "out", "--epochs", "1")
    assert result.exit_code == 1
    assert f"another training is at work in {tmp_path / 'out'}: wait until it has ended" in result.stderr
    assert train(toy, tmp_path / "out", "--epochs", "1").exit_code == 0


def test_without_torch_the_extra_to_install_is_named(toy: ToySample, tmp_path: Path) -> None:
    # A process in which torch cannot be imported, as on a worker without it.
    code = "import sys; sys.modules['torch'] = None; from smartbkg.cli import main; main()"
    options = [toy.events, "--labels", toy.labels, "--skim", SKIM, "-o", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", code, "train", "gatgap", *options], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "error: this needs torch, which is not installed: pip install 'smartbkg[train]'\n"
