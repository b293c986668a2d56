"""One training from files to files: data, loop, activation, checkpoint, export, figures."""

from __future__ import annotations

import copy
import csv
import dataclasses
import io
import json
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from smartbkg import __version__
from smartbkg.atomic import write_atomically
from smartbkg.errors import TrainingError
from smartbkg.manifest import Manifest
from smartbkg.models.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from smartbkg.models.kinds import EventNetwork
from smartbkg.scorer import sigmoid
from smartbkg.training import metrics
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
)
from smartbkg.training.networks import export_bytes, fit_scales, kind_for

METRICS, LOG = "metrics.json", "training.csv"
STATE, DATA = "training-state.pt", "training-data"


@dataclass(frozen=True)
class TrainingJob:
    """What to train on, how, and where the files go.

    Args:
        events: event files.
        labels: skimmed files with a label for each event.
        skim: column of the labels.
        folder: for everything that is written; made when it is missing.
        config: how.
        resume: go on with the training in the folder, if there is one.
        start_from: a checkpoint whose weights are the first ones (fine-tuning), of this skim or of another one.
        fresh_head: of these weights, the last layer begins anew.
        origin: what the checkpoint is called where it comes from: `name` and `revision` of a payload.
    """

    events: tuple[Path, ...]
    labels: tuple[Path, ...]
    skim: str
    folder: Path
    config: TrainingConfig = field(default_factory=TrainingConfig)
    resume: bool = False
    start_from: Path | None = None
    fresh_head: bool = False
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """A finished training."""

    checkpoint: Path
    export: Path
    metrics: dict[str, Any]


def read_data(job: TrainingJob, progress: Callable[[int], None] | None = None) -> TrainingSet:
    """The job's training set, in its folder.

    Raises:
        TrainingError: labels that do not belong to the events, no events, another training in the way.
        EventDataError: as the files' readers.
    """
    there = [name for name in (METRICS, STATE) if (job.folder / name).exists()]
    if there and not job.resume:
        kind = "a finished" if METRICS in there else "an unfinished"
        raise TrainingError(f"{job.folder} holds {kind} training: go on with it (--resume), or name another folder")
    return prepare(job.events, job.labels, job.skim, job.folder / DATA, progress, kind_for(job.config.model).spec)


def train_network(job: TrainingJob, data: TrainingSet, say: Callable[[Epoch], None] = lambda _: None) -> Trained:
    """Train, and write checkpoint, export, figures and log into the folder.

    Args:
        job: what.
        data: from `read_data`.
        say: told about every epoch when it is safe on disk.

    Raises:
        TrainingError: no passing or no failing events, or a state of another training.
        ModelError: a checkpoint to start from that is none, or is of another size.
    """
    start = time.perf_counter()
    folder, state_file = job.folder, job.folder / STATE
    sample = Sample.of(data, job.config)
    parent = None if job.start_from is None else load_checkpoint(job.start_from)
    state = _begin(job, data, sample, parent)
    network = train(data, state, job.config, state_file, say)
    write_atomically(folder / LOG, _log(state.history).encode())

    passed = data.passed[sample.validation]
    retention = job.config.retention_of(data)
    logits = evaluate_rows(network, data.features, sample.validation)
    scale, shift = metrics.fit_sigmoid(logits, passed, retention, job.config.times)
    fold_activation(network, scale, shift)
    figures = {
        **figures_of_merit(sigmoid(scale * logits + shift), passed, retention, job.config.times),
        "activation": {"scale": scale, "shift": shift},
        "epochs": len(state.history),
        "seed": job.config.seed,
    }
    trained = _save(job, network, data, figures, parent)
    extra = {
        **_provenance(job, data, sample),
        **_ancestry(job, data, sample, parent),
        "seconds": round(time.perf_counter() - start, 3),
    }
    content = {**trained.metrics, **extra}
    write_atomically(folder / METRICS, (json.dumps(content, indent=2, sort_keys=True) + "\n").encode())
    return dataclasses.replace(trained, metrics=content)


def fold_activation(network: EventNetwork, scale: float, shift: float) -> None:
    """Make the network's logit `scale * logit + shift`, inside its last layer: the file's format stays as it is."""
    with torch.no_grad():
        network.fc_output.weight.mul_(scale)
        network.fc_output.bias.mul_(scale).add_(shift)


