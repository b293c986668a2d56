"""`smartbkg skim`: which reconstructed events pass."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from smartbkg.cli.progress import event_bar

EPILOG = "Example: smartbkg skim feiHadronic reco.parquet -o skimmed.parquet"


@click.command(epilog=EPILOG)
@click.argument("names_and_reco", metavar="NAME... RECO", nargs=-1)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write, one row an event."
)
@click.option("--list", "as_list", is_flag=True, help="List the skims instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the list or the file's metadata as JSON.")
def skim(names_and_reco: tuple[str, ...], output: Path | None, as_list: bool, as_json: bool) -> None:
    """Apply the skims NAME... to the file RECO of reconstructed events.

    All events are written, with one bool column for each skim, its variables, observables of the whole event, and
    the scores and weights that came along.
    """
    if as_list:
        _echo_skims(as_json)
        return
    if len(names_and_reco) < 2:
        raise click.UsageError("name at least one skim, and the file of reconstructed events")
    if output is None:
        raise click.UsageError("missing option '-o' / '--output'")
    *names, reco = names_and_reco
    metadata = _skim(list(dict.fromkeys(names)), Path(reco), output)
    if as_json:
        click.echo(json.dumps(metadata, indent=2))
        return
    for name, retention in metadata["retention"].items():
        click.echo(f"{name}: {retention:.2%} of {metadata['events']} events pass")
    click.echo(f"in {output}, {metadata['times_ms']['skim']:.3f} ms CPU an event")


def _skim(names: list[str], reco: Path, output: Path) -> dict[str, Any]:
    from smartbkg.atomic import refuse_to_overwrite
    from smartbkg.parquet import count_rows
    from smartbkg.skim import get_skim
    from smartbkg.skim.job import skim_file

    skims = [get_skim(name) for name in names]
    refuse_to_overwrite([reco], output)
    command = shlex.join(["smartbkg", *sys.argv[1:]])
    with event_bar("skim", count_rows(reco)) as report:
        return skim_file(skims, reco, output, command=command, progress=report)


def _echo_skims(as_json: bool) -> None:
    from smartbkg.skim import list_skims

    rows = [{"name": s.name, "code": s.code, "description": s.description} for s in list_skims()]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']:<14} {row['code']}  {row['description']}")
