"""One training of the multi-skim network from files to files: data, loop, activations, exports, configuration, figures.

In the end the folder holds what is published together: the weights for one event a call, those for batches, and the
configuration that names the digests of both.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from smartbkg.atomic import write_atomically
from smartbkg.errors import TrainingError
from smartbkg.events import EVENT_TYPES
from smartbkg.models.multiskim_checkpoint import load_multiskim
from smartbkg.models.transformer import Transformer
from smartbkg.training.loop import Epoch
from smartbkg.training.multiskim_balance import check_classes, has_both
from smartbkg.training.multiskim_config import MultiSkimConfig
from smartbkg.training.multiskim_crew import Crew, Plan, Step, bind
from smartbkg.training.multiskim_data import MultiSkimSet, prepare_multiskim
from smartbkg.training.multiskim_loop import Judge, MultiSkimState, train
from smartbkg.training.multiskim_result import Files, Result, log_of
from smartbkg.training.states import identity_of, read_state

METRICS, LOG, STATE, DATA = "metrics.json", "training.csv", "training-state.pt", "training-data"
_TIMED_STEPS = 8


def _silent(_: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class MultiSkimJob:
    """What to train on, how, and where the files go.

    Args:
        events: event files of all types.
        labels: skimmed files with labels for each event.
        folder: for everything that is written; made when it is missing.
        skims: names; all that are in the label files and have both classes, if none are named.
        config: how.
        keep_failing: fraction kept of the events that pass no skim.
        processes: that work together; the result does not depend on it.
        max_minutes: as many epochs as fit are trained, measured before the first one; None for all of the config.
        resume: go on with the training in the folder, if there is one.
        start_from: a checkpoint whose weights are the first ones; skims it knows keep their outputs.
    """

    events: tuple[Path, ...]
    labels: tuple[Path, ...]
    folder: Path
    skims: tuple[str, ...] = ()
    config: MultiSkimConfig = field(default_factory=MultiSkimConfig)
    keep_failing: float = 1.0
    processes: int = 1
    max_minutes: float | None = None
    resume: bool = False
    start_from: Path | None = None


@dataclass(frozen=True)
class TrainedMultiSkim:
    """A finished training."""

    files: Files
    metrics: dict[str, Any]


def read_data(
    job: MultiSkimJob, progress: Callable[[int], None] | None = None, talk: Callable[[str], None] = _silent
) -> MultiSkimSet:
    """The job's training set in its folder, with the skims that can be trained.

    Args:
        job: what.
        progress: told the number of events read.
        talk: told which skims are left out, and why.

    Raises:
        TrainingError: another training in the way, labels that do not belong to the events, a skim of one class.
        EventDataError: as the files' readers.
    """
    job.config.check_device()
    _check_folder(job)
    data = prepare_multiskim(
        job.events,
        job.labels,
        job.folder / DATA,
        skims=job.skims,
        keep_failing=job.keep_failing,
        progress=progress,
        say=talk,
    )
    return usable_skims(data, job, talk)


def train_multiskim(
    job: MultiSkimJob,
    data: MultiSkimSet,
    say: Callable[[Epoch, int], None] = lambda *_: None,
    talk: Callable[[str], None] = _silent,
) -> TrainedMultiSkim:
    """Train, fit the activations, and write all files into the folder.

    Args:
        job: what.
        data: from `read_data`.
        say: told about every epoch when it is safe on disk, and how many there will be.
        talk: told what is going on.

    Raises:
        TrainingError: a state of another training, a loss that is not finite.
        ModelError: a checkpoint to start from that is none.
        WorkerLost: another process was killed.
    """
    start = time.perf_counter()
    judge = Judge.of(data, job.config)
    state, parent = _first_state(job, data)
    plan = Plan(job.folder / DATA, data.skims, job.config)
    state_file = job.folder / STATE
    with Crew(plan, data, job.processes) as crew:
        config = _within_time(job, crew, state_file, talk)
        identity = config.identity(data.digest, [skim.name for skim in data.skims], state.start_from)
        if job.resume and state_file.exists():
            state.restore(state_file, identity)
        else:
            # Figures of an earlier training must not lie beside the state of this one.
            (job.folder / METRICS).unlink(missing_ok=True)
        talk(_said(data, crew, config))
        train(crew, state, config, judge, state_file, identity, lambda epoch: say(epoch, config.epochs))
        write_atomically(job.folder / LOG, log_of(state.history).encode())
        talk("fit the activations")
        crew.weights.copy_(state.best)
        _, rows = data.split(config.validation_fraction)
        logits = crew.score(rows)
    if not np.isfinite(logits).all():
        raise TrainingError("the trained network gives logits that are not finite: try a smaller learning rate")
    result = Result.of(data, rows, logits, state, config, parent)
    files = result.save(job.folder)
    content = {**result.metrics(), "keep_failing": job.keep_failing, "seconds": round(time.perf_counter() - start, 3)}
    write_atomically(job.folder / METRICS, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())
    return TrainedMultiSkim(files, content)


def usable_skims(data: MultiSkimSet, job: MultiSkimJob, talk: Callable[[str], None]) -> MultiSkimSet:
    """Leave out skims of one class in each type, to train on or to validate with; those asked for are refused.

    Raises:
        TrainingError: names the skims that were asked for, or there is none left.
    """
    usable = np.ones(len(data.skims), dtype=np.bool_)
    for rows, what in zip(data.split(job.config.validation_fraction), ("to train on", "to validate with"), strict=True):
        n_pass = data.count_passing(rows)  # (T, S)
        n_fail = np.bincount(data.event_type[rows], minlength=len(EVENT_TYPES))[:, None] - n_pass
        if job.skims:
            check_classes(data, n_pass, n_fail, what)
        usable &= has_both(n_pass, n_fail)
    left_out = [skim.name for skim, good in zip(data.skims, usable, strict=True) if not good]
    if not usable.any():
        raise TrainingError(
            f"no skim has both passing and failing events to train on and to validate with, among {len(data)} events "
            f"and {', '.join(left_out)}: give more events"
        )
    if left_out:
        names = ", ".join(left_out)
        talk(f"left out, since no type has both passing and failing events in training and validation: {names}")
    return data.only([skim for skim, good in zip(data.skims, usable, strict=True) if good])


def carry_over(
    network: Transformer, skims: Sequence[tuple[int, str]], start: Path
) -> tuple[Transformer, dict[str, Any]]:
    """A network that begins with the weights of a checkpoint; outputs of skims that it does not know stay fresh.

    Returns:
        The network, and what it comes from in plain values.

    Raises:
        TrainingError: the checkpoint is of another size.
        ModelError: it is none.
    """
    parent = load_multiskim(start)
    size = dataclasses.replace(parent.network.config, n_skims=network.config.n_skims)
    if size != network.config:
        raise TrainingError(f"{start} is a network of {size}; {network.config} was asked for")
    known = {code: row for row, (code, _) in enumerate(parent.manifest.skims)}
    rows = [(place, known[code]) for place, (code, _) in enumerate(skims) if code in known]
    theirs, ours = parent.network.state_dict(), network.state_dict()
    state = {name: ours[name] if name.startswith("logits.") else theirs[name] for name in ours}
    for name in ("logits.weight", "logits.bias"):
        for place, row in rows:
            state[name][place] = theirs[name][row]
    network.load_state_dict(state)
    kept = [name for code, name in skims if code in known]
    return network, {"sha256": parent.sha256, "skims_kept": kept, "skims_fresh": len(skims) - len(kept)}


def _check_folder(job: MultiSkimJob) -> None:
    there = [name for name in (METRICS, STATE) if (job.folder / name).exists()]
    if there and not job.resume:
        kind = "a finished" if METRICS in there else "an unfinished"
        raise TrainingError(f"{job.folder} holds {kind} training: go on with it (--resume), or name another folder")
    for leftover in job.folder.glob(f".{STATE}.*.part"):
        leftover.unlink()  # of a training that was killed while it wrote


def _first_state(job: MultiSkimJob, data: MultiSkimSet) -> tuple[MultiSkimState, dict[str, Any] | None]:
    state = MultiSkimState.fresh(job.config, len(data.skims))
    if job.start_from is None:
        return state, None
    network = Transformer(dataclasses.replace(job.config.model, n_skims=len(data.skims)))
    bind(network, state.weights)
    network, parent = carry_over(network, [(skim.code, skim.name) for skim in data.skims], job.start_from)
    return MultiSkimState.of(network, parent["sha256"]), parent


def _within_time(job: MultiSkimJob, crew: Crew, state_file: Path, talk: Callable[[str], None]) -> MultiSkimConfig:
    """The configuration with as many epochs as fit in the time; a training that goes on keeps its number."""
    if job.max_minutes is None:
        return job.config
    if job.resume and state_file.exists():
        return dataclasses.replace(job.config, epochs=_epochs_of(state_file))
    steps = crew.member.sampler.steps
    crew.step(Step(1, 0))  # the first one also waits for the other processes to start
    start = time.perf_counter()
    for number in range(_TIMED_STEPS):
        crew.step(Step(1, number % steps))
    step_s = (time.perf_counter() - start) / _TIMED_STEPS
    # A tenth is for validation, and for the figures and files in the end.
    epochs = max(int(0.9 * job.max_minutes * 60.0 / (steps * step_s)), 1)
    talk(
        f"{step_s * 1e3:.0f} ms a step, {steps} steps an epoch: {epochs} epochs fit; the same again: --epochs {epochs}"
    )
    return dataclasses.replace(job.config, epochs=epochs)


def _epochs_of(state_file: Path) -> int:
    return int(identity_of(read_state(state_file, ()), state_file)["epochs"])


def _said(data: MultiSkimSet, crew: Crew, config: MultiSkimConfig) -> str:
    sampler = crew.member.sampler
    events = int(sampler.rate.sum())
    return (
        f"{len(data.skims)} skims, {len(data)} events of {int(data.natural.sum())} generated, {len(sampler.rows)} to "
        f"train on; {config.epochs} epochs of {events} events in {sampler.steps} steps"
    )
