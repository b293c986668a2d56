"""A payload diff as text for a terminal, and as Markdown that can be pasted into a merge request."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from conditions.formats.structure import Difference, Section
from conditions.payload_diff import PayloadDiff

MAX_CELL: Final = 72  # characters of a value
SIGNS: Final = {"added": "+", "removed": "-", "changed": "~", "type": "!", "same": " "}
WORDS: Final = {"added": "added", "removed": "removed", "changed": "changed", "type": "other type", "same": "the same"}
DIGEST_DIGITS: Final = 12
LEAD: Final = 16  # characters shown before the place where two long texts begin to differ


def as_text(diff: PayloadDiff, limit: int, *, show_same: bool = False) -> str:
    """Aligned lines: `+` came, `-` went, `~` changed, `!` became another type; what is the same is only counted."""
    lines = [f"{diff.left.label} -> {diff.right.label}: {_verdict(diff)}"]
    for part in _sections(diff):
        rows, hidden = _chosen(part, limit, show_same)
        lines += ["", f"{part.title}: {_counts(part)}"]
        cells = [(f"{SIGNS[row.kind]} {_path(row.path)}", *_values(row)) for row in rows]
        widths = [max((len(cell[place]) for cell in cells), default=0) for place in range(4)]
        lines += [
            "  ".join(f"{text:<{width}}" for text, width in zip(cell, widths, strict=True)).rstrip() for cell in cells
        ]
        lines += [f"  … and {hidden} more"] if hidden else []
    return "\n".join(lines + ["", *(f"note: {note}" for note in diff.content.notes)] * bool(diff.content.notes))


def as_markdown(diff: PayloadDiff, limit: int, *, show_same: bool = False) -> str:
    """A heading, and a table a section; every value is a code span, so nothing in it is taken for markup."""
    lines = [f"### {_code(diff.left.label)} → {_code(diff.right.label)}", "", f"{_verdict(diff).capitalize()}."]
    for part in _sections(diff):
        rows, hidden = _chosen(part, limit, show_same)
        lines += ["", f"**{part.title}**: {_counts(part)}"]
        if rows:
            lines += [
                "",
                f"| | what | {_code(diff.left.label)} | {_code(diff.right.label)} | change |",
                "|---|---|---|---|---|",
            ]
        for row in rows:
            left, right, change = _values(row)
            cells = (f"`{SIGNS[row.kind]}`" if row.kind != "same" else "", _code(_path(row.path)))
            lines.append(f"| {' | '.join((*cells, _code(left), _code(right), _cell(change)))} |")
        lines += ["", f"… and {hidden} more"] if hidden else []
    notes = (*diff.content.notes, *diff.content.problems)
    return "\n".join([*lines, *([""] if notes else []), *(f"> {_cell(note)}" for note in notes)])


def printable(text: str) -> str:
    """One line that does nothing to a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _sections(diff: PayloadDiff) -> list[Section]:
    """What is shown: facts always, metadata when there is some, parts of the content that differ."""
    parts = [diff.facts, *([diff.metadata] if diff.metadata.rows else [])]
    prefix = diff.content.format
    parts += [
        Section(f"{prefix} {part.title}", part.rows, part.same_count, part.more_count)
        for part in diff.content.sections
        if not part.is_same or part.same_count
    ]
    return parts


def _verdict(diff: PayloadDiff) -> str:
    if diff.is_same:
        return "the same bytes and metadata" if diff.metadata.rows else "the same bytes"
    if diff.same_bytes:
        return "the same bytes, other metadata"
    if diff.content.format != "raw" and diff.content.is_same:
        return f"other bytes, the same content as {diff.content.format}"
    return "the files differ"


def _counts(part: Section) -> str:
    counts = {kind: sum(row.kind == kind for row in part.rows) for kind in ("added", "removed", "changed", "type")}
    said = [f"{number} {WORDS[kind]}" for kind, number in counts.items() if number]
    said += [f"{part.more_count} more that differ"] if part.more_count else []
    return ", ".join([*said, *([f"{part.same_count} the same"] if part.same_count else [])]) or "nothing"


