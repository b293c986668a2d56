"""One training from files to files, on generated events: it learns, can be killed, and leaves files that fit."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from smartbkg.bridging import build_bridged
from smartbkg.errors import ColumnsMissing, TrainingError
from smartbkg.events import event_type_code
from smartbkg.models.multiskim_checkpoint import load_multiskim
from smartbkg.multiskim_scorer import open_multiskim
from smartbkg.smartbackground import SmartBackgroundConfig, all_event_types
from smartbkg.training.metrics import auc
from smartbkg.training.multiskim import MultiSkimJob, TrainedMultiSkim, read_data, train_multiskim
from smartbkg.training.multiskim_config import MultiSkimConfig
from support.events import decay_trees
from support.generated import generated
from support.multiskim import (
    REAL_PHOTONS,
    SKIMS,
    SMALL_CONFIG,
    Sample,
    real_sample,
    skim_labels,
    typed,
    write_events,
    write_flags,
    write_sample,
)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return real_sample(tmp_path_factory.mktemp("events"))


def job_of(sample: Sample, folder: Path, config: MultiSkimConfig = SMALL_CONFIG, **more: object) -> MultiSkimJob:
    return MultiSkimJob(sample.events, sample.labels, folder, config=config, **more)  # type: ignore[arg-type]


def run(job: MultiSkimJob) -> TrainedMultiSkim:
    return train_multiskim(job, read_data(job))


def digests(trained: TrainedMultiSkim) -> list[str]:
    files = trained.files
    paths = (files.weights, files.batched, files.config, files.checkpoint)
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


@pytest.fixture(scope="module")
def trained(sample: Sample, tmp_path_factory: pytest.TempPathFactory) -> TrainedMultiSkim:
    config = dataclasses.replace(SMALL_CONFIG, epochs=6, epoch_events=512)
    return run(job_of(sample, tmp_path_factory.mktemp("trained"), config))


def test_a_network_learns_an_easy_skim_from_generated_events(trained: TrainedMultiSkim) -> None:
    batch = generated("charged", 300)  # another type and other events than those trained on; told as mixed
    scorer = open_multiskim(trained.files.batched)
    logits = scorer.logits(build_bridged(batch), np.full(len(batch), event_type_code("mixed")))
    names = [entry.name for entry in SmartBackgroundConfig.from_json(trained.files.config.read_bytes()).skims]
    photons = logits[:, names.index("manyPhotons")]
    assert auc(photons, skim_labels(batch, REAL_PHOTONS)["manyPhotons"]) > 0.9


def test_logit_zero_is_the_boundary_of_equal_classes_in_each_type(trained: TrainedMultiSkim) -> None:
    scorer = open_multiskim(trained.files.batched)
    place = [skim.name for skim in SmartBackgroundConfig.from_json(trained.files.config.read_bytes()).skims].index(
        "manyPhotons"
    )
    for kind in ("mixed", "uubar"):
        batch = generated(kind, 500)
        features = build_bridged(batch)
        positive = scorer.logits(features, batch.event_type.astype(np.int64))[:, place] > 0
        passed = skim_labels(batch, REAL_PHOTONS)["manyPhotons"]
        right, wrong = positive[passed].mean(), positive[~passed].mean()
        assert right > 0.8  # though 42 % pass in one type and 15 % in the other
        assert wrong < 0.2


def test_the_figures_say_what_the_network_is_worth(trained: TrainedMultiSkim) -> None:
    photons = trained.metrics["skims"]["manyPhotons"]
    assert photons["auc"] > 0.9
    assert photons["speed_up"] > 1.1
    assert photons["n_training_passing"] > photons["n_validation_passing"] > 50


def test_the_files_are_bound_to_each_other(trained: TrainedMultiSkim) -> None:
    files = trained.files
    assert [p.name for p in (files.weights, files.batched, files.config, files.checkpoint)] == [
        "SmartBackgroundWeights_default.onnx",
        "SmartBackgroundWeights_default_batched.onnx",
        "SmartBackgroundConfig_default.json",
        "multiskim.pt",
    ]
    weights, batched, config_file, checkpoint = digests(trained)
    config = SmartBackgroundConfig.from_json(files.config.read_bytes())
    assert (config.weights_sha256, config.batched_sha256) == (weights, batched)
    assert config.event_types == all_event_types()
    assert len(config.pdg_codes) == 562
    config.check_weights(weights, files.weights)
    for path in (files.weights, files.batched):
        manifest = open_multiskim(path).manifest
        assert manifest is not None
        assert manifest.checkpoint_sha256 == checkpoint
        assert manifest.skims == tuple((skim.code, skim.name) for skim in config.skims)
    assert config_file != weights


def test_both_exports_and_the_checkpoint_give_the_same_logits(trained: TrainedMultiSkim, sample: Sample) -> None:
    batch = generated("mixed", 500)[:20]
    features, kind = build_bridged(batch), batch.event_type.astype(np.int64)
    single, batched = (open_multiskim(path) for path in (trained.files.weights, trained.files.batched))
    assert single.logits(features, kind) == pytest.approx(batched.logits(features, kind), abs=1e-4)
    network = load_multiskim(trained.files.checkpoint).network
    one = features.between(0, 1)
    inputs = (one.x[None], one.token[None].astype(np.int32), one.mother[None].astype(np.int32), kind[:1])
    with torch.inference_mode():
        direct = network(*(torch.from_numpy(np.ascontiguousarray(array)) for array in inputs)).numpy()
    assert single.logits(one, kind[:1]) == pytest.approx(direct, abs=1e-4)


def test_figures_are_kept_beside_and_inside(trained: TrainedMultiSkim) -> None:
    folder = trained.files.config.parent
    written = json.loads((folder / "metrics.json").read_text())
    assert written == json.loads(json.dumps(trained.metrics))
    assert set(written["skims"]) == set(SKIMS)
    assert set(written["skims"]["manyKaons"]["types"]) == {"mixed", "uubar"}
    assert written["event_types"]["mixed"]["n_events"] == 500
    config = SmartBackgroundConfig.from_json(trained.files.config.read_bytes())
    assert config.provenance["metrics"]["skims"]["manyKaons"]["auc"] == written["skims"]["manyKaons"]["auc"]
    assert "seconds" not in json.dumps(dict(config.provenance))  # content does not depend on how fast the machine was
    with (folder / "training.csv").open() as stream:
        assert [row["number"] for row in csv.DictReader(stream)] == [str(i) for i in range(1, 7)]


def test_the_same_seed_gives_the_same_files_on_any_number_of_processes(sample: Sample, tmp_path: Path) -> None:
    first = run(job_of(sample, tmp_path / "a"))
    second = run(job_of(sample, tmp_path / "b", processes=2))
    other = run(job_of(sample, tmp_path / "c", dataclasses.replace(SMALL_CONFIG, seed=2)))
    assert digests(first) == digests(second)
    assert digests(first)[0] != digests(other)[0]


COMMAND_CONFIG = MultiSkimConfig(epochs=3, epoch_events=128, batch_size=64, seed=5)


def test_killed_and_resumed_gives_the_same_files(sample: Sample, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    command: list[str | Path] = [Path(sys.executable).with_name("smartbkg"), "train", "multiskim", *sample.events]
    for labels in sample.labels:
        command += ["--labels", labels]
    command += ["-o", folder, "--epochs", "3", "--epoch-events", "128", "--batch-size", "64", "--seed", "5"]
    command += ["--processes", "2"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("epoch 1/"):
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL
    assert not (folder / "multiskim.pt").exists()

    with pytest.raises(TrainingError, match="holds an unfinished training: go on with it"):
        read_data(job_of(sample, folder, COMMAND_CONFIG))
    resumed = run(job_of(sample, folder, COMMAND_CONFIG, resume=True))
    whole = run(job_of(sample, tmp_path / "whole", COMMAND_CONFIG))
    assert digests(resumed) == digests(whole)
    assert not [path for path in folder.iterdir() if path.name.endswith(".part")]


def test_a_finished_training_is_not_overwritten(sample: Sample, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL_CONFIG, epochs=1)
    first = digests(run(job_of(sample, tmp_path, config)))
    with pytest.raises(TrainingError, match=r"holds a finished training: go on with it \(--resume\)"):
        read_data(job_of(sample, tmp_path, config))
    assert digests(run(job_of(sample, tmp_path, config, resume=True))) == first


def one_class(folder: Path) -> Sample:
    """Events of which none passes `nothing`, and all pass `everything`."""
    batches = typed(decay_trees(120, seed=1), "mixed"), typed(decay_trees(120, seed=2), "taupair")
    events, labels = [], []
    for number, batch in enumerate(batches):
        more = {"nothing": np.zeros(120, bool), "everything": np.ones(120, bool)}
        events.append(write_events(folder / f"{number}.e", batch))
        labels.append(write_flags(folder / f"{number}.l", batch, {**skim_labels(batch), **more}))
    return Sample(tuple(events), tuple(labels))


def test_skims_of_one_class_are_left_out_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    data = read_data(job_of(one_class(tmp_path), tmp_path / "out"), talk=said.append)
    assert [skim.name for skim in data.skims] == ["manyKaons", "manyPhotons"]
    assert len(said) == 1
    assert said[0].startswith(
        "left out, since no type has both passing and failing events in training and validation: "
    )
    assert set(said[0].split(": ")[1].split(", ")) == {"nothing", "everything"}


@pytest.mark.parametrize(("skim", "verb"), [("nothing", "passes"), ("everything", "fails")])
def test_skims_of_one_class_that_were_asked_for_are_an_error(skim: str, verb: str, tmp_path: Path) -> None:
    job = job_of(one_class(tmp_path), tmp_path / "out", skims=("manyKaons", skim))
    with pytest.raises(TrainingError, match=f"no event to train on {verb} {skim}, among 240"):
        read_data(job)


def one_type(folder: Path) -> Sample:
    """Two types, and a skim that all of one and none of the other pass."""
    batches = typed(decay_trees(120), "mixed"), typed(decay_trees(120, seed=8), "uubar")
    events, labels = [], []
    for number, batch in enumerate(batches):
        events.append(write_events(folder / f"{number}.e", batch))
        flags = {**skim_labels(batch), "theType": np.full(120, number == 0)}
        labels.append(write_flags(folder / f"{number}.l", batch, flags))
    return Sample(tuple(events), tuple(labels))


def test_a_skim_of_two_classes_but_in_no_type_is_left_out_before_the_training(tmp_path: Path) -> None:
    said: list[str] = []
    data = read_data(job_of(one_type(tmp_path), tmp_path / "out"), talk=said.append)
    assert [skim.name for skim in data.skims] == ["manyKaons", "manyPhotons"]
    assert said[0].endswith(": theType")


def test_a_skim_of_two_classes_but_in_no_type_is_an_error_when_asked_for(tmp_path: Path) -> None:
    job = job_of(one_type(tmp_path), tmp_path / "out", skims=("manyKaons", "theType"))
    with pytest.raises(TrainingError, match="no event type has both kinds of events to train on for theType"):
        read_data(job)


def test_without_any_usable_skim_there_is_no_training(tmp_path: Path) -> None:
    batch = typed(decay_trees(50), "mixed")
    flags = {"nothing": np.zeros(50, bool)}
    sample = Sample((write_events(tmp_path / "e", batch),), (write_flags(tmp_path / "l", batch, flags),))
    with pytest.raises(TrainingError, match=r"no skim has both passing and failing events .* and nothing: give more"):
        read_data(job_of(sample, tmp_path / "out"))


def test_a_skim_that_no_file_has_is_refused_with_those_that_are_there(sample: Sample, tmp_path: Path) -> None:
    with pytest.raises(ColumnsMissing, match="lacks feiHadronic; it has manyKaons, manyPhotons"):
        read_data(job_of(sample, tmp_path / "out", skims=("feiHadronic",)))


def test_fine_tuning_keeps_the_outputs_of_known_skims_and_begins_new_ones(
    trained: TrainedMultiSkim, tmp_path: Path
) -> None:
    batch = generated("mixed", 500)
    flags = {
        "manyPhotons": skim_labels(batch, REAL_PHOTONS)["manyPhotons"],
        "newSkim": batch.counts > np.median(batch.counts),
    }
    other = Sample((write_events(tmp_path / "e", batch),), (write_flags(tmp_path / "l", batch, flags),))
    still = dataclasses.replace(SMALL_CONFIG, epochs=1, learning_rate=1e-12, final_rate=1e-12)
    refined = run(job_of(other, tmp_path / "out", still, start_from=trained.files.checkpoint))
    before, after = (load_multiskim(t.files.checkpoint) for t in (trained, refined))
    theirs, ours = before.network.state_dict(), after.network.state_dict()
    for name in theirs:
        if not name.startswith("logits."):
            assert torch.allclose(theirs[name], ours[name], atol=1e-6)
    rows = [[name for _, name in opened.manifest.skims].index("manyPhotons") for opened in (before, after)]
    assert torch.allclose(theirs["logits.weight"][rows[0]], ours["logits.weight"][rows[1]], atol=1e-6)
    assert refined.metrics["parent"] == {"sha256": before.sha256, "skims_kept": ["manyPhotons"], "skims_fresh": 1}
    assert after.manifest.parent == refined.metrics["parent"]
    bigger = MultiSkimConfig(epochs=1)
    with pytest.raises(TrainingError, match="is a network of TransformerConfig"):
        run(job_of(other, tmp_path / "more", bigger, start_from=trained.files.checkpoint))


def test_a_time_limit_chooses_the_number_of_epochs_and_says_it(sample: Sample, tmp_path: Path) -> None:
    said: list[str] = []
    job = job_of(sample, tmp_path / "out", max_minutes=0.02)
    limited = train_multiskim(job, read_data(job), talk=said.append)
    epochs = limited.metrics["epochs"]
    assert any(line.endswith(f"{epochs} epochs fit; the same again: --epochs {epochs}") for line in said)
    again = run(job_of(sample, tmp_path / "again", dataclasses.replace(SMALL_CONFIG, epochs=epochs)))
    assert digests(again) == digests(limited)
    resumed = run(dataclasses.replace(job, max_minutes=500.0, resume=True))  # a training that goes on keeps its length
    assert digests(resumed) == digests(limited)


def test_thinned_out_events_train_as_well_and_say_natural_numbers(sample: Sample, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL_CONFIG, epochs=6)
    thin = run(job_of(sample, tmp_path, config, keep_failing=0.5)).metrics
    assert thin["n_events"] == 1000
    assert thin["n_kept"] < 900
    assert thin["event_types"]["mixed"]["n_events"] == 500
    assert thin["skims"]["manyPhotons"]["auc"] > 0.8


def test_runs_mixed_in_one_file_are_trained_on_together(tmp_path: Path) -> None:
    runs = [typed(decay_trees(150, seed=run, run=run), "mixed") for run in (1, 2)]
    from smartbkg.events import EventBatch

    mixed = EventBatch.concat(runs).select(np.random.default_rng(1).permutation(300))
    trained = run(job_of(write_sample(tmp_path, mixed), tmp_path / "out", skims=("manyKaons",)))
    assert trained.metrics["n_events"] == 300
