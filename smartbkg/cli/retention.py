"""`smartbkg retention`: how many events of each type pass each skim."""

from __future__ import annotations

import json
from pathlib import Path

import click

from smartbkg.cli.progress import event_bar

EPILOG = "Example: smartbkg retention mixed.reco.parquet charged.reco.parquet --workers 2"


@click.command(epilog=EPILOG)
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--skim", "names", multiple=True, help="Only this skim; as the names of `smartbkg skim`. Repeatable.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Processes side by side.")
@click.option("--json", "as_json", is_flag=True, help="Print counts, retentions and errors as JSON.")
def retention(files: tuple[Path, ...], names: tuple[str, ...], workers: int, as_json: bool) -> None:
    """Print the retention table of FILE...: skims by event type, in percent, as Markdown.

    A FILE holds reconstructed events, to which the skims are applied, or is one that `smartbkg skim` has written.
    Errors are binomial; "< x" is the limit at 68 % where no event passes.
    """
    from smartbkg.parquet import count_rows
    from smartbkg.skim.own import ALL
    from smartbkg.skim.retention import count_passing

    total = sum(map(count_rows, files))
    with event_bar("retention", total) as report:
        table = count_passing(files, names or (ALL,), only=bool(names), workers=workers, progress=report)
    click.echo(json.dumps(table.to_json(), indent=2) if as_json else table.to_markdown())
