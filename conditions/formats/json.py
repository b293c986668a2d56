"""JSON files: compared by structure, so that neither white space nor the order of names makes a difference."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any, Final

from conditions.errors import PayloadUnreadable
from conditions.formats.plugin import Format
from conditions.formats.structure import Section, differences, plain, section, type_name

MAX_BYTES: Final = 64 << 20  # takes some 600 MB of memory when it is parsed
SUFFIXES: Final = (".json", ".geojson", ".ipynb")
MAX_SHOWN: Final = 200  # fields of an object that a description lists


class JsonFormat(Format):
    """One JSON value in a file."""

    name = "json"

    def recognises(self, name: str, head: bytes) -> bool:
        """By its name, or when it begins as an object with a name in it."""
        begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        return name.lower().endswith(SUFFIXES) or (begin[:1] == b"{" and begin[1:].lstrip()[:1] in (b'"', b"}"))

    def describe(self, path: Path) -> dict[str, Any]:
        """The outermost value's type and fields, and how many values of which type there are."""
        value = read_json(path)
        facts: dict[str, Any] = {"type": type_name(value)}
        if isinstance(value, dict):
            facts["fields"] = {name: _short(inner) for name, inner in sorted(value.items())[:MAX_SHOWN]}
            facts["field_count"] = len(value)
        elif isinstance(value, list):
            facts["length"] = len(value)
        else:
            facts["value"] = plain(value)
        facts["values"] = dict(sorted(_count(value).items()))
        return facts

    def compare(self, left: Path, right: Path) -> tuple[Section, ...]:
        """Paths that came, went, changed or became another type."""
        return (section("values", differences(read_json(left), read_json(right))),)


def read_json(path: Path) -> Any:
    """The value in a file.

    Raises:
        PayloadUnreadable: not JSON, or more than can be held in memory.
    """
    size_bytes = path.stat().st_size
    if size_bytes > MAX_BYTES:
        raise PayloadUnreadable("json", path, f"it has {size_bytes} bytes, JSON is read up to {MAX_BYTES}")
    try:
        return json.loads(path.read_bytes())
    except RecursionError as error:
        raise PayloadUnreadable("json", path, "it is nested too deeply") from error
    except ValueError as error:  # also text that is not in UTF, and a number of a million digits
        raise PayloadUnreadable("json", path, str(error)) from error


def _count(value: Any) -> Counter[str]:
    """How many values of each type."""
    counts: Counter[str] = Counter()
    waiting = [value]
    while waiting:
        found = waiting.pop()
        counts[type_name(found)] += 1
        if isinstance(found, dict):
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)
    return counts


def _short(value: Any) -> Any:
    """A value, or how much there is of it."""
    return f"{type_name(value)} of {len(value)}" if isinstance(value, dict | list) else plain(value)
