"""The training loop: batch, loss, step, evaluate, save; in one visible function.

After every epoch all that the next one needs is on disk, written whole or not at all. A training that is killed at
any moment and resumed gives the same weights as one that was not.

Letters: `B` events of a batch.
"""

from __future__ import annotations

import dataclasses
import io
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from smartbkg.atomic import write_atomically
from smartbkg.draws import block_seed
from smartbkg.errors import TrainingError, UnknownName
from smartbkg.features import Features
from smartbkg.models.gat import GATGAP_CONFIG
from smartbkg.models.kinds import EventNetwork, NetworkConfig, make_network
from smartbkg.models.scoring import network_logits
from smartbkg.training.augment import augment
from smartbkg.training.data import TrainingSet, balanced_batches
from smartbkg.training.loss import LOSSES, make_loss
from smartbkg.training.metrics import REFERENCE_TIMES, ReferenceTimes, auc
from smartbkg.training.states import read_state

SCHEDULES = ("plateau", "cosine")
# First rate of a fine-tuning: the weights know something already, and a larger step throws it away.
FINE_TUNING_RATE = 3e-4
# Failing events of the validation sample for each passing one: more would cost time and tell little.
_FAILING_PER_PASSING = 5
_CHUNK_EVENTS = 64
HEAD = "fc_output."  # the last layer of every network: state of an event -> logit


@dataclass(frozen=True)
class TrainingConfig:
    """How to train.

    Args:
        model: kind and size of the network.
        loss: `bce` or `speedup` (inverse speed-up).
        seed: of the first weights, the batches and the augmentation.
        epochs: at most.
        batch_size: half of it passing events.
        learning_rate, final_rate: of Adam, first and last.
        schedule: `plateau` halves the rate when validation stands still, `cosine` falls over all epochs.
        patience: epochs without progress until the rate is halved.
        stop_after: epochs without progress until the training ends.
        validation_fraction: of all events.
        augment: show events rotated, reflected and charge conjugated.
        retention: natural fraction that passes; None takes that of the data.
        times: per event, for the speed-up.
        threads: of torch. The same number gives the same weights.
    """

    model: NetworkConfig = GATGAP_CONFIG
    loss: str = "bce"
    seed: int = 1
    epochs: int = 200
    batch_size: int = 128  # the published recipe, as the rates, the factor and the patience
    learning_rate: float = 1e-3
    final_rate: float = 1e-4
    schedule: str = "plateau"
    patience: int = 12
    stop_after: int = 30
    validation_fraction: float = 0.15
    augment: bool = True
    retention: float | None = None
    times: ReferenceTimes = REFERENCE_TIMES
    threads: int = 1

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise UnknownName("loss", self.loss, LOSSES)
        if self.schedule not in SCHEDULES:
            raise UnknownName("schedule", self.schedule, SCHEDULES)
        if self.retention is not None and not 0.0 < self.retention < 1.0:
            raise TrainingError(f"the retention is between 0 and 1, not {self.retention}")
        if not 0.0 < self.learning_rate < float("inf"):
            raise TrainingError(f"the learning rate is a positive number, not {self.learning_rate}")

    @property
    def lowest_rate(self) -> float:
        """The rate never falls below this, nor does it ever rise."""
        return min(self.final_rate, self.learning_rate)

    def retention_of(self, data: TrainingSet) -> float:
        """Natural fraction that passes."""
        return data.retention if self.retention is None else self.retention


