"""`conditions cache`: the payload files that jobs of this machine have fetched."""

from __future__ import annotations

import click

from conditions.cli.options import Noun, Settings
from conditions.cli.output import Record, echo_record
from conditions.client.cache import CacheFacts, PayloadCache

folder_option = click.option(
    "--folder", type=click.Path(file_okay=False), help="Another cache than that of CONDITIONS_CACHE, or your own."
)


@click.group(cls=Noun, example="conditions cache show")
def cache() -> None:
    """Look after the payload files that jobs of this machine have fetched.

    All processes of a machine share them; each file is verified before a process first uses it. Nothing is removed
    until somebody asks for it.
    """


@cache.command(example="conditions cache show")
@folder_option
@click.pass_obj
def show(settings: Settings, folder: str | None) -> None:
    """Show where the cache is, and how much it holds."""
    echo_record(_record(PayloadCache(folder).facts()), as_json=settings.as_json)


@cache.command(example="conditions cache clear --unused-days 30")
@folder_option
@click.option(
    "--unused-days", type=click.FloatRange(min=0), default=0, help="Only what no job has used in so many days."
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed.")
@click.pass_obj
def clear(settings: Settings, folder: str | None, unused_days: float, dry_run: bool) -> None:
    """Remove fetched files; who wants them again fetches them again.

    A job that has asked for a file and not opened it yet would miss it: while jobs run, give --unused-days.
    """
    removed = PayloadCache(folder).clear(unused_days, dry_run=dry_run)
    echo_record({"dry_run": dry_run, **_record(removed)}, as_json=settings.as_json)


def _record(facts: CacheFacts) -> Record:
    return {"folder": str(facts.folder), "files": facts.n_files, "size_bytes": facts.size_bytes}
