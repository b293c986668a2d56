"""One training from files to files; killed, resumed, refined."""

from __future__ import annotations

import csv
import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from smartbkg.errors import TrainingError
from smartbkg.events import EventBatch, EventWriter, read_events
from smartbkg.features import build
from smartbkg.models.checkpoint import load_checkpoint
from smartbkg.models.kinds import NetworkConfig
from smartbkg.scorer import open_scorer
from smartbkg.training.job import (
    Trained,
    TrainingJob,
    fold_activation,
    read_data,
    train_network,
    unfold_activation,
)
from smartbkg.training.loop import TrainingConfig, evaluate_rows
from support.events import decay_trees, event_batch, kaon_labels, write_labels
from support.generated import generated
from support.networks import SMALL_CONFIG, SMALL_CONVNET, random_network
from support.training import SKIM, ToySample, write_toy_sample

CONFIG = TrainingConfig(model=SMALL_CONFIG, epochs=3, batch_size=32, validation_fraction=0.3, learning_rate=1e-2)
# What the command makes of its options below.
COMMAND_CONFIG = TrainingConfig(epochs=4, seed=5)
COMMAND_OPTIONS = ("--epochs", "4", "--seed", "5")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> ToySample:
    return write_toy_sample(tmp_path_factory.mktemp("toy"))


def job_of(toy: ToySample, folder: Path, config: TrainingConfig = CONFIG, **more: object) -> TrainingJob:
    return TrainingJob((toy.events,), (toy.labels,), SKIM, folder, config, **more)  # type: ignore[arg-type]


def run(job: TrainingJob) -> Trained:
    return train_network(job, read_data(job))


def test_a_training_leaves_two_files_bound_to_each_other(toy: ToySample, tmp_path: Path) -> None:
    trained = run(job_of(toy, tmp_path / "out"))
    assert (trained.checkpoint.name, trained.export.name) == ("GATGAPgen.pth", "GATGAPgen.onnx")
    checkpoint, export = open_scorer(trained.checkpoint), open_scorer(trained.export)
    assert export.manifest.checkpoint_sha256 == load_checkpoint(trained.checkpoint).sha256
    assert export.manifest == checkpoint.manifest
    assert export.manifest.skim == SKIM
    features = build(read_events(toy.events)[:20])
    assert export.score(features) == pytest.approx(checkpoint.score(features), abs=1e-6)


def test_the_figures_are_kept_beside_and_inside(toy: ToySample, tmp_path: Path) -> None:
    trained = run(job_of(toy, tmp_path / "out"))
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    inside = open_scorer(trained.export).manifest.metrics
    assert written == json.loads(json.dumps(trained.metrics))
    assert {"auc", "speed_up", "effective_fraction", "retention", "seed"} <= set(inside)
    assert all(written[name] == value for name, value in inside.items())
    assert "seconds" not in inside  # the files' content does not depend on how fast the machine was
    assert {"data_digest", "versions", "n_events", "config", "seconds"} <= set(written)


