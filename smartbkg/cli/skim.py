"""`smartbkg skim`: which reconstructed events pass."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from smartbkg.cli.progress import event_bar

EPILOG = """Examples:

\b
smartbkg skim feiHadronic reco.parquet -o skimmed.parquet
smartbkg skim all my_skims.py:MINE reco.parquet --workers 2 -o skimmed.parquet
"""


@click.command(epilog=EPILOG)
@click.argument("names_and_reco", metavar="NAME... RECO", nargs=-1)
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write, one row an event."
)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes side by side.")
@click.option("--list", "as_list", is_flag=True, help="List the skims instead.")
@click.option("--json", "as_json", is_flag=True, help="Print the list or the file's metadata as JSON.")
def skim(names_and_reco: tuple[str, ...], output: Path | None, workers: int, as_list: bool, as_json: bool) -> None:
    """Apply the skims NAME... to the file RECO of reconstructed events.

    A NAME is that of a skim or its code, a group of --list, "all", or a skim of your own as FILE.py:NAME, which can
    be a plain function of a batch. All events are written, with one bool column for each skim, its variables,
    observables of the whole event, and the scores and weights that came along.
    """
    if as_list:
        _echo_skims(as_json)
        return
    if len(names_and_reco) < 2:
        raise click.UsageError("name at least one skim, and the file of reconstructed events")
    if output is None:
        raise click.UsageError("missing option '-o' / '--output'")
    *names, reco = names_and_reco
    metadata = _skim(names, Path(reco), output, workers)
    if as_json:
        click.echo(json.dumps(metadata, indent=2))
        return
    for name, retention in metadata["retention"].items():
        click.echo(f"{name}: {retention:.2%} of {metadata['events']} events pass")
    click.echo(f"in {output}, {metadata['times_ms']['skim']:.3f} ms CPU an event")


def _skim(names: list[str], reco: Path, output: Path, workers: int) -> dict[str, Any]:
    from smartbkg.atomic import refuse_to_overwrite
    from smartbkg.parquet import count_rows
    from smartbkg.skim.job import skim_file
    from smartbkg.skim.own import find_skims

    find_skims(names)  # before any file is touched
    refuse_to_overwrite([reco], output)
    command = shlex.join(["smartbkg", *sys.argv[1:]])
    with event_bar("skim", count_rows(reco)) as report:
        return skim_file(names, reco, output, workers=workers, command=command, progress=report)


def _echo_skims(as_json: bool) -> None:
    from smartbkg.skim.library import GROUPS, list_skims

    rows = [
        {"name": skim.name, "code": skim.code, "group": group, "description": skim.description}
        for group in GROUPS
        for skim in sorted(list_skims(group), key=lambda skim: skim.code or 0)
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    name, group = (max(len(str(row[column])) for row in rows) for column in ("name", "group"))
    for row in rows:
        click.echo(f"{row['name']:<{name}}  {row['code']}  {row['group']:<{group}}  {row['description']}")
