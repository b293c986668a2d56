"""`conditions payload diff` and `conditions payload dump`: what is inside payloads."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from conditions.cli.options import Settings, Verb, as_run
from conditions.cli.output import echo_record
from conditions.errors import NoPayloadForRun, PayloadNotFound
from conditions.iov import Run

if TYPE_CHECKING:
    from conditions.catalogue import Catalogue
    from conditions.payload import Payload
    from conditions.payload_diff import Side

DIFFERENT, UNREADABLE = 1, 1
LIMIT = 50
_REVISION = re.compile(r"(?P<name>.+)@(?P<revision>[1-9][0-9]{0,17})")
FORMATS = ("text", "md", "json")


@click.command(cls=Verb, example="conditions payload diff demo_gain.txt ./copy.txt --format md")
@click.argument("left")
@click.argument("right", required=False)
@click.option("--tags", nargs=2, metavar="TAG TAG", help="Take the name as it is in one tag, and in the other.")
@click.option("--run", type=as_run, metavar="EXP,RUN", help="With --tags: for which run.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Text, Markdown for a merge request, or JSON.")
@click.option("--limit", type=click.IntRange(min=1), default=LIMIT, help=f"Rows of a section; {LIMIT} by default.")
@click.option("--all", "show_same", is_flag=True, help="Show what is the same, too; JSON has it always.")
@click.option("--exit-code", is_flag=True, help="End with 1 when they differ.")
@click.pass_obj
def diff(
    settings: Settings,
    left: str,
    right: str | None,
    tags: tuple[str, str] | None,
    run: Run | None,
    form: str | None,
    limit: int,
    show_same: bool,
    exit_code: bool,
) -> None:
    """Show two payloads side by side: what differs in facts, metadata and inside; --all for what is the same, too.

    A payload is NAME (its latest revision) or NAME@REVISION; a path with a / in it is a local file. One payload alone
    is compared with the revision before it, one file alone with the latest payload of its name.

    JSON is compared by structure, a torch checkpoint by keys, shapes and numbers without running anything in it, an
    exported network by its interface, operators and weights, and any other file by its bytes.
    """
    from conditions.payload_diff import diff_payloads
    from conditions.payload_report import as_markdown, as_text

    if (tags is None) != (run is None) or (tags is not None and right is not None):
        raise click.UsageError("--tags and --run belong together, and with them one NAME is enough")
    with settings.open() as store:
        if tags is not None and run is not None:
            one, two = (_in_tag(store, tag, run, left) for tag in tags)
        else:
            one, two = _sides(store, left, right)
        found = diff_payloads(one, two)
    match form or ("json" if settings.as_json else "text"):
        case "json":
            echo_record(found.as_dict(), as_json=True)
        case "md":
            click.echo(as_markdown(found, limit, show_same=show_same))
        case _:
            click.echo(as_text(found, limit, show_same=show_same))
    for problem in found.content.problems:
        click.echo(f"error: {problem}", err=True)
    if found.content.problems:
        sys.exit(UNREADABLE)
    if exit_code and not found.is_same:
        sys.exit(DIFFERENT)


@click.command(cls=Verb, example="conditions payload dump demo_gain.txt")
@click.argument("source", metavar="NAME[@REVISION]|FILE")
@click.option("--revision", type=click.IntRange(min=1), help="Which one; the latest when not given.")
@click.option("--raw", is_flag=True, help="Write its bytes to stdout instead.")
@click.pass_obj
def dump(settings: Settings, source: str, revision: int | None, raw: bool) -> None:
    """Say what is in a payload: its format, and what that format knows to tell.

    A path with a / in it is a local file. Nothing in a file is ever run.
    """
    from conditions.formats import describe

    with settings.open() as store:
        side = _side(store, source if revision is None else f"{source}@{revision}")
        if raw:
            with side.path.open("rb") as stream:
                shutil.copyfileobj(stream, sys.stdout.buffer)
            return
        found = describe(side.path, side.name)
    record = {**side.facts(), "format": found.format, "content": found.facts}
    for note in found.notes:
        click.echo(f"note: {note}", err=True)
    if settings.as_json:
        echo_record(record, as_json=True)
    else:
        click.echo("\n".join(_lines(record)))


def _lines(record: dict[str, Any], indent: str = "") -> list[str]:
    """A line a value; what lies inside an object is indented."""
    from conditions.payload_report import printable

    lines: list[str] = []
    fields = [(printable(name), value) for name, value in record.items()]
    width = max((len(name) for name, _ in fields), default=0)
    for name, value in fields:
        if isinstance(value, dict) and value:
            lines += [f"{indent}{name}", *_lines(value, f"{indent}  ")]
        else:
            text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
            shown = "-" if value in ({}, [], None, "") else printable(text)[:200]
            lines.append(f"{indent}{name:<{width}}  {shown}".rstrip())
    return lines


def _sides(store: Catalogue, left: str, right: str | None) -> tuple[Side, Side]:
    """What two words mean, or one."""
    from conditions.payload_diff import Side

    if right is not None:
        return _side(store, left), _side(store, right)
    alone = _side(store, left)
    if alone.payload is None:
        return _of(store, store.get_payload(alone.name)), alone
    if alone.payload.revision == 1:
        raise click.UsageError(f"{alone.payload.name} has no revision before 1: name what to compare it with")
    before = store.get_payload(alone.payload.name, alone.payload.revision - 1)
    return Side.of_payload(before, store.payload_path(before)), alone


def _side(store: Catalogue, word: str) -> Side:
    """A payload's revision, or a local file."""
    from conditions.payload_diff import Side

    path = Path(word)
    if "/" in word:
        return Side.of_file(path)
    named = _REVISION.fullmatch(word)
    try:
        if named is None:
            return _of(store, store.get_payload(word))
        return _of(store, store.get_payload(named["name"], int(named["revision"])))
    except PayloadNotFound as error:
        if named is not None and not error.latest:
            return _plainly_named(store, word, error)
        if path.is_file():
            return Side.of_file(path)
        raise


def _plainly_named(store: Catalogue, word: str, first: PayloadNotFound) -> Side:
    """A payload whose name itself looks like NAME@REVISION."""
    try:
        return _of(store, store.get_payload(word))
    except PayloadNotFound:
        raise first from None


def _in_tag(store: Catalogue, tag: str, run: Run, name: str) -> Side:
    """What a tag gives for a run; a manager compares OPEN tags, too."""
    from conditions.payload_diff import Side

    found = store.resolve([tag], run, [name], allow_open=True)
    if name not in found:
        raise NoPayloadForRun(name, run, [tag])
    payload = found[name].payload
    return Side.of_payload(payload, store.payload_path(payload), tag)


def _of(store: Catalogue, payload: Payload) -> Side:
    from conditions.payload_diff import Side

    return Side.of_payload(payload, store.payload_path(payload))
