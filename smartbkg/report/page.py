"""One HTML page that stands alone: a table of figures, the plots, where everything came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.atomic import write_atomically
from smartbkg.errors import MissingExtra
from smartbkg.report.comparison import Comparison
from smartbkg.report.plots import observable_plot, roc_plot, score_plot


@dataclass(frozen=True)
class Figure:
    """One row of the table: a name, a value as it is shown, and what it means."""

    name: str
    value: str
    meaning: str = ""


@dataclass(frozen=True)
class Report:
    """What a page shows."""

    title: str
    subtitle: str
    figures: Sequence[Figure]
    score: NDArray[np.float64]  # (B,) of events the network never saw
    passed: NDArray[np.bool_]  # (B,)
    roc: tuple[NDArray[np.float64], NDArray[np.float64]]  # false and true rates, (T,) each
    auc: float
    comparison: Comparison | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)


def write_page(report: Report, path: Path) -> Path:
    """Render the page; it takes its name only when it is complete."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise MissingExtra("jinja2", "report") from error
    template = files("smartbkg.report").joinpath("page.html").read_text(encoding="utf-8")
    html = (
        Environment(autoescape=True, undefined=StrictUndefined)
        .from_string(template)
        .render(
            title=report.title,
            subtitle=report.subtitle,
            figures=report.figures,
            score_plots=[roc_plot(*report.roc, report.auc), score_plot(report.score, report.passed)],
            observable_plots=[observable_plot(o) for o in report.comparison.observables] if report.comparison else [],
            comparison=report.comparison,
            provenance=report.provenance,
        )
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, html.encode())
    return path
