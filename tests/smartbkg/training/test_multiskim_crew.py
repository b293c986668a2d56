"""Processes that work together: the same numbers on one as on several, and no waiting for a dead one."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from smartbkg.errors import WorkerLost
from smartbkg.models.transformer import Transformer
from smartbkg.training.multiskim_balance import Padded
from smartbkg.training.multiskim_config import MultiSkimConfig
from smartbkg.training.multiskim_crew import Crew, Plan, Step, bind
from smartbkg.training.multiskim_data import MultiSkimSet, open_multiskim_set, prepare_multiskim
from smartbkg.training.multiskim_loop import MultiSkimState
from support.multiskim import SMALL_CONFIG, toy_batches, write_sample

FOLDER = "data"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("crew")
    sample = write_sample(path, *toy_batches(150))
    prepare_multiskim(sample.events, sample.labels, path / FOLDER)
    return path / FOLDER


@pytest.fixture(scope="module")
def data(folder: Path) -> MultiSkimSet:
    return open_multiskim_set(folder)


def crew_of(folder: Path, data: MultiSkimSet, processes: int = 1, config: MultiSkimConfig = SMALL_CONFIG) -> Crew:
    crew = Crew(Plan(folder, data.skims, config), data, processes)
    crew.weights.copy_(MultiSkimState.fresh(config, len(data.skims)).weights)
    return crew


def test_a_step_gives_the_gradient_of_the_balanced_loss(folder: Path, data: MultiSkimSet) -> None:
    config = dataclasses.replace(SMALL_CONFIG, augment=False)
    with crew_of(folder, data, config=config) as crew:
        loss = crew.step(Step(1, 0))
        member = crew.member
        batch = member.batch(Step(1, 0))
        rows, rate = member.sampler.rows[batch], member.sampler.rate[batch]
        network = Transformer(crew.network.config)
        bind(network, crew.weights.clone())
        padded = Padded.of(data.features.select(rows), data.event_type[rows])
        logit = network(*(torch.from_numpy(array) for array in (padded.x, padded.pdg, padded.mother, padded.c)))
        weight = member.balance.weights(data, rows) * member.sampler.rate.sum() / (rate[:, None] * len(batch))
        each = functional.binary_cross_entropy_with_logits(
            logit, torch.from_numpy(data.passed(rows).astype(np.float32)), reduction="none"
        )
        direct = (each * torch.from_numpy(weight / member.balance.total)).sum()
        direct.backward()
        assert loss == pytest.approx(float(direct.detach()), rel=1e-5)
        for parameter, mine in zip(network.parameters(), crew.network.parameters(), strict=True):
            assert mine.grad is not None
            assert parameter.grad is not None
            assert torch.allclose(mine.grad, parameter.grad, atol=1e-6)


def test_two_processes_give_the_same_bits_as_one(folder: Path, data: MultiSkimSet) -> None:
    found = []
    for processes in (1, 2):
        with crew_of(folder, data, processes) as crew:
            losses = [crew.step(Step(epoch, step)) for epoch, step in ((1, 0), (1, 2), (2, 1))]
            found.append((losses, crew.gradient.clone(), crew.score(np.arange(len(data)))))
    assert found[0][0] == found[1][0]
    assert torch.equal(found[0][1], found[1][1])
    assert np.array_equal(found[0][2], found[1][2])


def test_scores_come_in_the_order_of_the_rows(folder: Path, data: MultiSkimSet) -> None:
    with crew_of(folder, data) as crew:
        rows = np.array([7, 200, 3, 150])
        one_by_one = np.concatenate([crew.score(rows[i : i + 1]) for i in range(4)])
        assert crew.score(rows) == pytest.approx(one_by_one, abs=1e-5)


def test_half_precision_stays_close(folder: Path, data: MultiSkimSet) -> None:
    rows, found = np.arange(40), []
    for precision in ("fp32", "bf16"):
        config = dataclasses.replace(SMALL_CONFIG, precision=precision)
        with crew_of(folder, data, config=config) as crew:
            found.append((crew.step(Step(1, 0)), crew.score(rows)))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-2)
    assert found[1][1] == pytest.approx(found[0][1], abs=0.1)
    assert not np.array_equal(found[1][1], found[0][1])


def test_a_killed_process_ends_the_training_with_its_name(folder: Path, data: MultiSkimSet) -> None:
    with pytest.raises(WorkerLost, match="before a batch of the training was done"), crew_of(folder, data, 2) as crew:
        crew.step(Step(1, 0))
        (process, _), *_ = crew._others
        os.kill(int(process.pid or 0), signal.SIGKILL)
        process.join()
        crew.step(Step(1, 1))


def test_what_goes_wrong_in_another_process_is_raised_here(folder: Path, data: MultiSkimSet) -> None:
    with crew_of(folder, data, 2) as crew, pytest.raises(IndexError, match="out of range"):
        crew.step(Step(1, 0))
        crew._next.value = 0
        for _, connection in crew._others:
            connection.send(Step(1, 10_000))
            raise connection.recv()


def test_the_end_of_a_crew_is_the_end_of_its_processes(folder: Path, data: MultiSkimSet) -> None:
    with crew_of(folder, data, 2) as crew:
        crew.step(Step(1, 0))
        processes = [process for process, _ in crew._others]
        assert all(process.is_alive() for process in processes)
    assert not any(process.is_alive() for process in processes)
