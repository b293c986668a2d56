"""The loop: splits, schedules, best weights, and going on where it stopped."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from smartbkg.errors import NotAModel, TrainingError
from smartbkg.models.gat import Gat
from smartbkg.training.data import TrainingSet, prepare
from smartbkg.training.loop import (
    Epoch,
    Sample,
    Start,
    TrainingConfig,
    TrainingState,
    evaluate_rows,
    train,
    training_identity,
    validation_loss,
)
from smartbkg.training.metrics import auc, speed_up
from support.networks import SMALL_CONFIG, random_network
from support.training import SKIM, write_toy_sample

CONFIG = TrainingConfig(model=SMALL_CONFIG, epochs=4, batch_size=32, validation_fraction=0.3, learning_rate=1e-2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingSet:
    folder = tmp_path_factory.mktemp("toy")
    sample = write_toy_sample(folder, n_events=700, kaons=2)
    return prepare([sample.events], [sample.labels], SKIM, folder / "data")


def run(data: TrainingSet, config: TrainingConfig, path: Path) -> tuple[Gat, list[Epoch]]:
    epochs: list[Epoch] = []
    network = train(data, TrainingState.fresh(config), config, path, epochs.append)
    return network, epochs


def weights(network: Gat) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize("loss", ["bce", "speedup"])
def test_a_network_learns(loss: str, data: TrainingSet, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, epochs=12, loss=loss, augment=False)
    network, epochs = run(data, config, tmp_path / "state")
    rows = Sample.of(data, config).validation
    assert auc(evaluate_rows(network, data.features, rows), data.passed[rows]) > 0.8
    assert epochs[-1].train_loss < epochs[0].train_loss


def test_the_same_seed_gives_the_same_weights(data: TrainingSet, tmp_path: Path) -> None:
    torch.manual_seed(123)
    first, _ = run(data, CONFIG, tmp_path / "a")
    torch.manual_seed(456)  # what others do with the global generator does not matter
    second, _ = run(data, CONFIG, tmp_path / "b")
    other, _ = run(data, dataclasses.replace(CONFIG, seed=2), tmp_path / "c")
    assert torch.equal(weights(first), weights(second))
    assert not torch.equal(weights(first), weights(other))


class Stop(BaseException):
    """Ends a training from outside, as Ctrl-C does."""


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
@pytest.mark.parametrize("after", [1, 3])
def test_resumed_equals_uninterrupted(schedule: str, after: int, data: TrainingSet, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, epochs=6, schedule=schedule, patience=1)
    whole, epochs = run(data, config, tmp_path / "whole")

    def stop(epoch: Epoch) -> None:
        if epoch.number == after:
            raise Stop

    with pytest.raises(Stop):
        train(data, TrainingState.fresh(config), config, tmp_path / "state", stop)
    state = TrainingState.fresh(config)
    state.restore(tmp_path / "state", training_identity(data, config))
    resumed = train(data, state, config, tmp_path / "state", lambda _: None)
    assert torch.equal(weights(resumed), weights(whole))
    assert [dataclasses.replace(e, seconds=0) for e in state.history] == [
        dataclasses.replace(e, seconds=0) for e in epochs
    ]


@pytest.mark.parametrize("change", [{"seed": 2}, {"loss": "speedup"}, {"batch_size": 16}])
def test_a_state_of_another_configuration_is_refused_and_told_what_differs(
    change: dict[str, object], data: TrainingSet, tmp_path: Path
) -> None:
    short = dataclasses.replace(CONFIG, epochs=1)
    run(data, short, tmp_path / "state")
    other = dataclasses.replace(short, **change)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match=f"{next(iter(change))} "):
        TrainingState.fresh(other).restore(tmp_path / "state", training_identity(data, other))


def test_a_damaged_state_is_refused(data: TrainingSet, tmp_path: Path) -> None:
    run(data, dataclasses.replace(CONFIG, epochs=1), tmp_path / "state")
    content = (tmp_path / "state").read_bytes()
    (tmp_path / "state").write_bytes(content[: len(content) // 2])
    with pytest.raises(NotAModel, match="state"):
        TrainingState.fresh(CONFIG).restore(tmp_path / "state", training_identity(data, CONFIG))


def test_the_best_epoch_wins_not_the_last(data: TrainingSet, tmp_path: Path) -> None:
    # A rate this large ruins a network that has learnt something.
    config = dataclasses.replace(CONFIG, epochs=8, learning_rate=0.3, augment=False)
    network, epochs = run(data, config, tmp_path / "state")
    rows = Sample.of(data, config).validation
    logits = evaluate_rows(network, data.features, rows)
    best = min(epochs, key=lambda epoch: epoch.loss)
    assert validation_loss(logits, data.passed[rows], config, data.retention) == pytest.approx(best.loss)


@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_a_first_rate_below_the_last_one_does_not_rise(schedule: str, data: TrainingSet, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, epochs=3, learning_rate=1e-12, schedule=schedule, patience=1)
    state = TrainingState.fresh(config)
    state.best_loss = -1.0  # nothing can be better
    train(data, state, config, tmp_path / "state", lambda _: None)
    assert [epoch.learning_rate for epoch in state.history] == pytest.approx([1e-12] * 3, rel=1e-9)


def test_a_fine_tuning_has_the_weights_of_its_start_but_for_a_fresh_head() -> None:
    trained = random_network(SMALL_CONFIG, seed=9)
    fresh, kept, cut = (
        TrainingState.fresh(CONFIG, start).network.state_dict()
        for start in (None, Start(trained, "a" * 64), Start(trained, "a" * 64, fresh_head=True))
    )
    for name, tensor in trained.state_dict().items():
        assert torch.equal(kept[name], tensor)
        assert torch.equal(cut[name], fresh[name] if name.startswith("fc_output") else tensor)


def test_plateau_halves_the_rate_down_to_the_last_one_and_then_stops(data: TrainingSet, tmp_path: Path) -> None:
    config = dataclasses.replace(
        CONFIG, epochs=50, learning_rate=1e-12, final_rate=3e-13, patience=2, stop_after=7, augment=False
    )
    state = TrainingState.fresh(config)
    state.best_loss = -1.0  # nothing can be better
    train(data, state, config, tmp_path / "state", lambda _: None)
    rates = [epoch.learning_rate for epoch in state.history]
    assert rates == pytest.approx([1e-12, 1e-12, 5e-13, 5e-13, 3e-13, 3e-13, 3e-13])


def test_cosine_falls_from_the_first_rate_to_the_last(data: TrainingSet, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, epochs=5, schedule="cosine", learning_rate=1e-2, final_rate=1e-4)
    _, epochs = run(data, config, tmp_path / "state")
    rates = [epoch.learning_rate for epoch in epochs]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[-1]) == pytest.approx((1e-2, 1e-4))


def test_validation_loss_is_that_of_a_balanced_sample() -> None:
    logits, passed = np.array([1.0, -1.0, -1.0, 0.5]), np.array([True, False, False, False])
    fails = np.log1p(np.exp([-1.0, -1.0, 0.5])).mean()
    assert validation_loss(logits, passed, CONFIG, 0.1) == pytest.approx((np.log1p(np.exp(-1.0)) + fails) / 2)
    config = dataclasses.replace(CONFIG, loss="speedup")
    p = 1 / (1 + np.exp(-logits))
    assert validation_loss(logits, passed, config, 0.1) == pytest.approx(1 / speed_up(p, passed, 0.1))


@pytest.mark.parametrize("retention", [0.0, -0.1, 1.0, float("nan")])
def test_a_retention_that_is_none_is_refused(retention: float) -> None:
    with pytest.raises(TrainingError, match="between 0 and 1, not"):
        TrainingConfig(retention=retention)


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), float("nan")])
def test_a_learning_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(TrainingError, match="positive number, not"):
        TrainingConfig(learning_rate=rate)


def test_no_event_is_both_trained_on_and_validated_with(data: TrainingSet) -> None:
    sample = Sample.of(data, CONFIG)
    used = np.concatenate([sample.passing, sample.failing])
    assert not set(used.tolist()) & set(sample.validation.tolist())
    assert data.passed[sample.passing].all()
    assert not data.passed[sample.failing].any()


@pytest.mark.parametrize(("passed", "said"), [(False, "that pass the skim"), (True, "that fail it")])
def test_one_class_alone_is_a_clear_error(passed: bool, said: str, data: TrainingSet) -> None:
    one_class = dataclasses.replace(data, passed=np.full(len(data), passed))
    with pytest.raises(TrainingError, match=said):
        Sample.of(one_class, CONFIG)


def test_a_loss_that_is_not_finite_stops_the_training(data: TrainingSet, tmp_path: Path) -> None:
    state = TrainingState.fresh(CONFIG)
    with torch.no_grad():
        state.network.fc_output.bias.fill_(float("nan"))
    with pytest.raises(TrainingError, match="the loss of epoch 1 is not finite"):
        train(data, state, CONFIG, tmp_path / "state", lambda _: None)
    assert not (tmp_path / "state").exists()
