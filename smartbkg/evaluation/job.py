"""A filter on labelled events: every figure of merit of every skim, and whether its weights are right.

Without files of what a filter kept, the sampling is done here: the draws of a job decide which of the passing events
would have been kept, and these, with their weights, are compared with all of them. Letters: `B` events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg import __version__
from smartbkg.draws import event_draw
from smartbkg.errors import ModelMismatch, NothingToCompare, TrainingError
from smartbkg.evaluation.figures import Judged, figures_of
from smartbkg.evaluation.files import FilterFiles, open_filter
from smartbkg.evaluation.filters import EventFilter
from smartbkg.evaluation.mixture import natural_weights, shares
from smartbkg.evaluation.scoring import Outputs, Progress, Scored, measured_times, score_events
from smartbkg.evaluation.skimmed import Skimmed, flags_of, read_skimmed
from smartbkg.evaluation.spool import Spool
from smartbkg.events import EVENT_TYPES
from smartbkg.matching import NOT_FOUND, EventIndex, EventKeys, event_name
from smartbkg.report.comparison import Comparison, compare
from smartbkg.training.arrays import refuse_filtered
from smartbkg.training.metrics import REFERENCE_TIMES, ReferenceTimes

FORMAT = 2
# Between one batch and another a score may differ in its last bits; another network differs by far more.
WEIGHT_TOLERANCE = 1e-4


@dataclass(frozen=True)
class EvaluationJob:
    """What to evaluate, on what.

    Args:
        files: the filter's.
        events: event files the filter has not been trained on.
        labels: skimmed files with a label for each of these events.
        skims: columns of the labels; empty for all that the filter knows and the labels have.
        kept: skimmed files of the events a filter kept, with their weights; empty to draw here.
        seed: of the draws.
        threads: of the network.
        event_type: of all events, for a multi-skim network; None for what they say themselves.
    """

    files: FilterFiles
    events: tuple[Path, ...]
    labels: tuple[Path, ...]
    skims: tuple[str, ...] = ()
    kept: tuple[Path, ...] = ()
    seed: int = 1
    threads: int = 1
    event_type: str | None = None


@dataclass(frozen=True)
class Evaluation:
    """Figures, ready for JSON, and the comparisons that they are from.

    Args:
        figures: of the filter, the events, and by name of each skim.
        comparisons: weighted against true distributions, by skim, where there was something to compare.
    """

    figures: dict[str, Any]
    comparisons: dict[str, Comparison]


def evaluate(job: EvaluationJob, progress: Progress | None = None) -> Evaluation:
    """Score labelled events and compute every figure of merit of every skim.

    Raises:
        TrainingError: events without a label, or no skim with events of both classes.
        ModelMismatch: kept events of another filter.
        EventTwice: an event that is scored, labelled or kept twice.
        UnknownName, ColumnsMissing: a skim that the filter or the labels do not have.
        EventDataError, ModelError: as the files' readers.
    """
    for path in job.events:
        refuse_filtered(path)
    used = open_filter(job.files, job.threads, job.event_type)
    skims = chosen_skims(used, job)
    with Spool() as spool, Spool() as of_labels, Spool() as of_kept:
        labels = read_skimmed(job.labels, skims, of_labels)
        outputs = Outputs(used, tuple(sorted({used.column(skim) for skim in skims})))
        scored = score_events(job.events, {"": outputs}, spool, labels.keys, progress)
        kept = _Kept.read(job, used, skims, of_kept) if job.kept else None
        return _Judge(job, used, labels, scored, kept).evaluation(skims)


def chosen_skims(used: EventFilter, job: EvaluationJob) -> tuple[str, ...]:
    """The skims to evaluate: those asked for, or all that filter and labels share."""
    if job.skims:
        for skim in job.skims:
            used.column(skim)
        return tuple(dict.fromkeys(job.skims))
    there = flags_of(job.labels)
    found = tuple(skim for skim in used.skims if skim is not None and skim in there)
    if not found:
        known = ", ".join(filter(None, used.skims)) or "a skim it does not name"
        raise TrainingError(f"{used.name} is for {known}, the labels have {', '.join(there) or 'no skim'}: give --skim")
    return found


@dataclass(frozen=True)
class _Kept:
    """Skimmed files of what a filter has kept."""

    skimmed: Skimmed
    weight_name: str

    @classmethod
    def read(cls, job: EvaluationJob, used: EventFilter, skims: tuple[str, ...], spool: Spool) -> _Kept:
        names = list(dict.fromkeys(used.weight_name.format(skim=skim) for skim in skims))
        skimmed = read_skimmed(job.kept, skims, spool, names)
        EventIndex(skimmed.keys, "kept")  # refuses events that are there twice
        return cls(skimmed, used.weight_name)

    def of(self, skim: str) -> tuple[EventKeys, dict[str, NDArray[Any]], NDArray[np.float64]]:
        """Names, observables and weights of the events that pass a skim and were kept for it."""
        rows = np.flatnonzero(self.skimmed.passed(skim))
        weight = self.skimmed.column(self.weight_name.format(skim=skim), rows)
        rows, weight = rows[weight != 0], weight[weight != 0]  # in a multi-skim file, kept for another skim alone
        exp, run, event = self.skimmed.keys
        return (exp[rows], run[rows], event[rows]), dict(self.skimmed.values(skim, rows)), weight


@dataclass(frozen=True)
class _Judge:
    """All that figures are made of."""

    job: EvaluationJob
    used: EventFilter
    labels: Skimmed
    scored: Scored
    kept: _Kept | None

    def evaluation(self, skims: tuple[str, ...]) -> Evaluation:
        times = {"reference": REFERENCE_TIMES}
        measured = measured_times((*self.job.events, *self.job.labels), self.scored.network_ms[""])
        if measured is not None:
            times["measured"] = measured
        weight = natural_weights(self.scored.event_type)
        figures, comparisons = {}, {}
        for skim in skims:
            figures[skim], compared = self._skim(skim, weight, times)
            if compared is not None:
                comparisons[skim] = compared
        problems = [f"{skim}: {f['problem']}" for skim, f in figures.items() if "problem" in f]
        if len(problems) == len(skims):
            raise TrainingError(f"{'; '.join(problems)}: figures of merit need both classes")
        return Evaluation({**self._about(), "skims": figures}, comparisons)

    def _about(self) -> dict[str, Any]:
        """What was evaluated, and on what."""
        types = self.scored.event_type
        natural = natural_weights(types)
        draws = {"seed": self.job.seed} if self.kept is None else {"kept": [path.name for path in self.job.kept]}
        counts = {name: int((types == code).sum()) for code, name in enumerate(EVENT_TYPES)}
        return {
            "format": FORMAT,
            "smartbkg": __version__,
            "filter": self.used.described(),
            "n_events": len(self.scored),
            "event_types": {name: count for name, count in counts.items() if count},
            "mixture": None if natural is None else shares(types),
            "network_ms": self.scored.network_ms[""],
            "sampling": draws,
            "files": {"events": [p.name for p in self.job.events], "labels": [p.name for p in self.job.labels]},
        }

    def _skim(
        self, skim: str, weight: NDArray[np.float64] | None, times: Mapping[str, ReferenceTimes]
    ) -> tuple[dict[str, Any], Comparison | None]:
        logit = self.scored.logits("", self.used.column(skim))
        p = self.used.probability(skim, logit)
        judged = Judged(logit, p, self.labels.passed(skim)[self.scored.row], weight)
        figures: dict[str, Any] = {"n_events": len(p), "n_passing": int(judged.passed.sum())}
        if judged.problem is not None:
            figures["problem"] = judged.problem
            compared = None
        else:
            figures |= figures_of(judged, times)
            compared = self._compared(skim, judged, figures)
        if weight is not None:
            figures["event_types"] = self._by_type(judged, times)
        return figures, compared

    def _by_type(self, judged: Judged, times: Mapping[str, ReferenceTimes]) -> dict[str, Any]:
        """The same figures for each event type alone, where both classes are there."""
        found: dict[str, Any] = {}
        for code, name in enumerate(EVENT_TYPES):
            part = judged.select(self.scored.event_type == code)
            if part.problem is None:
                found[name] = figures_of(part, times, curves=False)
            elif len(part.p):
                n = int(part.passed.sum())
                found[name] = {"n_events": len(part.p), "n_passing": n, "retention": n / len(part.p)}
                found[name] |= {"kept_fraction": float(part.p.mean()), "problem": part.problem}
        return found

    def _compared(self, skim: str, judged: Judged, figures: dict[str, Any]) -> Comparison | None:
        """Weighted against all passing events; figures say why there is no comparison."""
        try:
            done = self._drawn(skim, judged) if self.kept is None else self._against_kept(skim, judged, self.kept)
        except NothingToCompare as error:
            figures["comparison"], figures["comparison_problem"] = None, str(error)
            return None
        figures["comparison"] = done.to_json()
        return done

    def _drawn(self, skim: str, judged: Judged) -> Comparison:
        """With the draws of a job; the threshold is the one of the largest threshold speed-up."""
        rows = np.flatnonzero(judged.passed)
        p = judged.p[rows]
        exp, run, event = (names[rows] for names in self.scored.keys)
        draw = event_draw(self.job.seed, exp, run, event, self.scored.event_type[rows], stream=self.used.stream)
        keep = draw < p
        truth = dict(self.labels.values(skim, self.scored.row[rows]))
        return compare(
            truth,
            p,
            {name: values[keep] for name, values in truth.items()},
            1.0 / p[keep],
            _above_threshold(judged, rows),
        )

    def _against_kept(self, skim: str, judged: Judged, kept: _Kept) -> Comparison:
        """All passing events of the labels against those of kept files, which must be of this filter."""
        index = EventIndex(self.scored.keys)
        truth_rows = np.flatnonzero(self.labels.passed(skim))
        exp, run, event = self.labels.keys
        truth_names = (exp[truth_rows], run[truth_rows], event[truth_rows])
        place = _found(truth_names, index, "the labels")
        names, values, weight = kept.of(skim)
        expected = judged.p[_found(names, index, "the kept events")]
        other = np.flatnonzero(~np.isclose(weight * expected, 1.0, rtol=WEIGHT_TOLERANCE))
        if len(other):
            first = other[0]
            raise ModelMismatch(
                f"{len(other)} of {len(weight)} kept events have other weights than sampling with {self.used.name} "
                f"for {skim} gives; {event_name(names, first)} has {weight[first]:.6g} instead of "
                f"{1 / expected[first]:.6g}: evaluate the filter that they were kept by"
            )
        truth = dict(self.labels.values(skim, truth_rows))
        return compare(truth, judged.p[place], values, weight, _above_threshold(judged, place))


def _above_threshold(judged: Judged, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of these events a filter by threshold keeps, at its largest speed-up with the reference times."""
    point, _ = judged.curve.best(judged.retention, REFERENCE_TIMES)
    return np.asarray(judged.logit[rows] >= judged.curve.logit[point])


def _found(names: EventKeys, index: EventIndex, what: str) -> NDArray[np.int64]:
    rows = index.rows_of(names)
    missing = np.flatnonzero(rows == NOT_FOUND)
    if len(missing):
        raise TrainingError(
            f"{len(missing)} passing events of {what} are not in the event files, the first is "
            f"{event_name(names, missing[0])}: a comparison needs just the events that were evaluated"
        )
    return rows