def figures_of_merit(
    p: NDArray[np.float64], passed: NDArray[np.bool_], retention: float, times: metrics.ReferenceTimes
) -> dict[str, Any]:
    """The figures that travel with a trained file."""
    return {
        "auc": metrics.auc(p, passed),
        "speed_up": metrics.speed_up(p, passed, retention, times),
        "effective_fraction": metrics.effective_fraction(p, passed),
        "kept_fraction": metrics.kept_fraction(p, passed, retention),
        "retention": retention,
        "n_validation": len(passed),
        "n_validation_passing": int(passed.sum()),
    }


def unfold_activation(network: EventNetwork, metrics: Mapping[str, Any]) -> None:
    """The reverse of `fold_activation`, with the activation that a trained file's figures name, if they do.

    A fine-tuning goes on from the logits that its parent was trained to give, not from flattened ones.
    """
    activation = metrics.get("activation")
    if not isinstance(activation, Mapping):
        return
    scale, shift = activation.get("scale"), activation.get("shift")
    if isinstance(scale, float) and isinstance(shift, float) and scale > 0 and np.isfinite([scale, shift]).all():
        fold_activation(network, 1.0 / scale, -shift / scale)


def _begin(job: TrainingJob, data: TrainingSet, sample: Sample, parent: Checkpoint | None) -> TrainingState:
    state_file = job.folder / STATE
    for leftover in job.folder.glob(f".{STATE}.*.part"):
        leftover.unlink()  # of a training that was killed while it wrote
    state = TrainingState.fresh(job.config, None if parent is None else _start(job, parent))
    if parent is None:
        fit_scales(state.network, data, np.concatenate([sample.passing, sample.failing]))
    if job.resume and state_file.exists():
        state.restore(state_file, training_identity(data, job.config, state.start_from))
    else:
        # Figures of an earlier training must not lie beside the state of this one.
        (job.folder / METRICS).unlink(missing_ok=True)
    return state


def _start(job: TrainingJob, parent: Checkpoint) -> Start:
    """First weights from a trained network."""
    if parent.network.config != job.config.model:
        raise TrainingError(
            f"{job.start_from} is a network of {parent.network.config}; {job.config.model} was asked for"
        )
    network = copy.deepcopy(parent.network)
    unfold_activation(network, parent.manifest.metrics)
    return Start(network, parent.sha256, job.fresh_head)


def _ancestry(job: TrainingJob, data: TrainingSet, sample: Sample, parent: Checkpoint | None) -> dict[str, Any]:
    """Where the first weights come from, and how well they did before the training on the same events."""
    if parent is None:
        return {"start_from": None}
    logits = evaluate_rows(parent.network, data.features, sample.validation)
    before = metrics.auc(logits, data.passed[sample.validation])
    origin = {**job.origin, "skim": parent.manifest.skim, "fresh_head": job.fresh_head, "auc_before": before}
    return {"start_from": parent.sha256, "parent": {"sha256": parent.sha256, **origin}}


def _save(
    job: TrainingJob, network: EventNetwork, data: TrainingSet, figures: dict[str, Any], parent: Checkpoint | None
) -> Trained:
    origin = {name: job.origin[name] for name in ("name", "revision") if name in job.origin}
    kind = kind_for(job.config.model)
    manifest = Manifest(
        kind=kind.name,
        feature_spec=kind.spec,
        token_digest=kind.spec.token_digest,
        model_config=dataclasses.asdict(network.config),
        skim=job.skim,
        data_digest=data.digest,
        metrics=figures,
        parent=None if parent is None else {"sha256": parent.sha256, "skim": parent.manifest.skim, **origin},
    )
    trained = Trained(job.folder / kind.checkpoint, job.folder / kind.export, figures)
    sha256 = save_checkpoint(trained.checkpoint, network, manifest)
    write_atomically(trained.export, export_bytes(network, dataclasses.replace(manifest, checkpoint_sha256=sha256)))
    return trained


def _provenance(job: TrainingJob, data: TrainingSet, sample: Sample) -> dict[str, Any]:
    return {
        "skim": job.skim,
        "data_digest": data.digest,
        "n_events": len(data),
        "n_passing": int(data.passed.sum()),
        "n_training_passing": len(sample.passing),
        "config": dataclasses.asdict(job.config),
        "versions": {
            "smartbkg": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def _log(history: list[Epoch]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in dataclasses.fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(epoch) for epoch in history)
    return text.getvalue()