def test_the_log_has_a_line_an_epoch(toy: ToySample, tmp_path: Path) -> None:
    run(job_of(toy, tmp_path / "out"))
    with (tmp_path / "out" / "training.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["number"] for row in rows] == ["1", "2", "3"]
    assert all(0 <= float(row["auc"]) <= 1 for row in rows)


def test_the_same_seed_gives_the_same_files(toy: ToySample, tmp_path: Path) -> None:
    first, second = run(job_of(toy, tmp_path / "a")), run(job_of(toy, tmp_path / "b"))
    assert first.checkpoint.read_bytes() == second.checkpoint.read_bytes()
    assert first.export.read_bytes() == second.export.read_bytes()


def test_folding_moves_the_logit_and_nothing_else(toy: ToySample) -> None:
    network = random_network(SMALL_CONFIG)
    features = build(read_events(toy.events)[:10])
    before = evaluate_rows(network, features, np.arange(10))
    fold_activation(network, 0.5, -2.0)
    assert evaluate_rows(network, features, np.arange(10)) == pytest.approx(0.5 * before - 2.0, abs=1e-5)


def test_fine_tuning_starts_from_the_given_weights(toy: ToySample, tmp_path: Path) -> None:
    first = run(job_of(toy, tmp_path / "first"))
    still = dataclasses.replace(CONFIG, epochs=1, learning_rate=1e-12)
    job = job_of(toy, tmp_path / "second", still, start_from=first.checkpoint)
    second = run(job)
    before, after = (load_checkpoint(t.checkpoint).network.state_dict() for t in (first, second))
    for name, tensor in before.items():
        if not name.startswith("fc_output"):  # the activation is fitted and folded in again
            assert torch.allclose(tensor, after[name], atol=1e-6)


def test_a_fine_tuning_goes_on_from_the_logits_before_the_activation(toy: ToySample, tmp_path: Path) -> None:
    first = load_checkpoint(run(job_of(toy, tmp_path / "first")).checkpoint)
    network, features = first.network, build(read_events(toy.events)[:10])
    activation, flattened = first.manifest.metrics["activation"], evaluate_rows(network, features, np.arange(10))
    unfold_activation(network, first.manifest.metrics)
    straight = evaluate_rows(network, features, np.arange(10))
    assert flattened == pytest.approx(activation["scale"] * straight + activation["shift"], abs=1e-4)


@pytest.mark.parametrize("said", [{}, {"activation": 1}, {"activation": {"scale": 0.0, "shift": 1.0}}])
def test_an_activation_that_nobody_knows_stays(said: dict[str, object]) -> None:
    network = random_network(SMALL_CONFIG)
    unfold_activation(network, said)
    assert torch.equal(network.fc_output.weight, random_network(SMALL_CONFIG).fc_output.weight)


@pytest.mark.parametrize("fresh_head", [False, True])
def test_a_network_is_fine_tuned_to_another_skim_and_remembers_its_parent(
    fresh_head: bool, toy: ToySample, tmp_path: Path
) -> None:
    first = run(job_of(toy, tmp_path / "first"))
    other = tmp_path / "other.labels.parquet"
    batch = read_events(toy.events)
    write_labels(other, batch, kaon_labels(batch, 2), "otherSkim")
    origin = {"name": "GATGAPgen.pth", "revision": 4, "tag": "main"}
    job = TrainingJob(
        (toy.events,), (other,), "otherSkim", tmp_path / "b", CONFIG, False, first.checkpoint, fresh_head, origin
    )
    second = run(job)
    digest = load_checkpoint(first.checkpoint).sha256
    for path in (second.checkpoint, second.export):
        manifest = open_scorer(path).manifest
        assert manifest.skim == "otherSkim"
        assert manifest.parent == {"sha256": digest, "skim": SKIM, "name": "GATGAPgen.pth", "revision": 4}
    told = second.metrics["parent"]
    assert (told["tag"], told["fresh_head"], second.metrics["start_from"]) == ("main", fresh_head, digest)
    assert 0.0 < told["auc_before"] < 1.0
    with pytest.raises(TrainingError, match="with a fresh head"):
        run(dataclasses.replace(job, resume=True, fresh_head=not fresh_head))


def test_a_training_from_nothing_has_no_parent(toy: ToySample, tmp_path: Path) -> None:
    trained = run(job_of(toy, tmp_path / "out"))
    assert open_scorer(trained.export).manifest.parent is None
    assert trained.metrics["start_from"] is None


def test_the_start_of_a_fine_tuning_is_kept_and_another_one_cannot_be_resumed(toy: ToySample, tmp_path: Path) -> None:
    first = run(job_of(toy, tmp_path / "first"))
    other = run(job_of(toy, tmp_path / "other", dataclasses.replace(CONFIG, seed=2)))
    refined = run(job_of(toy, tmp_path / "refined", start_from=first.checkpoint))
    digest = load_checkpoint(first.checkpoint).sha256
    assert refined.metrics["start_from"] == digest  # a path would not say which network it was
    for start in (other.checkpoint, None):
        with pytest.raises(TrainingError, match=f"start_from '{digest}' instead of"):
            run(job_of(toy, tmp_path / "refined", start_from=start, resume=True))
    again = run(job_of(toy, tmp_path / "refined", start_from=first.checkpoint, resume=True))
    assert again.metrics["start_from"] == digest


def test_fine_tuning_a_network_of_another_size_is_refused(toy: ToySample, tmp_path: Path) -> None:
    first = run(job_of(toy, tmp_path / "first"))
    job = job_of(toy, tmp_path / "second", COMMAND_CONFIG, start_from=first.checkpoint)
    with pytest.raises(TrainingError, match="is a network of GatConfig"):
        run(job)


def test_labels_without_a_passing_event_are_a_clear_error(tmp_path: Path) -> None:
    toy = write_toy_sample(tmp_path, n_events=60, kaons=99)
    with pytest.raises(TrainingError, match="no events to train on that pass the skim, among 60 of which 0 pass"):
        run(job_of(toy, tmp_path / "out"))
    assert not (tmp_path / "out" / "GATGAPgen.pth").exists()


def test_labels_that_all_pass_are_a_clear_error(tmp_path: Path) -> None:
    toy = write_toy_sample(tmp_path, n_events=60, kaons=0)
    with pytest.raises(TrainingError, match="no events to train on that fail it, among 60 of which 60 pass"):
        run(job_of(toy, tmp_path / "out"))


def test_one_passing_event_is_not_enough_and_that_is_said(tmp_path: Path) -> None:
    batch = decay_trees(60)
    toy = ToySample(tmp_path / "events.parquet", tmp_path / "labels.parquet")
    with EventWriter(toy.events) as writer:
        writer.write(batch)
    write_labels(toy.labels, batch, np.arange(60) == 5, SKIM)
    with pytest.raises(TrainingError, match=r"no events to .* that pass the skim, among 60 of which 1 pass: give more"):
        run(job_of(toy, tmp_path / "out"))


@pytest.mark.parametrize("model", [SMALL_CONFIG, SMALL_CONVNET])
@pytest.mark.parametrize("kind", ["uubar", "taupair", "mixed"])
def test_every_kind_of_event_can_be_trained_on_empty_ones_too(kind: str, model: NetworkConfig, tmp_path: Path) -> None:
    nothing = event_batch([[]] * 10, first_event=10**6)
    batch = EventBatch.concat([generated(kind, 150), nothing])
    toy = ToySample(tmp_path / "events.parquet", tmp_path / "labels.parquet")
    with EventWriter(toy.events) as writer:
        writer.write(batch)
    write_labels(toy.labels, batch, batch.counts >= np.median(batch.counts), SKIM)
    trained = run(job_of(toy, tmp_path / "out", dataclasses.replace(CONFIG, model=model, epochs=1)))
    for path in (trained.checkpoint, trained.export):
        scorer = open_scorer(path)
        assert np.isfinite(scorer.logits(build(batch, scorer.spec))).all()


@pytest.fixture(scope="module")
def uninterrupted(toy: ToySample, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return run(job_of(toy, tmp_path_factory.mktemp("whole"), COMMAND_CONFIG))


@pytest.mark.parametrize("after", [1, 3])
def test_killed_and_resumed_gives_the_same_files(
    after: int, toy: ToySample, uninterrupted: Trained, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    command = [Path(sys.executable).with_name("smartbkg"), "train", "gatgap", toy.events, "--labels", toy.labels]
    command += ["--skim", SKIM, "-o", folder, *COMMAND_OPTIONS]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(f"epoch {after}/"):
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL
    assert not (folder / "GATGAPgen.pth").exists()

    with pytest.raises(TrainingError, match="holds an unfinished training: go on with it"):
        read_data(job_of(toy, folder, COMMAND_CONFIG))
    resumed = run(job_of(toy, folder, COMMAND_CONFIG, resume=True))
    assert resumed.checkpoint.read_bytes() == uninterrupted.checkpoint.read_bytes()
    assert resumed.export.read_bytes() == uninterrupted.export.read_bytes()
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")]


def test_resuming_nothing_starts_at_the_beginning(toy: ToySample, tmp_path: Path) -> None:
    whole, resumed = (run(job_of(toy, tmp_path / name, resume=name == "b")) for name in ("a", "b"))
    assert whole.checkpoint.read_bytes() == resumed.checkpoint.read_bytes()


def test_a_finished_training_can_be_resumed_and_stays_the_same(toy: ToySample, tmp_path: Path) -> None:
    first = run(job_of(toy, tmp_path / "out"))
    content = first.checkpoint.read_bytes()
    again = run(job_of(toy, tmp_path / "out", resume=True))
    assert again.checkpoint.read_bytes() == content


def test_a_finished_training_is_not_overwritten(toy: ToySample, tmp_path: Path) -> None:
    first = run(job_of(toy, tmp_path / "out"))
    content = first.checkpoint.read_bytes()
    with pytest.raises(TrainingError, match=r"out holds a finished training: go on with it \(--resume\)"):
        run(job_of(toy, tmp_path / "out", dataclasses.replace(CONFIG, seed=2)))
    assert first.checkpoint.read_bytes() == content
