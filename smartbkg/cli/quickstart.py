"""`smartbkg quickstart`: from nothing to a filtered sample, on this machine."""

from __future__ import annotations

import os
from pathlib import Path

import click

from smartbkg.quickstart import Plan, run

EPILOG = "Example: smartbkg quickstart -o quickstart"


@click.command(epilog=EPILOG)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, file_okay=False), default="quickstart", show_default=True
)
@click.option("--train", "n_train", type=click.IntRange(min=1), help=f"Events to train on; {Plan.n_train} by default.")
@click.option(
    "--new", "n_new", type=click.IntRange(min=1), help=f"New events to filter and compare; {Plan.n_new} by default."
)
@click.option(
    "--epochs", type=click.IntRange(min=1), help=f"Passes over the training events; {Plan.epochs} by default."
)
@click.option("--seed", type=int, help=f"The same seed gives the same files; {Plan.seed} by default.")
@click.option("--store", metavar="URL", help="A conditions database of yours instead of one in the output folder.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes side by side; all cores by default.")
def quickstart(output: Path, workers: int | None, **given: int | str | None) -> None:
    """Train, publish and use a filter on real generated events.

    Generates events, simulates and skims them for labels, trains a small GATGAP network, publishes it in a conditions
    database, generates new events, filters them with the payload found there by default, simulates only what was
    kept, and compares with the unfiltered truth. Each step is printed as the command that it is. A run that was
    interrupted goes on where it stopped when it is started again.
    """
    plan = Plan(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    run(output, plan, workers or os.cpu_count() or 1, lambda text: click.echo(text, err=True))
    click.echo(f"\nThe report with plots: {output / 'report' / 'report.html'}", err=True)
