"""One HTML page that stands alone: a table of skims, then each skim's figures and plots, then where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from smartbkg.atomic import write_atomically
from smartbkg.errors import MissingExtra
from smartbkg.report.comparison import KL_LIMIT, Comparison, ObservableComparison
from smartbkg.report.plots import observable_plot, score_plot
from smartbkg.report.tables import COLUMNS, Figure, figure_rows, number, skim_row

# Plots of observables in all: one skim shows every one of its 31 or so, forty skims their worst three, and the page
# stays below 10 MB and half a minute.
MAX_OBSERVABLE_PLOTS, MIN_PER_SKIM = 120, 3


@dataclass(frozen=True)
class Section:
    """What the page shows of one skim."""

    skim: str
    figures: list[Figure]
    types: list[list[str]]
    score_plot: str | None
    observable_plots: list[str]
    comparison: Comparison | None


def write_page(
    figures: Mapping[str, Any], comparisons: Mapping[str, Comparison], path: Path, n_plots: int | None = None
) -> Path:
    """Render the page; it takes its name only when it is complete.

    Args:
        figures: of an evaluation.
        comparisons: its comparisons, by skim.
        path: of the page.
        n_plots: observables drawn of each skim, at most; None for as many as a page can take.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise MissingExtra("jinja2", "report") from error
    skims = figures["skims"]
    n_plots = plots_of_each(len(skims)) if n_plots is None else n_plots
    template = files("smartbkg.report").joinpath("page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters["figure"] = number
    html = environment.from_string(template).render(
        title=f"Filter for {next(iter(skims))}" if len(skims) == 1 else f"Filter for {len(skims)} skims",
        subtitle=_subtitle(figures),
        columns=COLUMNS,
        rows=[skim_row(skim, values) for skim, values in skims.items()],
        sections=[_section(figures, skim, comparisons.get(skim), n_plots) for skim in skims],
        provenance=_provenance(figures),
        kl_limit=KL_LIMIT,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, html.encode())
    return path


def plots_of_each(n_skims: int) -> int:
    """How many observables of each skim are drawn.

    >>> plots_of_each(1), plots_of_each(40)
    (120, 3)
    """
    return max(MIN_PER_SKIM, MAX_OBSERVABLE_PLOTS // n_skims)


def worst_first(comparison: Comparison) -> list[ObservableComparison]:
    """Observables by the p-value of their pulls, the most suspicious ones first; without one at the end."""
    return sorted(comparison.observables, key=lambda o: 2.0 if np.isnan(o.p_value) else o.p_value)


def _section(figures: Mapping[str, Any], skim: str, comparison: Comparison | None, n_plots: int) -> Section:
    values = figures["skims"][skim]
    chosen = worst_first(comparison)[:n_plots] if comparison is not None else []
    return Section(
        skim=skim,
        figures=figure_rows(figures, skim),
        types=[_type_row(name, found) for name, found in values.get("event_types", {}).items()],
        score_plot=score_plot(values) if "problem" not in values else None,
        observable_plots=[observable_plot(observable) for observable in chosen],
        comparison=comparison,
    )


def _type_row(name: str, found: Mapping[str, Any]) -> list[str]:
    first = [name, str(found["n_events"]), f"{found['retention']:.3%}", f"{found['kept_fraction']:.2%}"]
    if "problem" in found:
        return [*first, "-", "-", "-"]
    return [
        *first,
        f"{found['auc']:.4f}",
        f"{found['reference']['speed_up']:.2f}",
        f"{found['effective_fraction']:.2%}",
    ]


def _subtitle(figures: Mapping[str, Any]) -> str:
    types = ", ".join(f"{count} {name}" for name, count in figures["event_types"].items())
    mixture = "; figures are for the natural mixture of these types" if figures["mixture"] else ""
    return f"{figures['n_events']} events ({types or 'of no known type'}){mixture}"


def _provenance(figures: Mapping[str, Any]) -> dict[str, str]:
    about = figures["filter"]
    return {
        "filter": about["source"],
        **{f"sha256 of {role}": digest for role, digest in about["sha256"].items()},
        **{name: ", ".join(found) for name, found in figures["files"].items()},
        "sampling": ", ".join(f"{name} {value}" for name, value in figures["sampling"].items()),
        "smartbkg": figures["smartbkg"],
    }
