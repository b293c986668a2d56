"""What a line of the history changed, in words; `--json` has the whole of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from conditions.tags import AuditEntry

# Lists of rows, the last one a row alone; all other fields are single facts, and so is a number under these names.
_ROWS: Final = ("added", "iovs", "changed", "deleted", "iov")
_DIGITS: Final = 12  # of a digest, enough to tell files apart
_DULL: Final = ("content_revision", "md5", "payload_id", "id")


def change_words(entry: AuditEntry) -> str:
    """The first row that was added, changed or taken away and how many more, or what became of each fact.

    Fields and lists that this program does not know are said as they are written.
    """
    before, after = entry.before or {}, entry.after or {}
    rows = list(_row_words(before, after))
    more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
    said = [f"{rows[0]}{more}"] if rows else []
    names = [name for name, value in {**before, **after}.items() if name not in _DULL and not _is_rows(name, value)]
    said += [words for name in names if (words := _fact_words(name, before, after))]
    return ", ".join(said) or "-"


def _row_words(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """A word a row: `+NAME rREVISION IOV` for a new one, `-…` for one that went, `… -> IOV` for another interval."""
    for name in ("added", "iovs"):
        for row in _rows(name, after):
            yield f"+{_row(row)}"
    for old, new in zip(_rows("changed", before), _rows("changed", after), strict=False):
        yield f"{_row(old)} -> {new[-1]}"
    for row in _rows("deleted", before):
        yield f"-{_row(row)}"
    if "iov" in before:
        yield f"{_row(before['iov'])} -> {after['iov'][-1]}" if "iov" in after else f"-{_row(before['iov'])}"


def _is_rows(name: str, value: Any) -> bool:
    """Whether a field holds rows; a clone says under the same name how many it took over."""
    return name in _ROWS and isinstance(value, list)


def _rows(name: str, side: Mapping[str, Any]) -> Sequence[Any]:
    value = side.get(name)
    return value if isinstance(value, list) else ()


def _row(row: Sequence[Any]) -> str:
    """Payload name, revision and interval, which end every row, whether it begins with its number or not."""
    name, revision, iov = row[-3:]
    return f"{name} r{revision} {iov}"


def _fact_words(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """A fact that changed, or that is only said of one side; nothing of what is empty."""
    old, new = (_plain(name, side.get(name)) for side in (before, after))
    if old and new and old != new:
        return f"{name} {old} -> {new}"
    if old and not new:
        return f"{name} {old} -> nothing" if name in after else f"{name} {old}"
    return f"{name} {new}" if new else ""


def _plain(name: str, value: Any) -> str:
    """A value as text; empty for what says nothing."""
    if value in (None, "", [], {}):
        return ""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return ", ".join(value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text[:_DIGITS] if name.endswith(("sha256", "digest")) else text
