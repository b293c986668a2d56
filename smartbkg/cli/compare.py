"""`smartbkg compare`: how far the scores of two filters are apart on the same events."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from smartbkg.cli.filters import Source, filter_files, source_options
from smartbkg.cli.progress import event_bar

EPILOG = "Example: smartbkg compare GATGAPgen.pth@1 GATGAPgen.pth@2 mixed.parquet --max-drift 0.001"
DRIFTED = 1
_FILE = click.Path(path_type=Path, dir_okay=False)
# Title, figure, form; of both filters where there is no form of its own.
_COLUMNS = (
    ("largest change", "largest_change", ".2e"),
    ("mean", "mean_change", "+.2e"),
    ("correlation", "correlation", ".6f"),
    ("KS", "ks", ".4f"),
)
_OF_EACH = (
    ("kept", "kept_fraction", ".2%"),
    ("Σ weights", "sum_of_weights", ".0f"),
    ("AUC", "auc", ".4f"),
    ("speed-up", "speed_up", ".2f"),
)


@click.command(epilog=EPILOG)
@click.argument("a")
@click.argument("b")
@click.argument("events", type=_FILE, nargs=-1, required=True)
@click.option("--labels", type=_FILE, multiple=True, help="Skimmed file, for AUC and speed-up; again for more.")
@click.option("--skim", "skims", multiple=True, help="Only this one; again for more.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the draws for the sums of weights.")
@click.option("--max-drift", type=click.FloatRange(min=0), help="End with 1 when a score changes by more than this.")
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of the networks.")
@click.option("--event-type", help="Of all events, for a multi-skim network, in place of what they say.")
@source_options
@click.option("--json", "as_json", is_flag=True, help="Print every figure as JSON.")
def compare(
    a: str,
    b: str,
    events: tuple[Path, ...],
    max_drift: float | None,
    config: str | None,
    tags: tuple[str, ...],
    run: str | None,
    store: str | None,
    *,
    allow_open: bool,
    as_json: bool,
    **inputs: Any,
) -> None:
    """Compare the scores of the filters A and B on EVENTS: each a file, a folder, a payload NAME or NAME@REVISION.

    A score is the probability to keep an event. The drift that --max-drift limits is the largest change of any
    event's score for any skim: the same network is within 0.0001 on any machine, a new training is not.
    """
    from smartbkg.evaluation.drift import DriftJob, compare_filters
    from smartbkg.parquet import count_rows

    source = Source(tags, run, store, allow_open, config)
    with (
        event_bar("compare", sum(map(count_rows, events))) as progress,
        filter_files(a, source, events) as first,
        filter_files(b, source, events) as second,
    ):
        figures = compare_filters(DriftJob(first, second, events, **inputs), progress)
    click.echo(json.dumps(figures, indent=2) if as_json else "\n".join(_lines(figures)))
    if max_drift is not None and figures["largest_change"] > max_drift:
        skim = max(figures["skims"], key=lambda name: figures["skims"][name]["largest_change"])
        where = f"{figures['skims'][skim]['largest_change_of']} for {skim}"
        click.echo(
            f"the scores differ by up to {figures['largest_change']:.3g} ({where}), {max_drift} is allowed", err=True
        )
        sys.exit(DRIFTED)


def _lines(figures: Mapping[str, Any]) -> Iterator[str]:
    from smartbkg.report.tables import as_lines

    yield f"a  {figures['a']['source']}"
    yield f"b  {figures['b']['source']}"
    yield f"{figures['n_events']} events"
    skims = figures["skims"]
    each = [column for column in _OF_EACH if any(column[1] in f[side] for f in skims.values() for side in "ab")]
    header = ["skim", *(c[0] for c in _COLUMNS), *(f"{c[0]} {side}" for c in each for side in "ab")]
    rows = [
        [
            skim,
            *(_cell(found.get(name), form) for _, name, form in _COLUMNS),
            *(_cell(found[side].get(name), form) for _, name, form in each for side in "ab"),
        ]
        for skim, found in skims.items()
    ]
    yield from as_lines(header, rows)


def _cell(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
