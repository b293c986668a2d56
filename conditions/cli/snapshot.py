"""`conditions download` and `conditions snapshot`: tags in a file, for jobs without a network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conditions.cli.options import Noun, Settings, Verb, as_interval
from conditions.cli.output import Record, echo_records
from conditions.cli.progress import Tell, progress
from conditions.client.stack import STACK_VARIABLES, stack_in_force
from conditions.iov import IntervalOfValidity

if TYPE_CHECKING:
    from conditions.catalogue import Catalogue
    from conditions.offline.writer import TagContent

COLUMNS = ("tag", "state", "iovs", "payloads", "change")
SHOWN = ("tag", "state", "iovs", "payloads", "content_revision", "runs")


@dataclass(frozen=True)
class Wishes:
    """What is to be taken along, and where to."""

    output: Path
    folder: Path | None
    layout: str
    details: bool
    runs: IntervalOfValidity | None
    append: bool
    force: bool
    allow_open: bool
    base_url: str | None


def _wishes(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of a download, which gets them as one `Wishes`."""
    path = click.Path(path_type=Path)
    options = [
        click.option(
            "-o", "--output", type=path, default=Path("snapshot.sqlite"), show_default=True, help="The snapshot."
        ),
        click.option(
            "--payloads", "folder", type=path, metavar="DIR", help="Fetch the payload files into this folder."
        ),
        click.option("--layout", type=click.Choice(["hashed", "flat"]), default="hashed", help="Names of the files."),
        click.option("--details", is_flag=True, help="Keep sha256, sizes, metadata and digests too; advised."),
        click.option("--run-range", "runs", type=as_interval, metavar="IOV", help="Only these runs, IoVs cut to them."),
        click.option("--append", is_flag=True, help="Add to the file; bring tags that it has up to date."),
        click.option("--force", is_flag=True, help="Replace a file that is there."),
        click.option("--allow-open", is_flag=True, help="Take OPEN tags along too, which may still change."),
        click.option("--base-url", metavar="URL", help="Below which readers find files that no folder has."),
    ]

    @wraps(command)
    def wishing(*args: Any, tags: tuple[str, ...], **given: Any) -> Any:
        return command(*args, tags=tags, wishes=Wishes(**given))

    for option in reversed(options):
        wishing = option(wishing)
    return wishing


@click.command(
    cls=Verb, example="conditions download user_demo_first -o offline.sqlite --payloads payloads --allow-open"
)
@click.argument("tags", nargs=-1, metavar="TAG...")
@_wishes
@click.pass_obj
def download(settings: Settings, tags: tuple[str, ...], wishes: Wishes) -> None:
    """Take tags along in a snapshot file, for jobs without a network.

    A job reads it with CONDITIONS_METADATA=snapshot.sqlite and finds payload files in a folder 'payloads' beside it, or
    in those of CONDITIONS_PAYLOADS. The file appears complete or not at all; payload files are verified, and those that
    are there already are not fetched again. Without TAG the stack comes from CONDITIONS_TAGS or BELLE2_CONDB_GLOBALTAG.

    Without --details the file has the tables that other programs expect, and nothing else: jobs get the same payloads
    from it, but their records know no content revisions and digests of tags, and no sha256 of files that were not read.

    With --run-range the snapshot answers for these runs only. With --append a tag that became INVALID is kept, and
    marked, so that no job uses it any more.
    """
    from conditions.offline.writer import write_snapshot

    if wishes.append and wishes.force:
        raise click.UsageError("--append and --force exclude each other")
    stack = tuple(dict.fromkeys(tags)) or stack_in_force()
    if not stack:
        raise click.UsageError(f"no tag to download: name one, or set {' or '.join(STACK_VARIABLES)}")
    with settings.open() as store, progress("downloading") as tell:
        written = write_snapshot(
            wishes.output,
            _contents(store, stack, wishes, tell),
            base_url=_base_url(store, wishes),
            details=wishes.details,
            append=wishes.append,
            replace=wishes.force,
        )
    records = [
        {
            "tag": tag.name,
            "state": tag.state,
            "iovs": tag.n_iovs,
            "payloads": tag.n_payloads,
            "change": tag.change,
            "snapshot": str(wishes.output),
        }
        for tag in written
    ]
    echo_records(records, COLUMNS, as_json=settings.as_json)


@click.group(cls=Noun, example="conditions snapshot show offline.sqlite")
def snapshot() -> None:
    """Look into snapshot files."""


@snapshot.command(example="conditions snapshot show offline.sqlite")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_obj
def show(settings: Settings, file: Path) -> None:
    """List the tags in a snapshot, after reading all of it: one that is damaged is an error.

    What only a snapshot with details knows is '-'. One that was made for a range of runs says so under 'runs'.
    """
    from conditions.offline.snapshot import SnapshotSource

    with SnapshotSource(file) as source:
        source.check()
        records: list[Record] = [
            {
                "tag": tag.facts.name,
                "state": tag.facts.state.value,
                "iovs": tag.n_iovs,
                "payloads": tag.n_payloads,
                "type": tag.type,
                "description": tag.description,
                "content_revision": None if tag.type is None else tag.facts.content_revision,
                "digest": tag.digest,
                "runs": tag.runs,
            }
            for tag in source.tags()
        ]
    echo_records(records, SHOWN, as_json=settings.as_json)


def _contents(store: Catalogue, stack: tuple[str, ...], wishes: Wishes, tell: Tell) -> Iterator[TagContent]:
    """The tags one after the other, each with its payload files in their folder before its rows are written."""
    from conditions.offline.download import keep_payloads, payloads_of, read_tag
    from conditions.offline.locations import Layout, PayloadFolder

    known = _tags_in(wishes.output) if wishes.append else set()
    for name in stack:
        content = read_tag(store, name, runs=wishes.runs, allow_open=wishes.allow_open, known=known)
        if wishes.folder is not None:
            folder, layout = PayloadFolder(wishes.folder), Layout(wishes.layout)
            files = keep_payloads(store, payloads_of(content), folder, layout, tell)
            click.echo(f"{name}: {files.n_written} payload files written, {files.n_there} were there", err=True)
        yield content


def _tags_in(path: Path) -> set[str]:
    from conditions.offline.snapshot import SnapshotSource

    if not path.exists():
        return set()
    with SnapshotSource(path) as source:
        return {tag.facts.name for tag in source.tags()}


def _base_url(store: Catalogue, wishes: Wishes) -> str:
    """Where the payload files of a server are; nowhere, for a store that none serves."""
    if wishes.base_url is not None:
        return wishes.base_url
    return f"{store.url.rstrip('/')}/" if store.url.startswith(("http://", "https://")) else ""
