"""How values are printed: aligned text for people and pipes, JSON with stable keys for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

# Columns that a table cuts: digits enough to tell files apart, and the start of what may be 10^5 IoVs. JSON has all.
WIDEST = {"sha256": 12, "md5": 12, "change": 160}
# What a caller in Python gives as an argument is an option here.
_ARGUMENT = re.compile(r"\b(allow_open|allow_closed|fix_closed)=True")
Record = Mapping[str, Any]  # column name -> value that JSON knows, or a datetime


def in_shell(error: Exception) -> str:
    """What an error says, on one line, with options in place of Python's arguments."""
    return _ARGUMENT.sub(lambda found: f"--{found[1].replace('_', '-')}", " ".join(str(error).split()))


def echo_record(record: Record, *, as_json: bool) -> None:
    """Print one thing: a line a field, or a JSON object."""
    if as_json:
        click.echo(_json(record))
        return
    width = max(len(name) for name in record)
    for name, value in record.items():
        click.echo(f"{name:<{width}}  {_text(value)}".rstrip())


def echo_records(records: Iterable[Record], columns: Sequence[str], *, as_json: bool) -> None:
    """Print many things: an aligned table of `columns`, or a JSON list with all fields.

    The table is the same on a terminal and in a pipe, so what was seen can be cut and filtered.
    """
    if as_json:
        click.echo(_json(list(records)))
        return
    rows = [[_cell(column, record[column]) for column in columns] for record in records]
    if not rows:
        click.echo("nothing found", err=True)
        return
    widths = [max(len(row[position]) for row in [list(columns), *rows]) for position in range(len(columns))]
    head = _line(columns, widths)
    click.echo(click.style(head, bold=True) if sys.stdout.isatty() else head)
    click.echo("\n".join(_line(row, widths) for row in rows))


def _cell(column: str, value: Any) -> str:
    """The value on one line, no wider than its column may be."""
    text, widest = " ".join(_text(value).split()), WIDEST.get(column)
    if widest is None or len(text) <= widest:
        return text
    return text[:widest] if column in ("sha256", "md5") else f"{text[: widest - 1]}…"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{cell:<{width}}" for cell, width in zip(cells, widths, strict=True)).rstrip()


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, default=_edge)


def _edge(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(timespec="seconds")
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _text(value: Any) -> str:
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return f"{value.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
        case dict() | list():
            return json.dumps(value, default=_edge)
        case _:
            return str(value)
