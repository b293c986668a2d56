"""Plots as SVG text, to be put into a page: ROC, scores, calibration, weighted against true distributions with pulls.

The same figures give the same bytes: no date, no random identifiers.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from smartbkg.errors import MissingExtra
from smartbkg.report.comparison import ObservableComparison

INK, TRUE, WEIGHTED, BAND = "#1f2933", "#52606d", "#d64545", "#e4e7eb"
PASS, FAIL = "#2b8a3e", "#8795a1"
# Where coordinates stand in an SVG, and what of them is less than a hundredth of a pixel.
_PLACE, _TOO_FINE = re.compile(r' (?:d|x|y)="[^"]*"'), re.compile(r"(\.\d{2})\d+")


def score_plot(figures: Mapping[str, Any]) -> str:
    """Three panels of one skim: ROC, distribution of the score, and how often events of a score pass.

    Args:
        figures: as `smartbkg.evaluation.figures.figures_of` makes them.
    """
    with _figure(10.8, 3.4) as (figure, out):
        left, middle, right = figure.subplots(1, 3)
        figure.subplots_adjust(left=0.06, right=0.99, bottom=0.15, top=0.95, wspace=0.28)
        _roc(left, figures)
        _scores(middle, figures["scores"])
        _calibration(right, figures["calibration"])
    return out.getvalue()


def observable_plot(result: ObservableComparison) -> str:
    """Before and after: unfiltered, weighted and unweighted histograms over the pulls."""
    with _figure(3.75, 3.2) as (figure, out):
        from matplotlib.ticker import MaxNLocator

        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        figure.subplots_adjust(left=0.17, right=0.98, bottom=0.09, top=0.91, hspace=0.08)
        widths = np.diff(result.edges)
        centres = result.edges[:-1] + widths / 2
        upper.stairs(result.truth / widths, result.edges, color=TRUE, fill=True, alpha=0.25, label="all passing events")
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
        if result.unweighted.sum() > 0:
            scaled = result.unweighted * (result.truth.sum() / result.unweighted.sum())
            upper.stairs(scaled / widths, result.edges, color=FAIL, ls="--", label="kept, not weighted (scaled)")
        highest = max((result.truth / widths).max(), (result.weighted / widths).max(), 1e-9)
        upper.set(ylabel="events per unit", ylim=(0, 1.45 * highest))  # the legend stands above the data
        upper.ticklabel_format(axis="y", scilimits=(-3, 3))
        figure.text(0.575, 0.94, result.name, ha="center", fontsize=10)  # a title of the axes looks for its place
        upper.legend(fontsize=7, loc="upper right")
        lower.axhspan(-2, 2, color=BAND)
        lower.axhline(0, color=TRUE, lw=0.8)
        lower.plot(centres, result.pulls, "o", ms=3, color=WEIGHTED)
        lower.set(ylabel="pull", ylim=(-5, 5))
        for axis in (upper.yaxis, lower.xaxis):
            axis.set_major_locator(MaxNLocator(5))
    return out.getvalue()


def _roc(axes: Any, figures: Mapping[str, Any]) -> None:
    axes.plot(figures["roc"]["false_rate"], figures["roc"]["true_rate"], color=WEIGHTED, label="this filter")
    axes.plot([0, 1], [0, 1], color=FAIL, lw=0.8, ls=":", label="no information")
    axes.set(xlabel="failing events above a score", ylabel="passing events above it", xlim=(0, 1), ylim=(0, 1.01))
    axes.legend(loc="lower right", title=f"AUC {figures['auc']:.3f}")


def _scores(axes: Any, scores: Mapping[str, Any]) -> None:
    for name, color, label in (("passing", PASS, "pass the skim"), ("failing", FAIL, "fail")):
        axes.stairs(scores[name], scores["edges"], color=color, lw=1.5, label=label)
    axes.set(xlabel="score = probability to keep", ylabel="fraction of events", xscale="log", yscale="log")
    axes.minorticks_off()  # they take most of the time
    axes.legend()


def _calibration(axes: Any, table: Mapping[str, Any]) -> None:
    score, fraction = np.array(table["mean_score"]), np.array(table["passed_fraction"])
    filled = fraction > 0
    errors = np.array(table["uncertainty"])[filled]
    # On a logarithmic axis the lower end of an error must not reach 0.
    low = np.minimum(errors, 0.9 * fraction[filled])
    axes.errorbar(score[filled], fraction[filled], yerr=[low, errors], fmt="o", ms=3, lw=1, color=WEIGHTED)
    if filled.any():
        # The best probability to keep goes with the square root of the probability to pass.
        scale = np.exp(np.mean(np.log(fraction[filled]) - 2 * np.log(score[filled])))
        ends = np.array([score[filled].min(), score[filled].max()])
        axes.plot(ends, scale * ends**2, color=FAIL, lw=0.8, ls=":", label="for the largest speed-up")
        axes.legend()
    axes.set(xlabel="mean probability to keep", ylabel="fraction that passes", xscale="log", yscale="log")
    axes.minorticks_off()


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
        figure = Figure(figsize=(width, height))
        yield figure, out
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    # An SVG inside a page has no XML declaration before it.
    text = out.getvalue()
    out.seek(0)
    out.truncate()
    out.write(_PLACE.sub(lambda found: _TOO_FINE.sub(r"\1", found[0]), text[text.index("<svg") :]))
