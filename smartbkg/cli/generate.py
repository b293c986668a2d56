"""`smartbkg generate`: events of one type from Pythia 8."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from smartbkg.cli.progress import event_bar

EPILOG = "Example: smartbkg generate mixed -n 1000 --seed 1 -o mixed.parquet"


@click.command(epilog=EPILOG)
@click.argument("event_type", metavar="TYPE")
@click.option("-n", "--events", "n_events", type=click.IntRange(min=0), required=True, help="How many events.")
@click.option("--seed", type=int, required=True, help="The same seed gives the same events.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Event file to write."
)
@click.option("--decays", default="pythia", show_default=True, help="Decay table: pythia or belle2.")
@click.option(
    "--tau-decays",
    default="auto",
    show_default=True,
    help="fast, correlated (spins kept, 6 ms a tau), or auto: fast for taupair only.",
)
@click.option("--exp", type=click.IntRange(min=0), default=0, show_default=True, help="Experiment number.")
@click.option("--run", type=click.IntRange(min=0), default=0, show_default=True, help="Run number.")
@click.option(
    "--first-event", type=click.IntRange(min=1), default=1, show_default=True, help="Number of the first event."
)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes side by side.")
@click.option("--json", "as_json", is_flag=True, help="Print the file's metadata as JSON.")
def generate(output: Path, workers: int, as_json: bool, **settings: Any) -> None:
    """Generate events of TYPE: mixed, charged, uubar, ddbar, ssbar, ccbar or taupair.

    The beams are those of Belle II. Particles that live longer than a metre stay undecayed. The events depend on
    seed, type, experiment, run and event number, never on the number of workers or on how a job is cut.
    """
    from smartbkg.generate import GenerateConfig, generate_file

    config = GenerateConfig(**settings)
    with event_bar("generate", config.n_events) as report:
        metadata = generate_file(
            config, output, workers, command=shlex.join(["smartbkg", *sys.argv[1:]]), progress=report
        )
    if as_json:
        click.echo(json.dumps(metadata, indent=2))
    else:
        time_ms = metadata["times_ms"]["generate"]
        click.echo(f"{config.n_events} {config.event_type} events in {output}, {time_ms:.3f} ms CPU an event")
