"""`conditions db`: make, upgrade and check the store."""

from __future__ import annotations

import sys

import click

from conditions.cli.options import Noun, Settings
from conditions.cli.output import echo_record

LEFT_TO_DO = 1


@click.group(cls=Noun, example="conditions db check")
def db() -> None:
    """Make, upgrade and check the store."""


@db.command(example="conditions db init")
@click.pass_obj
def init(settings: Settings) -> None:
    """Make the tables of a new store; one that is there already is brought to the newest form.

    A SQLite store does this by itself on first use, a PostgreSQL one waits for this command.
    """
    _upgrade(settings)


@db.command(example="conditions db upgrade")
@click.pass_obj
def upgrade(settings: Settings) -> None:
    """Bring the tables of a store to the form of this release; what is in them stays."""
    _upgrade(settings)


@db.command(example="conditions db check --repair")
@click.option("--repair", is_flag=True, help="Delete orphans and leftovers, which no row needs.")
@click.pass_obj
def check(settings: Settings, repair: bool) -> None:
    """Compare every row with its file, reading all of them.

    Orphans (a file without a row) and leftovers (a file that was being written) are what a crash may leave; they do no
    harm. Missing and corrupt files are damage: upload the right bytes again. Exit code 1 when anything is left to do.

    Nothing is touched in a folder or bucket that carries the id of another store, or of none and may be another's. In a
    bucket what was written within the last hour is left alone: an upload on another machine may still need it.
    """
    with settings.open_store() as store:
        report = store.check(repair=repair)
    record = {
        "store_id": report.store_id,
        "folder": report.folder,
        "payloads": report.payload_count,
        "orphans": [str(path) for path in report.orphans],
        "leftovers": [str(path) for path in report.leftovers],
        "missing": [str(payload) for payload in report.missing],
        "corrupt": [str(payload) for payload in report.corrupt],
        "repaired": report.repaired,
        "ok": report.ok,
    }
    echo_record(record, as_json=settings.as_json)
    if not report.ok:
        sys.exit(LEFT_TO_DO)


def _upgrade(settings: Settings) -> None:
    from conditions.store.engine import database_url, shown
    from conditions.store.schema import current, upgrade

    url = database_url(settings.database())
    record = {"store": shown(url), "before": current(url), "revision": upgrade(url)}
    echo_record(record, as_json=settings.as_json)
