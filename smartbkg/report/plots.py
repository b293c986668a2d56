"""Plots as SVG text, to be put into a page: ROC, scores, weighted against true distributions with pulls.

The same figures give the same bytes: no date, no random identifiers.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import MissingExtra
from smartbkg.report.comparison import ObservableComparison

INK, TRUE, WEIGHTED, BAND = "#1f2933", "#52606d", "#d64545", "#e4e7eb"
PASS, FAIL = "#2b8a3e", "#8795a1"


def roc_plot(false_rate: NDArray[Any], true_rate: NDArray[Any], auc: float) -> str:
    """Pass rate of passing events against pass rate of failing ones, both (T,) over all thresholds."""
    with _figure(4.2, 3.6) as (figure, out):
        axes = figure.subplots()
        axes.plot(false_rate, true_rate, color=WEIGHTED, label=f"AUC {auc:.3f}")
        axes.plot([0, 1], [0, 1], color=FAIL, lw=0.8, ls=":", label="no information")
        axes.set(xlabel="failing events kept", ylabel="passing events kept", xlim=(0, 1), ylim=(0, 1.01))
        axes.legend(loc="lower right")
    return out.getvalue()


def score_plot(score: NDArray[Any], passed: NDArray[np.bool_]) -> str:
    """Distribution of the score (B,) for passing and failing events, each normalised to 1."""
    with _figure(4.2, 3.6) as (figure, out):
        axes = figure.subplots()
        for chosen, color, label in ((passed, PASS, "pass the skim"), (~passed, FAIL, "fail")):
            if chosen.any():
                weights = np.full(int(chosen.sum()), 1 / chosen.sum())
                axes.hist(
                    score[chosen],
                    bins=40,
                    range=(0, 1),
                    weights=weights,
                    histtype="step",
                    lw=1.5,
                    color=color,
                    label=label,
                )
        axes.set(xlabel="score = probability to keep", ylabel="fraction of events", xlim=(0, 1), yscale="log")
        axes.legend()
    return out.getvalue()


def observable_plot(result: ObservableComparison) -> str:
    """Unfiltered and weighted histogram over their pulls."""
    with _figure(4.2, 3.6) as (figure, out):
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        widths = np.diff(result.edges)
        centres = result.edges[:-1] + widths / 2
        upper.stairs(result.truth / widths, result.edges, color=TRUE, fill=True, alpha=0.25, label="all passing events")
        upper.stairs(result.truth / widths, result.edges, color=TRUE)
        upper.errorbar(
            centres,
            result.weighted / widths,
            yerr=np.sqrt(result.variance) / widths,
            fmt="o",
            ms=3,
            lw=1,
            color=WEIGHTED,
            label="kept, weighted",
        )
        upper.set(ylabel="events per unit", ylim=(0, None), title=result.name)
        upper.legend()
        lower.axhspan(-2, 2, color=BAND)
        lower.axhline(0, color=TRUE, lw=0.8)
        lower.plot(centres, result.pulls, "o", ms=3, color=WEIGHTED)
        lower.set(ylabel="pull", ylim=(-5, 5))
    return out.getvalue()


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Any, io.StringIO]]:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra("matplotlib", "report") from error
    style: dict[Any, Any] = {
        "svg.hashsalt": "smartbkg",
        "svg.fonttype": "none",
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": INK,
        "legend.frameon": False,
    }
    out = io.StringIO()
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, out
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    # An SVG inside a page has no XML declaration before it.
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    out.write(text[text.index("<svg") :])
