"""Processes that share the weights of a network and work out the gradients of a batch together.

A batch is cut into `PARTS` of similar lengths, whoever is free takes the next one, and the gradients of the parts are
added in their order. So the same seed gives the same weights on any number of processes, and a process that is held
up by others on the machine takes fewer parts.

Letters: `B` events, `S` skims, `W` weights of the network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.multiprocessing import get_context
from torch.nn import functional

from smartbkg.bridging import BRIDGED_SPEC
from smartbkg.draws import block_seed
from smartbkg.errors import WorkerLost
from smartbkg.features import Features
from smartbkg.models.transformer import Transformer
from smartbkg.training.augment import augment
from smartbkg.training.multiskim_balance import Balance, Padded, Sampler, split_by_length
from smartbkg.training.multiskim_config import MultiSkimConfig
from smartbkg.training.multiskim_data import MultiSkimSet, open_multiskim_set
from smartbkg.training.skim_labels import SkimColumn
from smartbkg.workers import start_worker

PARTS = 8  # enough for any workstation's share of one small network; padding is small with as many
_SCORED = 256  # events scored at a time


@dataclass(frozen=True)
class Plan:
    """What a process must know: the folder of the training set, the skims, and how to train."""

    folder: Path
    skims: tuple[SkimColumn, ...]
    config: MultiSkimConfig


@dataclass(frozen=True)
class Step:
    """The task of one batch."""

    epoch: int
    number: int


@dataclass(frozen=True)
class Score:
    """The task of scoring events."""

    rows: NDArray[np.int64]

    def chunks(self, counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Positions in `rows`, of similar lengths, the longest first."""
        order = np.argsort(-counts[self.rows], kind="stable")
        return [order[first : first + _SCORED] for first in range(0, len(order), _SCORED)]


