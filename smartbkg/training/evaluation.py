"""A trained file on labelled events: every figure of merit, and the curves for a report. No torch needed.

Letters: `B` events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartbkg.decision import MAX_WEIGHT
from smartbkg.errors import BadEvent, ColumnsMissing, ModelMismatch, TrainingError
from smartbkg.events import read_batches
from smartbkg.features import build
from smartbkg.matching import NOT_FOUND, EventIndex, EventKeys, event_name, join_keys
from smartbkg.parquet import read_metadata, read_schema, read_tables
from smartbkg.report.comparison import Comparison, compare
from smartbkg.scorer import Scorer, open_scorer
from smartbkg.training import metrics
from smartbkg.training.data import KEYS, check_flag, read_flag, read_labels, read_names
from smartbkg.training.metrics import REFERENCE_TIMES, ReferenceTimes, Roc

WEIGHT = "weight"
# Between one batch and another a score may differ in its last bits; another network differs by far more.
WEIGHT_TOLERANCE = 1e-4
# Points of the ROC curve in a file: enough for any plot, whatever the number of events.
_ROC_POINTS = 200


@dataclass(frozen=True)
class EvaluationJob:
    """What to evaluate, on what.

    Args:
        model: trained file, exported or checkpoint.
        events: event files the model has not been trained on.
        labels: skimmed files with a label for each of these events.
        skim: column of the labels.
        kept: skimmed files of the events a filter kept, with their weights; compared with the truth in `labels`.
        threads: of the network.
    """

    model: Path
    events: tuple[Path, ...]
    labels: tuple[Path, ...]
    skim: str
    kept: tuple[Path, ...] = ()
    threads: int = 1


@dataclass(frozen=True)
class Evaluation:
    """Figures, ready for JSON, and what is behind them.

    Args:
        figures: figures of merit.
        probability: (B,) to keep each event.
        passed: (B,).
        roc: the curve.
        comparison: weighted against true distributions, where kept events were given.
    """

    figures: dict[str, Any]
    probability: NDArray[np.float64]
    passed: NDArray[np.bool_]
    roc: Roc
    comparison: Comparison | None


def evaluate(job: EvaluationJob, progress: Callable[[int], None] | None = None) -> Evaluation:
    """Score labelled events and compute every figure of merit.

    Raises:
        TrainingError: events without a label, or one class alone.
        EventDataError, ModelError: as the files' readers.
    """
    scorer = open_scorer(job.model, job.threads)
    labels = read_labels(job.labels, job.skim)
    scores, passes, names, network_s = [], [], [], 0.0
    done = 0
    for path in job.events:
        for batch in read_batches(path):
            names.append((batch.exp, batch.run, batch.event))
            passes.append(labels.of(names[-1]))
            started = time.process_time()
            scores.append(scorer.score(build(batch, scorer.spec)))
            network_s += time.process_time() - started
            done += len(batch)
            if progress is not None:
                progress(done)
    if not done:
        raise TrainingError("the event files hold no event: there is nothing to evaluate")
    # What sampling does with a score: no event gets more than the largest weight.
    p = np.maximum(np.concatenate(scores), 1.0 / MAX_WEIGHT)
    passed = np.concatenate(passes)
    measured = _measured_times(job, 1e3 * network_s / done)
    figures = {**_identity(job, scorer), **_figures(p, passed, measured)}
    comparison = _compare(job, join_keys(names), p) if job.kept else None
    if comparison is not None:
        figures["comparison"] = comparison.to_json()
    return Evaluation(figures, p, passed, metrics.roc(p, passed), comparison)


def _identity(job: EvaluationJob, scorer: Scorer) -> dict[str, Any]:
    manifest = scorer.manifest
    return {
        "model": str(job.model),
        "checkpoint_sha256": manifest.checkpoint_sha256,
        "trained_for": manifest.skim,
        "skim": job.skim,
    }


def _figures(p: NDArray[np.float64], passed: NDArray[np.bool_], measured: ReferenceTimes | None) -> dict[str, Any]:
    retention = metrics.retention_of(passed)
    table = metrics.calibration(p, passed)
    times = {"reference": REFERENCE_TIMES, **({"measured": measured} if measured is not None else {})}
    return {
        "n_events": len(passed),
        "n_passing": int(passed.sum()),
        "retention": retention,
        "auc": metrics.auc(p, passed),
        "kept_fraction": metrics.kept_fraction(p, passed, retention),
        "effective_fraction": metrics.effective_fraction(p, passed),
        **{name: _speed_ups(p, passed, retention, values) for name, values in times.items()},
        "calibration": {
            "mean_score": table.mean_score.tolist(),
            "passed_fraction": table.passed_fraction.tolist(),
            "uncertainty": table.uncertainty.tolist(),
            "n_events": table.n_events.tolist(),
        },
        "roc": _thinned(metrics.roc(p, passed)),
    }


def _speed_ups(
    p: NDArray[np.float64], passed: NDArray[np.bool_], retention: float, times: ReferenceTimes
) -> dict[str, Any]:
    threshold, value = metrics.best_threshold(p, passed, retention, times)
    return {
        "times_ms": {"generate": times.generate_ms, "network": times.network_ms, "simulate": times.simulate_ms},
        "speed_up": metrics.speed_up(p, passed, retention, times),
        "best_threshold": threshold,
        "threshold_speed_up": value,
    }


def _thinned(curve: Roc) -> dict[str, list[float]]:
    points = np.unique(np.linspace(0, len(curve.threshold) - 1, _ROC_POINTS).astype(int))
    return {"true_rate": curve.true_rate[points].tolist(), "false_rate": curve.false_rate[points].tolist()}


def _measured_times(job: EvaluationJob, network_ms: float) -> ReferenceTimes | None:
    """Times per event that the files carry; None where one of them is not known."""
    known: dict[str, float] = {}
    for path in (*job.events, *job.labels):
        known.update(read_metadata(path).get("times_ms", {}))
    if not {"generate", "simulate", "skim"} <= set(known):
        return None
    return ReferenceTimes(known["generate"], network_ms, known["simulate"] + known["skim"])


def _compare(job: EvaluationJob, names: EventKeys, p: NDArray[np.float64]) -> Comparison:
    """Observables of all passing events against those of the kept ones, weighted."""
    index = EventIndex(names)
    truth_names, truth = _passing(job.labels, job.skim, [])
    kept_names, kept = _passing(job.kept, job.skim, [WEIGHT])
    probability = _found(truth_names, index, p, "the labels")
    expected = _found(kept_names, index, p, "the kept events")
    weight = kept.pop(WEIGHT)
    truth.pop(WEIGHT, None)
    other = np.flatnonzero(~np.isclose(weight * expected, 1.0, rtol=WEIGHT_TOLERANCE))
    if len(other):
        first = other[0]
        raise ModelMismatch(
            f"{len(other)} of {len(weight)} kept events have other weights than sampling with {job.model} gives; "
            f"{event_name(kept_names, first)} has {weight[first]:.6g} instead of {1 / expected[first]:.6g}: "
            f"evaluate the model that they were filtered with"
        )
    return compare(truth, probability, kept, weight)


def _found(names: EventKeys, index: EventIndex, p: NDArray[np.float64], what: str) -> NDArray[np.float64]:
    rows = index.rows_of(names)
    missing = np.flatnonzero(rows == NOT_FOUND)
    if len(missing):
        raise TrainingError(
            f"{len(missing)} passing events of {what} are not in the event files, the first is "
            f"{event_name(names, missing[0])}: a comparison needs just the events that were evaluated"
        )
    return p[rows]


def _passing(paths: Sequence[Path], skim: str, needed: list[str]) -> tuple[EventKeys, dict[str, NDArray[Any]]]:
    """Names of the events that pass, the needed columns, and all float columns that every file has."""
    names: list[EventKeys] = []
    values: list[dict[str, NDArray[np.float64]]] = []
    for path in paths:
        check_flag(path, skim)
        columns = _number_columns(path, needed)
        empty = pa.schema([field for field in read_schema(path) if field.name in {*KEYS, skim, *columns}]).empty_table()
        for table in (empty, *read_tables(path, [*KEYS, skim, *columns])):
            passed = read_flag(table, skim, path)
            exp, run, event = read_names(table, path)
            names.append((exp[passed], run[passed], event[passed]))
            values.append({name: table[name].cast(pa.float64()).to_numpy()[passed] for name in columns})
    common = [name for name in values[0] if all(name in part for part in values)]
    return join_keys(names), {name: np.concatenate([part[name] for part in values]) for name in common}


def _number_columns(path: Path, needed: list[str]) -> list[str]:
    """The needed columns, which must hold numbers, and all columns of floats."""
    schema = read_schema(path)
    missing = {*KEYS, *needed} - set(schema.names)
    if missing:
        raise ColumnsMissing(path, missing, schema.names)
    for name in needed:
        kind = schema.field(name).type
        if not pa.types.is_floating(kind) and not pa.types.is_integer(kind):
            raise BadEvent(f"{path}: {name} is {kind}, not numbers")
    return list(dict.fromkeys([*needed, *(field.name for field in schema if pa.types.is_floating(field.type))]))