@dataclass(frozen=True)
class Epoch:
    """Figures of one epoch; losses and AUC of the validation sample unless they say otherwise."""

    number: int
    train_loss: float
    loss: float
    auc: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class Sample:
    """Rows of the training set: all passing and failing ones to train on, and those to validate with."""

    passing: NDArray[np.int64]
    failing: NDArray[np.int64]
    validation: NDArray[np.int64]

    @classmethod
    def of(cls, data: TrainingSet, config: TrainingConfig) -> Sample:
        """Split by the events' names.

        Raises:
            TrainingError: a class is missing in a part.
        """
        held_out = data.validation_mask(config.validation_fraction)
        parts = {
            "to train on": (data.passed & ~held_out, ~data.passed & ~held_out),
            "to validate with": (data.passed & held_out, ~data.passed & held_out),
        }
        for part, classes in parts.items():
            for what, rows in zip(("pass the skim", "fail it"), classes, strict=True):
                if not rows.any():
                    raise TrainingError(
                        f"no events {part} that {what}, among {len(data)} of which {data.passed.sum()} pass: "
                        f"give more events, or another skim"
                    )
        passing, failing = (np.flatnonzero(rows) for rows in parts["to validate with"])
        chosen = np.random.default_rng(block_seed(config.seed, "validation")).permutation(failing)
        validation = np.sort(np.concatenate([passing, chosen[: _FAILING_PER_PASSING * len(passing)]]))
        rows_pass, rows_fail = (np.flatnonzero(rows) for rows in parts["to train on"])
        return cls(rows_pass, rows_fail, validation)


@dataclass(frozen=True)
class Start:
    """The weights a fine-tuning begins with.

    Args:
        network: trained.
        sha256: of its file.
        fresh_head: the last layer begins anew, as it has to where the other skim has nothing in common with this one.
    """

    network: EventNetwork
    sha256: str
    fresh_head: bool = False

    @property
    def identity(self) -> str:
        """What two fine-tunings must share for one to resume the other."""
        return f"{self.sha256}{' with a fresh head' if self.fresh_head else ''}"


@dataclass
class TrainingState:
    """Everything the next epoch needs."""

    network: EventNetwork
    optimizer: torch.optim.Adam
    best: dict[str, Tensor]
    best_loss: float = float("inf")
    since_best: int = 0
    rate_since: int = 0
    history: list[Epoch] = field(default_factory=list)
    start_from: str | None = None  # identity of the first weights

    @classmethod
    def fresh(cls, config: TrainingConfig, start: Start | None = None) -> TrainingState:
        """First weights from the seed, or those of a trained network."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(block_seed(config.seed, "weights"))
            network = make_network(config.model)
        if start is not None:
            head = {name: value for name, value in network.state_dict().items() if name.startswith(HEAD)}
            network.load_state_dict({**start.network.state_dict(), **(head if start.fresh_head else {})})
        optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate)
        return cls(network, optimizer, _copy(network), start_from=None if start is None else start.identity)

    def to_bytes(self, identity: str) -> bytes:
        """The file's content: tensors and plain values only. `identity` is that of `training_identity`."""
        buffer = io.BytesIO()
        plain = {
            "identity": identity,
            "network": self.network.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "numbers": [self.best_loss, self.since_best, self.rate_since],
            "history": json.dumps([dataclasses.asdict(epoch) for epoch in self.history]),
        }
        torch.save(plain, buffer)
        return buffer.getvalue()

    def restore(self, path: Path, identity: str) -> None:
        """Go on from a file.

        Raises:
            TrainingError: it is of other data, another configuration or another start.
            NotAModel: it is damaged, or no state of a training.
        """
        values = read_state(path, ("network", "optimizer", "best", "numbers", "history"), identity)
        self.network.load_state_dict(values["network"])
        self.optimizer.load_state_dict(values["optimizer"])
        self.best = values["best"]
        self.best_loss, self.since_best, self.rate_since = values["numbers"]
        self.history = [Epoch(**epoch) for epoch in json.loads(values["history"])]


