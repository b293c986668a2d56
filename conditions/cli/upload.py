"""`conditions upload`: from payloads that were tried out to a tag."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from conditions.cli.options import Settings, Verb
from conditions.cli.output import Record, echo_records
from conditions.cli.progress import progress
from conditions.errors import BadLines
from conditions.tags import TagState, check_edit, check_tag_name

if TYPE_CHECKING:
    from conditions.catalogue import Catalogue
    from conditions.offline.upload import Upload

COLUMNS = ("line", "name", "revision", "iov", "md5", "file")
SHOWN_OVERLAPS = 5
WRONG_USAGE = 2
Revisions = Mapping[tuple[str, str], int]  # (payload name, md5) -> its revision in the store


@click.command(cls=Verb, example="conditions upload database.txt user_demo_third --create --dry-run")
@click.argument("database", metavar="DATABASE.TXT", type=click.Path(path_type=Path))
@click.argument("tag")
@click.option("--create", is_flag=True, help="Make the tag, OPEN, when it is not there.")
@click.option("--description", default="", help="With --create: what the tag is for.")
@click.option("--dry-run", is_flag=True, help="Check everything and show what would be uploaded; change nothing.")
@click.pass_obj
def upload(settings: Settings, database: Path, tag: str, create: bool, description: str, dry_run: bool) -> None:
    """Put payloads that were tried out into a tag: all of them, or none.

    DATABASE.TXT has a line 'dbstore/NAME REVISION FIRST_EXP,FIRST_RUN,LAST_EXP,LAST_RUN' for each payload and interval;
    '#' begins a comment. The file of a line lies beside it as dbstore_NAME_rev_REVISION.root; REVISION is a number, or
    6 or more of the first digits of its md5. Of two lines about the same name and interval the last one counts.

    Every error is listed as FILE:LINE error: …, and with any error nothing is uploaded. Bytes that the store has
    already keep their revision.
    """
    found = _read(database)
    _say_overlaps(found)
    with settings.open() as store:
        if dry_run:
            revisions = _planned(store, found, tag, create=create)
        else:
            revisions = _uploaded(store, found, tag, create=create, description=description)
    echo_records(_records(found, revisions), COLUMNS, as_json=settings.as_json)


def _read(database: Path) -> Upload:
    from conditions.offline.upload import read_upload

    try:
        with progress("reading payload files") as tell:
            return read_upload(database, tell)
    except BadLines as error:
        for line in error.errors:
            click.echo(line, err=True)
        click.echo(f"error: {error.path} is refused: {len(error.errors)} errors, nothing was uploaded", err=True)
        sys.exit(WRONG_USAGE)


def _uploaded(store: Catalogue, found: Upload, tag: str, *, create: bool, description: str) -> Revisions:
    batch = found.batch(tag, create=create, description=description)
    with progress(f"uploading {len(batch.payloads)} payloads"):
        result = store.submit(batch)
    click.echo(f"{len(found.lines)} IoVs are in {tag}, {result.n_added} of them new", err=True)
    return {(payload.name, payload.md5): payload.revision for payload in result.payloads}


def _planned(store: Catalogue, found: Upload, tag: str, *, create: bool) -> Revisions:
    """What would be done, once it is sure that the tag would take it; only payloads that are there have a revision."""
    there = store.find_tag(tag) if create else store.get_tag(tag)
    if there is None:
        check_tag_name(tag)
    elif there.state is not TagState.RUNNING:
        check_edit(tag, there.state, "add IoVs to")
    batch = found.batch(tag)
    known = store.find_payloads([(payload.name, payload.md5 or "") for payload in batch.payloads])
    n_new = len(batch.payloads) - len({(payload.name, payload.md5) for payload in known})
    say = f"would upload {n_new} new payloads and add {len(found.lines)} IoVs to {tag}"
    click.echo(f"{say}{' (new)' if there is None else ''}; nothing was changed", err=True)
    return {(payload.name, payload.md5): payload.revision for payload in known}


def _say_overlaps(found: Upload) -> None:
    if found.n_replaced:
        click.echo(f"{found.n_replaced} lines are replaced by later ones of the same name and interval", err=True)
    overlaps = found.overlaps()
    for name, runs in list(overlaps.items())[:SHOWN_OVERLAPS]:
        click.echo(f"{name}: several lines hold for {runs.pieces[0]}; in a tag the highest revision wins", err=True)
    if len(overlaps) > SHOWN_OVERLAPS:
        click.echo(f"... and for {len(overlaps) - SHOWN_OVERLAPS} other payloads", err=True)


def _records(found: Upload, revisions: Revisions) -> Iterator[Record]:
    for line in found.lines:
        payload = found.payload_of[line.path]
        yield {
            "line": line.number,
            "name": line.name,
            "revision": revisions.get((line.name, payload.md5)),
            "iov": str(line.iov),
            "md5": payload.md5,
            "sha256": payload.sha256,
            "size_bytes": payload.size_bytes,
            "file": line.path.name,
        }