class Member:
    """The work of one process: gradients of parts of a batch, and logits of events."""

    def __init__(self, plan: Plan, data: MultiSkimSet, weights: Tensor, gradients: Tensor) -> None:
        config = plan.config
        torch.set_num_threads(config.threads)
        self.config, self.data, self.gradients = config, data, gradients
        self.device = torch.device(config.device)
        self.network = Transformer(dataclasses.replace(config.model, n_skims=len(data.skims))).to(self.device)
        bind(self.network, weights)
        self.sampler, self.balance = sampler_of(data, config)
        self._batches: tuple[int, list[NDArray[np.int64]]] = (-1, [])

    @cached_property
    def _into(self) -> list[list[Tensor]]:
        return [views(self.network, gradient) for gradient in self.gradients]

    def gradient(self, step: Step, part: int) -> float:
        """Write the gradient of one part of a batch into its place; returns its part of the loss."""
        batch = self.batch(step)
        counts = self.data.features.counts[self.sampler.rows[batch]]
        places = batch[split_by_length(counts, PARTS)[part]]
        self.gradients[part].zero_()
        if not len(places):
            return 0.0
        rows, rate = self.sampler.rows[places], self.sampler.rate[places]
        # Divided by the rate of drawing, weights have the mean of all events; the loss starts near log 2.
        scale = self.sampler.rate.sum() / (self.balance.total * len(batch) * rate)  # (b,)
        weight = torch.from_numpy((self.balance.weights(self.data, rows) * scale[:, None]).astype(np.float32))
        target = torch.from_numpy(self.data.passed(rows).astype(np.float32))
        seed = block_seed(self.config.seed, "augment", step.epoch, step.number, part)
        logit = self._logits(rows, np.random.default_rng(seed) if self.config.augment else None)  # (b, S)
        loss = functional.binary_cross_entropy_with_logits(
            logit, target.to(self.device), weight.to(self.device), reduction="sum"
        )
        for parameter, gradient in zip(self.network.parameters(), self._into[part], strict=True):
            parameter.grad = gradient  # what backward() adds to
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    def batch(self, step: Step) -> NDArray[np.int64]:
        """Positions in the sampler's rows."""
        if self._batches[0] != step.epoch:
            self._batches = step.epoch, self.sampler.epoch(self.config.seed, step.epoch)
        return self._batches[1][step.number]

    def score(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(b, S) logits of these events."""
        with torch.inference_mode():
            logits: NDArray[np.float32] = self._logits(rows, None).cpu().numpy()
        return logits

    def _logits(self, rows: NDArray[np.int64], draw: np.random.Generator | None) -> Tensor:
        features = self.data.features.select(rows)
        if draw is not None:
            features = _augmented(features, draw)
        padded = Padded.of(features, self.data.event_type[rows])
        inputs = [torch.from_numpy(a).to(self.device) for a in (padded.x, padded.pdg, padded.mother, padded.c)]
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bf16"):
            logits: Tensor = self.network(*inputs)
        return logits.float()


class Crew:
    """This process and others, all with the same weights. Use as a context manager.

    Attributes:
        weights: (W,) of the network, shared; whoever changes them changes the network of every process.
        gradient: (W,) of the last step, which is that of the network's parameters.
    """

    def __init__(self, plan: Plan, data: MultiSkimSet, processes: int = 1) -> None:
        config = plan.config
        size = sum(
            p.numel() for p in Transformer(dataclasses.replace(config.model, n_skims=len(data.skims))).parameters()
        )
        self.weights, self.gradients = torch.zeros(size), torch.zeros(PARTS, size)
        if config.device == "cuda":
            self.weights, self.gradients = self.weights.cuda(), self.gradients.cuda()
        else:
            self.weights.share_memory_()  # type: ignore[no-untyped-call]
            self.gradients.share_memory_()  # type: ignore[no-untyped-call]
        self.member = Member(plan, data, self.weights, self.gradients)
        self.gradient = torch.zeros_like(self.weights)
        self._totals = views(self.network, self.gradient)
        context = get_context("spawn")
        self._next = context.Value("l", 0)
        self._others: list[tuple[BaseProcess, Connection]] = []
        for _ in range(min(processes, PARTS) - 1 if config.device == "cpu" else 0):
            here, there = context.Pipe()
            shared = (plan, self.weights, self.gradients, self._next, there)
            process = context.Process(target=_serve, args=shared, daemon=True)
            process.start()
            there.close()
            self._others.append((process, here))

    @property
    def network(self) -> Transformer:
        """The network of this process; its weights are the shared ones."""
        return self.member.network

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process, connection in self._others:
            connection.close()  # a process that reads from it ends
            process.join(timeout=5 if error is None else 0.1)
            if process.is_alive():
                process.terminate()
                process.join()

    def step(self, step: Step) -> float:
        """Put the gradient of a batch into `gradient`; returns its loss."""
        losses = self._share(step)
        torch.sum(self.gradients, dim=0, out=self.gradient)
        for parameter, gradient in zip(self.network.parameters(), self._totals, strict=True):
            parameter.grad = gradient  # until now it was that of a part
        return float(sum(losses[part] for part in range(PARTS)))

    def score(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """(B, S) logits of events."""
        task = Score(rows)
        found = self._share(task)
        logits = np.empty((len(rows), len(self.member.data.skims)), dtype=np.float32)
        for number, places in enumerate(task.chunks(self.member.data.features.counts)):
            logits[places] = found[number]
        return logits

    def _share(self, task: Step | Score) -> dict[int, Any]:
        """Results of all pieces of a task, by number."""
        self._next.value = 0
        try:
            for _, connection in self._others:
                connection.send(task)
            results = dict(_pieces(self.member, task, self._next))
            for _, connection in self._others:
                found = connection.recv()
                if isinstance(found, BaseException):
                    raise found
                results.update(found)
        except (EOFError, BrokenPipeError, ConnectionResetError) as error:
            raise WorkerLost("a batch of the training") from error
        return results


def sampler_of(data: MultiSkimSet, config: MultiSkimConfig) -> tuple[Sampler, Balance]:
    """Which events are shown how often, and what they weigh."""
    rows, _ = data.split(config.validation_fraction)
    balance = Balance.of(data, rows, config.rare)
    importance = balance.importance(data, rows)
    return Sampler.of(rows, importance, config.batch_size, config.epoch_events, config.max_repeats), balance


def bind(network: nn.Module, weights: Tensor) -> None:
    """Make the network's parameters views of one flat tensor (W,)."""
    for parameter, view in zip(network.parameters(), views(network, weights), strict=True):
        parameter.data = view


def views(network: nn.Module, flat: Tensor) -> list[Tensor]:
    """Pieces of a flat tensor (W,) with the shapes of the network's parameters."""
    sizes = [parameter.numel() for parameter in network.parameters()]
    return [
        piece.view(parameter.shape)
        for piece, parameter in zip(torch.split(flat, sizes), network.parameters(), strict=True)
    ]


def _augmented(features: Features, draw: np.random.Generator) -> Features:
    event = np.repeat(np.arange(len(features)), features.counts)
    inputs: dict[str, NDArray[Any]] = {
        "x": features.x,
        "token": features.token,
        "event": event,
        "n_events": np.array([len(features)]),
    }
    seen = augment(inputs, BRIDGED_SPEC, draw)
    return dataclasses.replace(features, x=seen["x"], token=seen["token"])


def _pieces(member: Member, task: Step | Score, taken: Synchronized[int]) -> Iterator[tuple[int, Any]]:
    """Take piece after piece of a task until there is none left."""
    chunks = [] if isinstance(task, Step) else task.chunks(member.data.features.counts)
    total = PARTS if isinstance(task, Step) else len(chunks)
    while True:
        with taken.get_lock():
            number, taken.value = taken.value, taken.value + 1
        if number >= total:
            return
        if isinstance(task, Step):
            yield number, member.gradient(task, number)
        else:
            yield number, member.score(task.rows[chunks[number]])


def _serve(plan: Plan, weights: Tensor, gradients: Tensor, taken: Synchronized[int], connection: Connection) -> None:
    """The life of another process: task after task, until its parent closes the connection."""
    start_worker()
    try:
        member = Member(plan, open_multiskim_set(plan.folder).only(plan.skims), weights, gradients)
        while True:
            task = connection.recv()
            connection.send(dict(_pieces(member, task, taken)))
    except EOFError:
        return
    except Exception as error:  # whatever it is, the parent raises it
        connection.send(error)
