"""`conditions payload`: upload files, look at them, fetch them back, verify them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from conditions.cli.download import save_copy
from conditions.cli.options import NameFilter, Noun, Settings, as_run, limit_option, name_filter
from conditions.cli.output import Record, echo_record, echo_records
from conditions.cli.payload_content import diff, dump
from conditions.cli.records import payload_record
from conditions.errors import NotFoundError, PayloadFileError
from conditions.iov import Run
from conditions.payload import Payload

if TYPE_CHECKING:
    from conditions.catalogue import Catalogue

PROGRESS_FROM_BYTES = 32 * 1024 * 1024  # smaller files are done before a bar is drawn
STDIN = "-"
DAMAGED = 1
COLUMNS = ("name", "revision", "size_bytes", "sha256", "created_at", "created_by")
revision_option = click.option("--revision", type=click.IntRange(min=1), help="Which one; the latest when not given.")


@click.group(cls=Noun, example="conditions payload list")
def payload() -> None:
    """Upload files, look at them, fetch them back, verify them."""


payload.add_command(diff)
payload.add_command(dump)


@payload.command(example="echo 1.5 | conditions payload upload - --name demo_gain.txt --meta auc=0.91")
@click.argument("source", metavar="FILE|-")
@click.option("--name", help="Name of the payload; the file's name when not given.")
@click.option("--metadata", "document", metavar="JSON|@FILE", help="Metadata as a JSON object.")
@click.option("--meta", "pairs", multiple=True, metavar="KEY=VALUE", help="One more field; VALUE is JSON or else text.")
@click.pass_obj
def upload(settings: Settings, source: str, name: str | None, document: str | None, pairs: tuple[str, ...]) -> None:
    """Store a file, or what comes on stdin, as the next revision of a payload.

    Bytes that this name has already keep their revision: uploading twice does no harm.
    """
    if source == STDIN and name is None:
        raise click.UsageError("what comes on stdin has no name: give --name")
    metadata = metadata_of(document, pairs)
    with _source(source) as stream, settings.open() as store:
        stored = store.upload(name or Path(source).name, stream, metadata=metadata)
    echo_record(payload_record(stored), as_json=settings.as_json)


@payload.command("list", example="conditions payload list --name 'demo_*'")
@name_filter
@click.option("--tag", help="Only payloads of this tag.")
@click.option("--run", type=as_run, metavar="EXP,RUN", help="With --tag: only what covers this run.")
@limit_option
@click.pass_obj
def list_payloads(settings: Settings, wanted: NameFilter, tag: str | None, run: Run | None, limit: int | None) -> None:
    """List payloads, all revisions of them."""
    if run is not None and tag is None:
        raise click.UsageError("--run needs --tag: runs belong to the IoVs of a tag")
    with settings.open() as store:
        found = store.list_payloads(pattern=wanted.glob, regex=wanted.words, tag=tag, run=run, limit=limit)
    echo_records(map(payload_record, found), COLUMNS, as_json=settings.as_json)


@payload.command(example="conditions payload show demo_gain.txt")
@click.argument("name")
@revision_option
@click.pass_obj
def show(settings: Settings, name: str, revision: int | None) -> None:
    """Show one payload with its metadata."""
    with settings.open() as store:
        echo_record(payload_record(store.get_payload(name, revision)), as_json=settings.as_json)


@payload.command(example="conditions payload download demo_gain.txt -o copy.txt --force")
@click.argument("name")
@revision_option
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Where to; its own name in this folder by default."
)
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@click.pass_obj
def download(settings: Settings, name: str, revision: int | None, output: Path | None, force: bool) -> None:
    """Fetch a payload into a file, verified on the way; the file appears complete or not at all."""
    with settings.open() as store:
        found = store.get_payload(name, revision)
        target = output or Path(found.name)
        if target.is_dir():
            target /= found.name
        save_copy(found, store.payload_path(found), target, force=force)
    echo_record({**payload_record(found), "path": str(target)}, as_json=settings.as_json)


@payload.command(example="conditions payload verify demo_gain.txt")
@click.argument("names", nargs=-1)
@click.option("--tag", help="Only payloads of this tag.")
@click.pass_obj
def verify(settings: Settings, names: tuple[str, ...], tag: str | None) -> None:
    """Read files again and compare size and digest; exit code 1 when one is damaged.

    All revisions of the payloads that are named, or of all payloads.
    """
    with settings.open() as store:
        for name in names:
            store.get_payload(name)
        chosen = [each for each in store.list_payloads(tag=tag) if not names or each.name in names]
        absent = sorted(set(names) - {each.name for each in chosen})
        if absent:
            raise NotFoundError(f"no payload {', '.join(map(repr, absent))} in tag {tag!r}")
        records = [_verified_record(store, each) for each in chosen]
    echo_records(records, ("name", "revision", "problem"), as_json=settings.as_json)
    if any(record["problem"] is not None for record in records):
        sys.exit(DAMAGED)


def _verified_record(store: Catalogue, payload: Payload) -> Record:
    """What is wrong with a payload's file, None when it is sound."""
    problem = None
    try:
        store.verify(payload)
    except PayloadFileError as error:
        problem = str(error)
    return {"name": payload.name, "revision": payload.revision, "sha256": payload.sha256, "problem": problem}


def metadata_of(document: str | None, pairs: tuple[str, ...]) -> dict[str, Any]:
    """The object of --metadata with the fields of --meta on top."""
    metadata: Any = {}
    if document is not None:
        try:
            text = Path(document[1:]).read_text("utf-8") if document.startswith("@") else document
            metadata = json.loads(text)
        except (OSError, ValueError, RecursionError) as error:
            raise click.BadParameter(f"{document[:100]}: {error}", param_hint="--metadata") from error
        if not isinstance(metadata, dict):
            raise click.BadParameter(f"{document} is no JSON object", param_hint="--metadata")
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--meta")
        metadata[key] = _json_or_text(value)
    return dict(metadata)


def _json_or_text(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


@contextmanager
def _source(given: str) -> Iterator[BinaryIO | Path]:
    """What the store reads from; a big file shows its progress when stderr is a terminal."""
    path = Path(given)
    if given == STDIN:
        yield sys.stdin.buffer
    elif not sys.stderr.isatty() or not path.is_file() or path.stat().st_size < PROGRESS_FROM_BYTES:
        yield path
    else:
        from rich.console import Console
        from rich.progress import open as open_shown

        with open_shown(path, "rb", description=path.name, console=Console(stderr=True)) as stream:
            yield stream