def train(
    data: TrainingSet, state: TrainingState, config: TrainingConfig, path: Path, say: Callable[[Epoch], None]
) -> EventNetwork:
    """Train until the end; returns the network of the best epoch.

    Args:
        data: features and labels.
        state: where to begin; it is changed.
        config: how.
        path: the state's file, written after each epoch.
        say: told about each epoch when it is safe on disk.

    Raises:
        TrainingError: a class is missing, or the loss is not finite.
    """
    torch.set_num_threads(config.threads)
    sample, identity = Sample.of(data, config), training_identity(data, config, state.start_from)
    loss_of = make_loss(config.loss, config.retention_of(data), config.times)
    network, optimizer = state.network, state.optimizer
    while len(state.history) < config.epochs and state.since_best < config.stop_after:
        start, number, losses = time.perf_counter(), len(state.history) + 1, []
        draw = np.random.default_rng(block_seed(config.seed, "augment", number))
        network.train()
        for rows in balanced_batches(sample.passing, sample.failing, config.batch_size, config.seed, number):
            inputs = data.features.select(rows).network_inputs()
            if config.augment:
                inputs = augment(inputs, data.spec, draw)
            logit = network(**{name: torch.from_numpy(array) for name, array in inputs.items()})  # (B,)
            loss = loss_of(logit, torch.from_numpy(data.passed[rows]))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            # A single hard batch of the inverse speed-up must not throw the weights away; 1 is rarely reached else.
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            losses.append(float(loss.detach()))
        if not np.isfinite(losses).all():
            raise TrainingError(
                f"the loss of epoch {number} is not finite: try a smaller learning rate than {config.learning_rate}"
            )
        logits, passed = evaluate_rows(network, data.features, sample.validation), data.passed[sample.validation]
        rate, value = (
            float(optimizer.param_groups[0]["lr"]),
            validation_loss(logits, passed, config, config.retention_of(data)),
        )
        epoch = Epoch(number, float(np.mean(losses)), value, auc(logits, passed), rate, time.perf_counter() - start)
        _advance(state, epoch, config)
        write_atomically(path, state.to_bytes(identity))
        say(epoch)
    best = make_network(config.model)
    best.load_state_dict(state.best)
    return best.eval()


def training_identity(data: TrainingSet, config: TrainingConfig, start_from: str | None = None) -> str:
    """What two trainings must share for one to resume the other."""
    settings = {**dataclasses.asdict(config), "data": data.digest, "start_from": start_from}
    return json.dumps(settings, sort_keys=True)


def evaluate_rows(network: EventNetwork, features: Features, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """(B,) logits of these events."""
    network.eval()
    parts = [rows[i : i + _CHUNK_EVENTS] for i in range(0, len(rows), _CHUNK_EVENTS)]
    logits = [network_logits(network, features.select(part).network_inputs()) for part in parts]
    return np.concatenate(logits).astype(np.float64)


def validation_loss(
    logits: NDArray[np.float64], passed: NDArray[np.bool_], config: TrainingConfig, retention: float
) -> float:
    """The training's loss on a sample of any proportion, as if it were balanced."""
    if config.loss == "bce":
        signed = np.where(passed, -logits, logits)
        each = np.logaddexp(0.0, signed)
        return float(0.5 * (each[passed].mean() + each[~passed].mean()))
    loss_of = make_loss(config.loss, retention, config.times)
    return float(loss_of(torch.from_numpy(logits), torch.from_numpy(passed)))


def _advance(state: TrainingState, epoch: Epoch, config: TrainingConfig) -> None:
    """Book an epoch: the best weights, and the rate of the next one."""
    state.history.append(epoch)
    if epoch.loss < state.best_loss:
        state.best_loss, state.best, state.since_best, state.rate_since = epoch.loss, _copy(state.network), 0, 0
    else:
        state.since_best += 1
        state.rate_since += 1
    rate = epoch.learning_rate
    if config.schedule == "cosine":
        progress = min(epoch.number / max(config.epochs - 1, 1), 1.0)
        swing = 0.5 * (1.0 + float(np.cos(np.pi * progress)))
        rate = config.lowest_rate + (config.learning_rate - config.lowest_rate) * swing
    elif state.rate_since >= config.patience:
        rate, state.rate_since = max(rate / 2.0, config.lowest_rate), 0
    for group in state.optimizer.param_groups:
        group["lr"] = rate


def _copy(network: EventNetwork) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}
