"""Two filters on the same events: how far their scores are apart, and what each of them is worth.

Scores are the probabilities to keep, since these decide what a job does. Letters: `B` events.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.draws import event_draw
from smartbkg.errors import TrainingError
from smartbkg.evaluation.figures import Judged, figures_of
from smartbkg.evaluation.files import FilterFiles, open_filter
from smartbkg.evaluation.filters import EventFilter
from smartbkg.evaluation.scoring import Outputs, Progress, Scored, score_events
from smartbkg.evaluation.skimmed import Skimmed, flags_of, read_skimmed
from smartbkg.evaluation.spool import Spool
from smartbkg.matching import event_name
from smartbkg.report.comparison import ks_distance
from smartbkg.training.metrics import REFERENCE_TIMES

Floats = NDArray[np.float64]
SIDES = ("a", "b")


@dataclass(frozen=True)
class DriftJob:
    """Which filters to compare, on what.

    Args:
        a, b: files of the two filters.
        events: event files.
        labels: skimmed files of all these events; without them there is no AUC.
        skims: which; empty for all that both filters know.
        seed: of the draws that give the sums of weights.
        threads: of the networks.
        event_type: of all events, for a multi-skim network; None for what they say themselves.
    """

    a: FilterFiles
    b: FilterFiles
    events: tuple[Path, ...]
    labels: tuple[Path, ...] = ()
    skims: tuple[str, ...] = ()
    seed: int = 1
    threads: int = 1
    event_type: str | None = None


def compare_filters(job: DriftJob, progress: Progress | None = None) -> dict[str, Any]:
    """Figures of the drift, ready for JSON.

    Raises:
        TrainingError: no skim that both know, no event, or one without a label.
        UnknownName, ColumnsMissing: a skim that a filter or the labels do not have.
        EventDataError, ModelError: as the files' readers.
    """
    both = {side: open_filter(files, job.threads, job.event_type) for side, files in (("a", job.a), ("b", job.b))}
    skims = common_skims(both["a"], both["b"], job.skims)
    outputs = {side: Outputs(used, _columns(used, skims)) for side, used in both.items()}
    with Spool() as spool, Spool() as of_labels:
        there = flags_of(job.labels) if job.labels else ()
        labelled = tuple(job.skims) or tuple(skim for skim in skims if skim in there)
        labels = read_skimmed(job.labels, labelled, of_labels) if job.labels and labelled else None
        if job.labels and labels is None:
            raise TrainingError(f"the labels have {', '.join(there) or 'no skim'}, the filters {', '.join(skims)}")
        scored = score_events(job.events, outputs, spool, None if labels is None else labels.keys, progress)
        found = {skim: _drift(job, both, skim, scored, labels) for skim in skims}
    return {
        **{side: used.described() for side, used in both.items()},
        "n_events": len(scored),
        "seed": job.seed,
        "network_ms": scored.network_ms,
        "largest_change": max(figures["largest_change"] for figures in found.values()),
        "skims": found,
    }


def common_skims(a: EventFilter, b: EventFilter, asked: tuple[str, ...]) -> tuple[str, ...]:
    """The skims to compare: those asked for, or all that both know; a filter of one skim fits any other such.

    Raises:
        TrainingError: there is none.
        UnknownName: one that was asked for is not there.
    """
    if asked:
        for used in (a, b):
            for skim in asked:
                used.column(skim)
        return tuple(dict.fromkeys(asked))
    found = tuple(skim for skim in a.skims if skim is not None and skim in b.skims)
    if not found and len(a.skims) == len(b.skims) == 1:
        return (a.skims[0] or b.skims[0] or "score",)
    if not found:
        said = "; ".join(f"{used.name}: {', '.join(filter(None, used.skims)) or 'not said'}" for used in (a, b))
        raise TrainingError(f"no skim that both filters know ({said}): give --skim")
    return found


def _columns(used: EventFilter, skims: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(sorted({_column(used, skim) for skim in skims}))


def _column(used: EventFilter, skim: str) -> int:
    """The output of a skim; the only one there is answers for any name."""
    return 0 if len(used.skims) == 1 else used.column(skim)


def _drift(
    job: DriftJob, both: dict[str, EventFilter], skim: str, scored: Scored, labels: Skimmed | None
) -> dict[str, Any]:
    logit = {side: scored.logits(side, _column(used, skim)) for side, used in both.items()}
    p = {side: used.probability(used.skims[_column(used, skim)] or skim, logit[side]) for side, used in both.items()}
    change = p["b"] - p["a"]
    farthest = int(np.argmax(np.abs(change)))
    named = (*scored.keys, scored.event_type)
    draw = {used.stream: event_draw(job.seed, *named, stream=used.stream) for used in both.values()}
    keep = {side: draw[used.stream] < p[side] for side, used in both.items()}
    figures: dict[str, Any] = {
        "largest_change": float(abs(change[farthest])),
        "largest_change_of": event_name(scored.keys, farthest),
        "mean_change": float(change.mean()),
        "mean_absolute_change": float(np.abs(change).mean()),
        "correlation": _correlation(p["a"], p["b"]),
        "ks": ks_distance(p["a"], p["b"], np.ones(len(change))),
        "kept_by_both": float((keep["a"] & keep["b"]).sum() / max((keep["a"] | keep["b"]).sum(), 1)),
    }
    for side in SIDES:
        of_kept = 1.0 / p[side][keep[side]]
        figures[side] = {"kept_fraction": float(p[side].mean()), "sum_of_weights": float(of_kept.sum())}
        figures[side]["sum_of_squared_weights"] = float((of_kept**2).sum())
        if labels is not None and skim in labels.skims:
            judged = Judged(logit[side], p[side], labels.passed(skim)[scored.row])
            figures[side] |= _worth(judged, keep[side])
    return figures


def _worth(judged: Judged, keep: NDArray[np.bool_]) -> dict[str, Any]:
    """What labels tell about one filter."""
    passing = judged.passed
    found = {"n_passing": int(passing.sum()), "sum_of_weights_passing": float((1.0 / judged.p[passing & keep]).sum())}
    if judged.problem is not None:
        return {**found, "problem": judged.problem}
    figures = figures_of(judged, {"reference": REFERENCE_TIMES}, curves=False)
    return {
        **found,
        **{name: figures[name] for name in ("auc", "effective_fraction")},
        "speed_up": figures["reference"]["speed_up"],
    }


def _correlation(a: Floats, b: Floats) -> float | None:
    """Of the scores; None where one of them is always the same."""
    da, db = a - a.mean(), b - b.mean()
    size = float(np.sqrt((da**2).sum() * (db**2).sum()))
    return float((da * db).sum() / size) if size > 0 else None
