"""The training loop of the multi-skim network: batch, loss, step, evaluate, save; in one visible function.

After every epoch all that the next one needs is on disk, written whole or not at all. A training that is killed at
any moment and resumed gives the same weights as one that was not, on any number of processes.

Letters: `B` events, `S` skims, `W` weights of the network.
"""

from __future__ import annotations

import dataclasses
import io
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from smartbkg.atomic import write_atomically
from smartbkg.draws import block_seed
from smartbkg.errors import TrainingError
from smartbkg.events import EVENT_TYPES, event_type_code
from smartbkg.models.transformer import Transformer
from smartbkg.training.activation import TypeSample, shares, weighted_auc
from smartbkg.training.loop import Epoch
from smartbkg.training.multiskim_balance import Balance, Sampler
from smartbkg.training.multiskim_config import MultiSkimConfig
from smartbkg.training.multiskim_crew import Crew, Step
from smartbkg.training.multiskim_data import MultiSkimSet
from smartbkg.training.states import read_state

# The first means of the weights are over few steps, or the random first weights would be in them for long.
_EMA_START = 10.0


@dataclass
class MultiSkimState:
    """Everything the next epoch needs.

    Attributes:
        weights: (W,) last ones.
        mean: (W,) their moving mean, which is what is judged and kept.
        best: (W,) the mean of the best epoch.
        optimizer: its state; empty before the first step.
        best_loss: of validation.
        history: of all epochs.
        start_from: sha256 of the checkpoint with the first weights.
    """

    weights: Tensor
    mean: Tensor
    best: Tensor
    optimizer: dict[str, Any] = field(default_factory=dict)
    best_loss: float = float("inf")
    history: list[Epoch] = field(default_factory=list)
    start_from: str | None = None

    @classmethod
    def fresh(cls, config: MultiSkimConfig, n_skims: int) -> MultiSkimState:
        """First weights from the seed."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(block_seed(config.seed, "weights"))
            network = Transformer(dataclasses.replace(config.model, n_skims=n_skims))
        return cls.of(network)

    @classmethod
    def of(cls, network: Transformer, start_from: str | None = None) -> MultiSkimState:
        """First weights from a network."""
        flat = torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
        return cls(flat, flat.clone(), flat.clone(), start_from=start_from)

    def to_bytes(self, identity: str) -> bytes:
        """The file's content: tensors and plain values only."""
        buffer = io.BytesIO()
        plain = {
            "identity": identity,
            "weights": self.weights.cpu(),
            "mean": self.mean.cpu(),
            "best": self.best.cpu(),
            "optimizer": self.optimizer,
            "best_loss": self.best_loss,
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
        entries = ("weights", "mean", "best", "optimizer", "best_loss", "history")
        values = read_state(path, entries, identity)
        self.weights, self.mean, self.best = values["weights"], values["mean"], values["best"]
        self.optimizer, self.best_loss = values["optimizer"], values["best_loss"]
        self.history = [Epoch(**epoch) for epoch in json.loads(values["history"])]


@dataclass(frozen=True)
class Judge:
    """A validation sample of moderate size, drawn by weight, and what an epoch is judged by.

    Args:
        data: the training set.
        rows: (B,) of it.
        weight: (B, S) of each event for each skim.
    """

    data: MultiSkimSet
    rows: NDArray[np.int64]
    weight: NDArray[np.float64]

    @classmethod
    def of(cls, data: MultiSkimSet, config: MultiSkimConfig) -> Judge:
        """Draw it.

        Raises:
            TrainingError: no validation event passes some skim, or none fails it.
        """
        _, rows = data.split(config.validation_fraction)
        if not len(rows):
            raise TrainingError(f"no event to validate with, among {len(data)}: give more events")
        balance = Balance.of(data, rows, config.rare, "to validate with")
        importance = balance.importance(data, rows)
        wanted = min(config.validation_events, len(rows))
        sampler = Sampler.of(rows, importance, wanted, wanted, max_repeats=1.0)
        drawn = np.sort(np.concatenate(sampler.epoch(config.seed, 0)))
        return cls(data, rows[drawn], balance.weights(data, rows[drawn]) / sampler.rate[drawn, None])

    def loss(self, logits: NDArray[np.float32]) -> float:
        """The training's loss on the sample, from logits (B, S)."""
        signed = np.where(self.data.passed(self.rows), -1.0, 1.0) * logits
        return float((np.logaddexp(0.0, signed) * self.weight).sum() / self.weight.sum())

    def auc(self, logits: NDArray[np.float32]) -> float:
        """Mean over the skims of the area under the ROC curve, as `activation.figures` defines it."""
        values = []
        for place in range(len(self.data.skims)):
            samples = type_samples(self.data, self.rows, logits, place, self.weight[:, place])
            usable = [s for s in samples if len(s.passing) and len(s.failing)]
            if usable:
                share = shares(usable)
                own = {
                    s.event_type: weighted_auc(s.passing, s.failing, s.weight, self._of_passing(s.event_type, place))
                    for s in usable
                }
                values.append(sum(part * own[kind] for kind, part in share.items()))
        return float(np.mean(values)) if values else float("nan")

    def _of_passing(self, event_type: str, place: int) -> NDArray[np.float64]:
        """(n,) weights of the events of a type that pass a skim: those that pass rare ones, too, are drawn more."""
        chosen = self.data.passes(self.rows, place) & (self.data.event_type[self.rows] == event_type_code(event_type))
        return np.asarray(self.weight[chosen, place])


def type_samples(
    data: MultiSkimSet, rows: NDArray[np.int64], logits: NDArray[np.float32], place: int, weight: NDArray[Any]
) -> list[TypeSample]:
    """Logits (B, S) of one skim by event type; `weight` (B,) of the events."""
    kind, found = data.event_type[rows], []
    passed, value = data.passes(rows, place), logits[:, place].astype(np.float64)
    for number in np.unique(kind):
        yes, no = (kind == number) & passed, (kind == number) & ~passed
        retention = float(data.retention[number, place])
        found.append(TypeSample(EVENT_TYPES[number], value[yes], value[no], weight[no].astype(np.float64), retention))
    return found


def train(
    crew: Crew,
    state: MultiSkimState,
    config: MultiSkimConfig,
    judge: Judge,
    path: Path,
    identity: str,
    say: Callable[[Epoch], None],
) -> None:
    """Train until the end; then `state.best` holds the weights.

    Args:
        crew: processes that work out gradients and logits.
        state: where to begin; it is changed.
        config: how.
        judge: of the epochs.
        path: the state's file, written after each epoch.
        identity: of this training.
        say: told about each epoch when it is safe on disk.

    Raises:
        TrainingError: the loss is not finite.
        WorkerLost: another process was killed.
    """
    crew.weights.copy_(state.weights)
    optimizer = _optimizer(crew, config)
    if state.optimizer:
        optimizer.load_state_dict(state.optimizer)
    state.mean = state.mean.to(crew.weights.device)
    steps = crew.member.sampler.steps
    while len(state.history) < config.epochs:
        start, number, losses = time.perf_counter(), len(state.history) + 1, []
        for step in range(steps):
            done = (number - 1) * steps + step
            rate = learning_rate(done, config.epochs * steps, config)
            for group in optimizer.param_groups:
                group["lr"] = rate
            losses.append(crew.step(Step(number, step)))
            nn.utils.clip_grad_norm_(crew.network.parameters(), config.clip)
            optimizer.step()
            state.mean.lerp_(crew.weights, 1.0 - min(config.ema, (done + 1.0) / (done + _EMA_START)))
        if not np.isfinite(losses).all():
            raise TrainingError(
                f"the loss of epoch {number} is not finite: try a smaller learning rate than {config.learning_rate}"
            )
        logits = _judged(crew, state.mean, judge.rows)
        loss, area = judge.loss(logits), judge.auc(logits)
        state.history.append(Epoch(number, float(np.mean(losses)), loss, area, rate, time.perf_counter() - start))
        if loss < state.best_loss:
            state.best_loss, state.best = loss, state.mean.clone()
        state.weights, state.optimizer = crew.weights.clone(), optimizer.state_dict()
        write_atomically(path, state.to_bytes(identity))
        say(state.history[-1])


def learning_rate(step: int, steps: int, config: MultiSkimConfig) -> float:
    """Of a step: a line up to the largest rate, then a cosine down to the last one."""
    rising = max(round(config.warm_up * steps), 1)
    if step < rising:
        return config.learning_rate * (step + 1) / rising
    progress = (step - rising) / max(steps - rising - 1, 1)
    low = min(config.final_rate, config.learning_rate)
    return low + (config.learning_rate - low) * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))


def _optimizer(crew: Crew, config: MultiSkimConfig) -> torch.optim.AdamW:
    """AdamW on the shared weights; matrices decay, biases and norms do not."""
    parameters = list(crew.network.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def _judged(crew: Crew, weights: Tensor, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """(B, S) logits with other weights than those that are trained."""
    own = crew.weights.clone()
    crew.weights.copy_(weights)
    try:
        return crew.score(rows)
    finally:
        crew.weights.copy_(own)
