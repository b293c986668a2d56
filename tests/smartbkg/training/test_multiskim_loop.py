"""The loop: rates, judging, and going on where it stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from smartbkg.errors import NotAModel, TrainingError, UnknownName
from smartbkg.training.loop import Epoch
from smartbkg.training.metrics import auc
from smartbkg.training.multiskim_config import MultiSkimConfig
from smartbkg.training.multiskim_crew import Crew, Plan
from smartbkg.training.multiskim_data import MultiSkimSet, prepare_multiskim
from smartbkg.training.multiskim_loop import Judge, MultiSkimState, learning_rate, train, type_samples
from support.events import decay_trees
from support.multiskim import SMALL_CONFIG, toy_batches, typed, write_events, write_flags, write_sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("loop") / "data"


@pytest.fixture(scope="module")
def data(folder: Path) -> MultiSkimSet:
    sample = write_sample(folder.parent, *toy_batches(200))
    return prepare_multiskim(sample.events, sample.labels, folder)


class Stop(BaseException):
    """Ends a training from outside, as Ctrl-C does."""


def run(
    folder: Path, data: MultiSkimSet, config: MultiSkimConfig, state: MultiSkimState, path: Path, last: int = 10**9
) -> None:
    def say(epoch: Epoch) -> None:
        if epoch.number == last:
            raise Stop

    with Crew(Plan(folder, data.skims, config), data) as crew:
        train(crew, state, config, Judge.of(data, config), path, "identity", say)


def test_the_rate_rises_and_then_falls_as_a_cosine() -> None:
    config = MultiSkimConfig(learning_rate=1e-2, final_rate=1e-4, warm_up=0.1)
    rates = [learning_rate(step, 100, config) for step in range(100)]
    assert rates[:10] == pytest.approx(np.arange(1, 11) * 1e-3)
    assert rates[10] == pytest.approx(1e-2)
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[-1] == pytest.approx(1e-4)
    assert learning_rate(0, 1, config) > 0


def test_resumed_equals_uninterrupted(folder: Path, data: MultiSkimSet, tmp_path: Path) -> None:
    whole = MultiSkimState.fresh(SMALL_CONFIG, 2)
    run(folder, data, SMALL_CONFIG, whole, tmp_path / "whole")
    with pytest.raises(Stop):
        run(folder, data, SMALL_CONFIG, MultiSkimState.fresh(SMALL_CONFIG, 2), tmp_path / "state", 2)
    resumed = MultiSkimState.fresh(SMALL_CONFIG, 2)
    resumed.restore(tmp_path / "state", "identity")
    assert len(resumed.history) == 2
    run(folder, data, SMALL_CONFIG, resumed, tmp_path / "state")
    for one, other in ((resumed.weights, whole.weights), (resumed.mean, whole.mean), (resumed.best, whole.best)):
        assert torch.equal(one, other)
    figures = [[dataclasses.replace(e, seconds=0) for e in state.history] for state in (resumed, whole)]
    assert figures[0] == figures[1]


def test_the_best_epoch_is_kept_not_the_last(folder: Path, data: MultiSkimSet, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL_CONFIG, epochs=8, learning_rate=0.5, augment=False)  # ruins what it has learnt
    state = MultiSkimState.fresh(config, 2)
    run(folder, data, config, state, tmp_path / "state")
    judge = Judge.of(data, config)
    with Crew(Plan(folder, data.skims, config), data) as crew:
        crew.weights.copy_(state.best)
        assert judge.loss(crew.score(judge.rows)) == pytest.approx(min(epoch.loss for epoch in state.history))


def test_the_judges_loss_is_that_of_all_validation_events_however_few_are_drawn(data: MultiSkimSet) -> None:
    logit = np.sin(np.arange(len(data)))[:, None].repeat(2, axis=1).astype(np.float32)
    values = []
    for n in (10**6, 60):
        seeds = range(40) if n == 60 else range(1)
        judges = [Judge.of(data, dataclasses.replace(SMALL_CONFIG, validation_events=n, seed=s)) for s in seeds]
        values.append(np.mean([judge.loss(logit[judge.rows]) for judge in judges]))
    assert values[1] == pytest.approx(values[0], rel=0.03)


def test_the_judges_area_is_that_of_each_type(data: MultiSkimSet) -> None:
    judge = Judge.of(data, SMALL_CONFIG)
    draw = np.random.default_rng(1)
    logits = draw.normal(size=(len(judge.rows), 2)).astype(np.float32)
    samples = type_samples(data, judge.rows, logits, 0, np.ones(len(judge.rows)))
    assert [s.event_type for s in samples] == ["mixed", "uubar"]
    rows = data.event_type[judge.rows] == 3
    expected = auc(logits[rows, 0], data.passes(judge.rows, 0)[rows])
    mixed = samples[0]
    found = (mixed.passing[:, None] > mixed.failing[None, :]).mean()
    assert found == pytest.approx(expected, abs=1e-9)
    assert mixed.retention == pytest.approx(data.retention[3, 0])
    # Knowing the type and nothing else earns nothing.
    by_type = np.where(rows, 5.0, -5.0)[:, None].repeat(2, axis=1).astype(np.float32)
    assert judge.auc(by_type) == pytest.approx(0.5)


def test_the_judges_area_is_that_of_all_validation_events_however_few_are_drawn(tmp_path: Path) -> None:
    batch, numbers = typed(decay_trees(900), "mixed"), np.arange(900)
    flags = {"common": numbers % 2 == 0, "rare": numbers % 23 == 0}
    events, labels = write_events(tmp_path / "e", batch), write_flags(tmp_path / "l", batch, flags)
    data = prepare_multiskim([events], [labels], tmp_path / "data")
    # Passing events of the rare skim, which are drawn more often, are the ones that are told from the others.
    logit = np.sin(numbers) + 3.0 * (flags["common"] & flags["rare"])
    values = []
    for n, seeds in ((10**6, 1), (150, 60)):
        config = dataclasses.replace(SMALL_CONFIG, rare=5.0, validation_fraction=0.5, validation_events=n)
        judges = [Judge.of(data, dataclasses.replace(config, seed=seed)) for seed in range(seeds)]
        found = [judge.auc(logit[judge.rows, None].repeat(2, axis=1).astype(np.float32)) for judge in judges]
        values.append(np.mean(found))
    assert values[1] == pytest.approx(values[0], abs=0.006)


def test_a_loss_that_is_not_finite_ends_the_training(folder: Path, data: MultiSkimSet, tmp_path: Path) -> None:
    config = dataclasses.replace(SMALL_CONFIG, clip=1e30, learning_rate=1e30, final_rate=1e30)
    with pytest.raises(TrainingError, match="the loss of epoch 1 is not finite: try a smaller learning rate than 1e"):
        run(folder, data, config, MultiSkimState.fresh(config, 2), tmp_path / "state")
    assert not (tmp_path / "state").exists()


def test_a_state_of_another_training_is_refused_and_told_what_differs(tmp_path: Path) -> None:
    state = MultiSkimState.fresh(SMALL_CONFIG, 2)
    (tmp_path / "state").write_bytes(state.to_bytes(SMALL_CONFIG.identity("digest", ["a", "b"], None)))
    other = dataclasses.replace(SMALL_CONFIG, batch_size=16)
    with pytest.raises(TrainingError, match=r"resumed as this one: batch_size 32 instead of 16, skims \['a', 'b'\]"):
        state.restore(tmp_path / "state", other.identity("digest", ["a"], None))


def test_a_damaged_state_is_refused(tmp_path: Path) -> None:
    state = MultiSkimState.fresh(SMALL_CONFIG, 2)
    content = state.to_bytes("identity")
    (tmp_path / "state").write_bytes(content[: len(content) // 2])
    with pytest.raises(NotAModel, match="state"):
        state.restore(tmp_path / "state", "identity")


@pytest.mark.parametrize(
    ("change", "error", "said"),
    [
        ({"precision": "fp8"}, UnknownName, "unknown precision 'fp8'; .*known: bf16, fp32"),
        ({"device": "tpu"}, UnknownName, "unknown device 'tpu'"),
        ({"learning_rate": float("nan")}, TrainingError, "learning_rate is a positive number, not nan"),
        ({"rare": 0.0}, TrainingError, "rare is a positive number"),
        ({"ema": 1.0}, TrainingError, "ema is between 0 and 1"),
        ({"epochs": 0}, TrainingError, "epochs is at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, object], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        MultiSkimConfig(**change)  # type: ignore[arg-type]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(TrainingError, match="cuda was asked for, and torch finds none here: train with --device cpu"):
        MultiSkimConfig(device="cuda").check_device()
