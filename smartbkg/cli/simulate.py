"""`smartbkg simulate`: generated events through the fast detector."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path

import click

from smartbkg.cli.progress import event_bar

EPILOG = "Example: smartbkg simulate mixed.parquet --seed 1 -o reco.parquet"


@click.command(epilog=EPILOG)
@click.argument("events", type=click.Path(path_type=Path))
@click.option("--seed", type=int, required=True, help="The same seed gives the same reconstructed events.")
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="File to write.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes side by side.")
@click.option("--json", "as_json", is_flag=True, help="Print the file's metadata as JSON.")
def simulate(events: Path, seed: int, output: Path, workers: int, as_json: bool) -> None:
    """Simulate and reconstruct the generated EVENTS: tracks, clusters, K_S and pi0 candidates.

    The fast simulation applies acceptance, efficiency and resolution. An event's result depends on the seed and
    on itself only, never on its neighbours in the file or on the number of workers.
    """
    from smartbkg.atomic import refuse_to_overwrite
    from smartbkg.detector.job import SimulateConfig, simulate_file
    from smartbkg.parquet import count_rows

    config = SimulateConfig(seed, workers=workers, command=shlex.join(["smartbkg", *sys.argv[1:]]))
    total = count_rows(events)
    refuse_to_overwrite([events], output)
    with event_bar("simulate", total) as report:
        metadata = simulate_file(events, output, config, progress=report)
    if as_json:
        click.echo(json.dumps(metadata, indent=2))
    else:
        click.echo(f"{total} events in {output}, {metadata['times_ms']['simulate']:.3f} ms CPU an event")
