"""`smartbkg events`: look into event files, and bring in events made elsewhere."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np

from smartbkg import __version__

EPILOG = """\b
Example:
  smartbkg events import upsilon.hepmc --type mixed -o mixed.parquet
  smartbkg events show mixed.parquet
"""


@click.group(epilog=EPILOG)
def events() -> None:
    """Show event files, import HepMC files."""


@events.command(name="import", epilog="Example: smartbkg events import upsilon.hepmc --type mixed -o mixed.parquet")
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--type", "event_type", required=True, help="Event type: mixed, charged, uubar, ddbar, ssbar, ...")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Event file to write."
)
@click.option("--exp", type=click.IntRange(min=0), default=0, show_default=True, help="Experiment number.")
@click.option("--run", type=click.IntRange(min=0), default=0, show_default=True, help="Run number.")
@click.option(
    "--first-event", type=click.IntRange(min=1), default=1, show_default=True, help="Number of the first event."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def import_events(
    source: Path, event_type: str, output: Path, exp: int, run: int, first_event: int, as_json: bool
) -> None:
    """Write the events of a HepMC3 (or HepMC2) text file SOURCE as an event file.

    Files ending in .gz, .bz2 and .xz are read too. Units are converted to GeV, cm and ns.
    """
    from smartbkg.atomic import refuse_to_overwrite
    from smartbkg.events import EventWriter
    from smartbkg.generate import read_hepmc

    refuse_to_overwrite([source], output)
    n_events = 0
    step = {"step": "import", "source": str(source), "versions": {"smartbkg": __version__}}
    with EventWriter(output, {"kind": "events", "provenance": [step]}, extra={}) as writer:
        for batch in read_hepmc(source, event_type, exp=exp, run=run, first_event=first_event):
            writer.write(batch)
            n_events += len(batch)
    if as_json:
        click.echo(json.dumps({"events": n_events, "event_type": event_type, "file": str(output)}, indent=2))
    else:
        click.echo(f"{n_events} {event_type} events of {source} in {output}")


@events.command(epilog="Example: smartbkg events show mixed.parquet")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show(file: Path, as_json: bool) -> None:
    """Summarise a file of events, generated, reconstructed or skimmed: types, runs, columns, where it came from."""
    summary = _summary(file)
    if as_json:
        click.echo(json.dumps(summary, indent=2))
        return
    width = max(len(name) for name in summary)
    for name, value in summary.items():
        if isinstance(value, dict):
            value = json.dumps(value)  # noqa: PLW2901  one line a field
        click.echo(f"{name:<{width}}  {value}")


def _summary(file: Path) -> dict[str, Any]:
    """What is in the file, read in batches."""
    from smartbkg.events import EVENT_TYPES, KEY_COLUMNS, read_keys
    from smartbkg.parquet import read_metadata, read_schema, read_tables

    names = read_schema(file).names
    types: Counter[str] = Counter()
    runs: set[tuple[int, int]] = set()
    numbers: list[int] = []
    for table in read_tables(file, KEY_COLUMNS):
        keys = read_keys(table, file)
        types.update(EVENT_TYPES[code] if code >= 0 else "unknown" for code in keys["event_type"].tolist())
        runs.update(zip(keys["exp"].tolist(), keys["run"].tolist(), strict=True))
        numbers = [min([*numbers, *keys["event"].tolist()]), max([*numbers, *keys["event"].tolist()])]
    n_events = types.total()
    return {
        "file": str(file),
        "size_bytes": file.stat().st_size,
        "events": n_events,
        "types": dict(sorted(types.items())),
        "runs": [f"{exp}:{run}" for exp, run in sorted(runs)],
        "event_numbers": numbers,
        **(_particle_figures(file, n_events) if "particles" in names else {}),
        "columns": [name for name in names if name not in {*KEY_COLUMNS, "particles"}],
        "metadata": read_metadata(file),
    }


def _particle_figures(file: Path, n_events: int) -> dict[str, float]:
    """Mean numbers of generated particles."""
    from smartbkg.events import MCStatus, read_batches

    n_particles, n_stable, n_charged = 0, 0, 0
    for batch in read_batches(file):
        stable = (batch.particles.status & MCStatus.STABLE) > 0
        n_particles += len(batch.particles)
        n_stable += int(stable.sum())
        n_charged += int((stable & (np.abs(batch.particles.charge) > 0.5)).sum())
    counts = {"particles": n_particles, "stable": n_stable, "charged": n_charged}
    return {f"{name}_per_event": round(n / n_events, 2) if n_events else 0.0 for name, n in counts.items()}
