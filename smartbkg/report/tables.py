"""Figures as people read them: a column for one skim, a row a skim for many."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One figure of one skim: a name, a value as it is shown, and what it means."""

    name: str
    value: str
    meaning: str = ""


@dataclass(frozen=True)
class Column:
    """One column of the table of many skims."""

    name: str
    meaning: str


COLUMNS = (
    Column("skim", "name"),
    Column("passing", "events that pass"),
    Column("retention", "fraction of events that pass"),
    Column("AUC", "area under the ROC curve"),
    Column("speed-up", "of unbiased sampling, with the published times"),
    Column("here", "the same with the times measured here"),
    Column("by cut", "speed-up of the best threshold, biased, with the published times"),
    Column("kept", "fraction of all events that sampling keeps"),
    Column("effective", "part of the passing events' statistical power that is left"),
    Column("pull", "largest pull of weighted against unfiltered, variance Σw²"),
    Column("paired", "largest pull by the variance of the sampling alone"),
    Column("p", "probability of larger paired pulls over all bins for an unbiased filter, correlations included"),
    Column("KL", "largest Kullback-Leibler divergence of an observable"),
    Column("by chance", "what it is in the mean for an unbiased filter with as many effective events"),
)


def figure_rows(figures: Mapping[str, Any], skim: str) -> list[Figure]:
    """The figures of one skim, one below the other."""
    f = figures["skims"][skim]
    rows = [
        Figure("events", str(f["n_events"]), "that were evaluated; give ones that the network never saw"),
        Figure("passing events", str(f["n_passing"]), f"of them pass {skim}"),
    ]
    if "problem" in f:
        return [*rows, Figure("no figures", f["problem"], "they need events that pass and events that fail")]
    rows += [
        Figure("retention", f"{f['retention']:.2%}", "fraction of events that pass"),
        Figure("AUC", f"{f['auc']:.4f} ± {f['auc_uncertainty']:.4f}", "area under the ROC curve"),
        Figure("kept fraction", f"{f['kept_fraction']:.2%}", "of all events, by importance sampling"),
        Figure("speed-up", _speed_up(f["reference"]), "unbiased sampling, with the published times"),
        Figure(
            "threshold speed-up",
            f"{f['reference']['threshold_speed_up']:.2f}",
            "best threshold, biased; the same times",
        ),
        Figure(
            "effective-sample fraction", f"{f['effective_fraction']:.2%}", "of the passing events' power that is left"
        ),
    ]
    if "measured" in f:
        times = ", ".join(f"{name} {value:.3f}" for name, value in f["measured"]["times_ms"].items())
        rows.append(Figure("speed-up, times of here", _speed_up(f["measured"]), f"ms an event: {times}"))
    return [*rows, *_comparison_rows(f)]


def skim_row(skim: str, figures: Mapping[str, Any]) -> list[str]:
    """The cells of one skim in the table of many, as `COLUMNS` says."""
    first = [skim, str(figures["n_passing"])]
    if "problem" in figures:
        return [*first, *["-"] * (len(COLUMNS) - 2)]
    c = figures["comparison"]
    compared = ["-"] * 5
    if c is not None:
        has_pull = any(pull is not None for o in c["observables"] for pull in o["pulls"])
        compared = [
            number(c["largest_pull"] if has_pull else None, "+.2f"),
            number(c["largest_paired_pull"] if c["n_bins"] else None, "+.2f"),
            number(c["p_value"], ".3f"),
            number(c["largest_kl"], ".5f"),
            number(c["largest_kl_expected"], ".5f"),
        ]
    return [
        *first,
        f"{figures['retention']:.2%}",
        f"{figures['auc']:.3f} ± {figures['auc_uncertainty']:.3f}",
        _speed_up(figures["reference"]),
        f"{figures['measured']['speed_up']:.2f}" if "measured" in figures else "-",
        f"{figures['reference']['threshold_speed_up']:.2f}",
        f"{figures['kept_fraction']:.2%}",
        f"{figures['effective_fraction']:.2%}",
        *compared,
    ]


def as_lines(header: list[str], rows: list[list[str]]) -> list[str]:
    """A table as text: the first column to the left, numbers to the right."""
    widths = [max(map(len, cells)) for cells in zip(header, *rows, strict=True)]
    return [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))])
        for row in (header, *rows)
    ]


def _comparison_rows(f: Mapping[str, Any]) -> list[Figure]:
    c = f["comparison"]
    if c is None:
        return [Figure("no comparison", "-", f["comparison_problem"])]
    likely = f"of the sampling alone; half of all unbiased filters have one beyond {c['likely_largest_pull']:.1f}"
    return [
        Figure("largest pull", number(c["largest_pull"], "+.2f"), "weighted against unfiltered, variance Σw²"),
        Figure("largest paired pull", number(c["largest_paired_pull"], "+.2f"), likely),
        Figure(
            "p-value of all pulls",
            number(c["p_value"], ".3f"),
            f"χ² of {c['n_bins']} bins, that count like {c['effective_bins']:.0f} independent ones",
        ),
        Figure("largest KL divergence", number(c["largest_kl"], ".5f"), "of all observables"),
        Figure(
            "the same by chance",
            number(c["largest_kl_expected"], ".5f"),
            f"in the mean for an unbiased filter with {c['effective_events']:.0f} effective events",
        ),
    ]


def _speed_up(found: Mapping[str, Any]) -> str:
    return f"{found['speed_up']:.2f} ± {found['speed_up_uncertainty']:.2f}"


def number(value: float | None, form: str) -> str:
    """A figure as it is shown; what is not known is a dash.

    >>> number(0.5, ".2f"), number(None, ".2f"), number(float("nan"), ".2f")
    ('0.50', '-', '-')
    """
    return "-" if value is None or math.isnan(value) else format(value, form)
