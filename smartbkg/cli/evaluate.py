"""`smartbkg evaluate`: what a trained filter is worth on labelled events."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smartbkg.cli.filters import Source, filter_files, source_options
from smartbkg.cli.progress import event_bar

if TYPE_CHECKING:
    from smartbkg.evaluation.job import Evaluation

EPILOG = "Example: smartbkg evaluate gatgap mixed.parquet --labels skimmed.parquet --skim feiHadronic --report report"
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command(epilog=EPILOG)
@click.argument("payload")
@click.argument("events", type=_FILE, nargs=-1, required=True)
@click.option("--labels", type=_FILE, multiple=True, required=True, help="Skimmed file; again for more.")
@click.option("--skim", "skims", multiple=True, help="Column of the labels; again for more. All that are known.")
@click.option(
    "--kept", type=_FILE, multiple=True, help="Skimmed file of what a filter kept, to compare with the truth."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Of the draws, where no --kept is given.")
@click.option("--report", type=click.Path(path_type=Path, file_okay=False), help="Folder for report.html and figures.")
@click.option(
    "--store-in", type=click.Path(path_type=Path, file_okay=False), help="Folder of the training, for its publication."
)
@click.option("--threads", type=click.IntRange(min=1), default=1, show_default=True, help="Of the network.")
@click.option("--event-type", help="Of all events, for a multi-skim network, in place of what they say.")
@source_options
@click.option("--json", "as_json", is_flag=True, help="Print every figure as JSON.")
def evaluate(
    payload: str,
    events: tuple[Path, ...],
    report: Path | None,
    store_in: Path | None,
    config: str | None,
    tags: tuple[str, ...],
    run: str | None,
    store: str | None,
    *,
    allow_open: bool,
    as_json: bool,
    **inputs: Any,
) -> None:
    """Figures of merit of PAYLOAD on EVENTS: AUC, ROC, retention, speed-ups, effective fraction, calibration.

    PAYLOAD is a file, the folder of a training, a payload NAME or NAME@REVISION; with --tag or --run it is what jobs
    get by tag. Give events that it was not trained on. Speed-ups are quoted with the published times and, where the
    files carry them, with the times measured here.

    Whether the weights are right is tested on all observables of the labels: passing events that sampling keeps, with
    their weights, against all of them. The draws are those of a job with this seed, or what --kept files say.
    --store-in puts the figures where `smartbkg publish` finds them for the payload's metadata.
    """
    from smartbkg.evaluation.job import EvaluationJob
    from smartbkg.evaluation.job import evaluate as judge
    from smartbkg.evaluation.summary import write_evaluation
    from smartbkg.parquet import count_rows

    with event_bar("evaluate", sum(map(count_rows, events))) as progress:
        source = Source(tags, run, store, allow_open, config)
        with filter_files(payload, source, events) as files:
            evaluation = judge(EvaluationJob(files, events, **inputs), progress)
    for folder in filter(None, (store_in, report)):
        write_evaluation(folder, evaluation.figures)
    if report is not None:
        from smartbkg.report.page import write_page

        write_page(evaluation.figures, evaluation.comparisons, report / "report.html")
    _say_which(evaluation.figures)
    if as_json:
        click.echo(json.dumps(evaluation.figures, indent=2))
    else:
        _echo(evaluation)


def _say_which(figures: Mapping[str, Any]) -> None:
    """Which network it was, and whether it was made for what it is judged by."""
    about = figures["filter"]
    trained = set(about["skims"]) - {None}
    purpose = next(iter(trained)) if len(trained) == 1 else f"{len(trained)} skims"
    click.echo(
        f"{about['source']}: {about['kind']}, trained for {purpose if trained else 'a skim that it does not name'}",
        err=True,
    )
    others = sorted(set(figures["skims"]) - trained) if trained else []
    if others:
        click.echo(f"warning: judged by {', '.join(others)}, which it was not trained for", err=True)


def _echo(evaluation: Evaluation) -> None:
    from smartbkg.report.tables import COLUMNS, as_lines, figure_rows, skim_row

    skims = evaluation.figures["skims"]
    if len(skims) == 1:
        for figure in figure_rows(evaluation.figures, *skims):
            click.echo(f"{figure.name:<28}{figure.value}")
        return
    rows = [skim_row(skim, figures) for skim, figures in skims.items()]
    click.echo("\n".join(as_lines([column.name for column in COLUMNS], rows)))
    for skim, figures in skims.items():
        if "problem" in figures:
            click.echo(f"{skim}: {figures['problem']}", err=True)