def _chosen(part: Section, limit: int, show_same: bool) -> tuple[Sequence[Difference], int]:
    """The rows to show, those that differ first when not all fit, and how many are left out."""
    asked = [row for row in part.rows if show_same or row.kind != "same"]
    rows = asked
    if len(rows) > limit:
        kept = {id(row) for row in sorted(rows, key=lambda row: row.kind == "same")[:limit]}
        rows = [row for row in rows if id(row) in kept]
    return rows, len(asked) - len(rows) + part.more_count


def _values(row: Difference) -> tuple[str, str, str]:
    """Both values and the change, as short texts, which differ where the values do."""
    left = "" if row.kind == "added" else _value(row.path, row.left)
    right = "" if row.kind == "removed" else _value(row.path, row.right)
    if row.kind == "changed" and left == right and not row.change:
        return _told_apart(row.left, row.right)
    return left, right, _change(row.change)


def _told_apart(left: Any, right: Any) -> tuple[str, str, str]:
    """Values that look alike: with every sign written out, from shortly before the first that differs."""
    one, two = (re.sub("(?<= ) ", r"\\u0020", json.dumps(value)) for value in (left, right))
    if one == two:
        return _cut(one), _cut(two), "they differ further on"
    place = next((n for n, (a, b) in enumerate(zip(one, two, strict=False)) if a != b), min(len(one), len(two)))
    begin = max(0, place - LEAD)
    return _cut(f"…{one[begin:]}" if begin else one), _cut(f"…{two[begin:]}" if begin else two), ""


def _value(path: str, value: Any) -> str:
    if path in ("sha256", "md5") and isinstance(value, str):
        return value[:DIGEST_DIGITS]
    # A text that cannot be seen is written out.
    return _cut(value if isinstance(value, str) and printable(value) else json.dumps(value, ensure_ascii=False))


def _change(change: Mapping[str, Any]) -> str:
    """What is said about how far two values are apart."""
    said = []
    for name, value in change.items():
        match name:
            case "difference":
                said.append(f"{value:+,}" if isinstance(value, int) else f"{value:+.6g}")
            case "relative":
                said.append(f"({100 * value:+.3g} %)")
            case "relative_l2":
                said.append(f"relative L2 {value:.3g}")
            case "l2":
                said.append(f"L2 {value:.3g}, from 0")
            case "largest":
                said.append(f"largest {value:.3g}")
            case "unlike":
                said.append(f"{value:,} numbers differ" if value != 1 else "1 number differs")
            case "not_finite":
                said.append(f"not finite: {value[0]:,} → {value[1]:,}")
            case "length":
                said.append(f"{value:+,} numbers")
            case _:
                said.append(str(value))
    return ", ".join(said).replace(", (", " (")


def _cut(text: str) -> str:
    """One line without control characters, not too long."""
    line = printable(text)
    return line if len(line) <= MAX_CELL else f"{line[: MAX_CELL - 1]}…"


def _path(text: str) -> str:
    """A path of one line; of a long one the begin and the end, where paths differ."""
    line = printable(text)
    return line if len(line) <= MAX_CELL else f"{line[:LEAD]}…{line[LEAD + 1 - MAX_CELL :]}"


def _code(text: str) -> str:
    """A code span inside a table's cell; nothing for no text."""
    if not text:
        return ""
    line = _cut(text).replace("|", "\\|")
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in line).split()), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {line} {fence}" if longest else f"{fence}{line}{fence}"


def _cell(text: str) -> str:
    """Plain words inside a table's cell, with nothing that could be markup."""
    line = printable(text)
    return "".join(f"\\{c}" if c in "\\`*_{}[]<>#|~@!" else c for c in line)
