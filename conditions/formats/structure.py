"""Differences of nested plain values: which paths came, went, changed or became another type.

A path is written as in jq: `.layers[0].gain`, with `["a b"]` for a name that is no word. A long list of numbers is one
value, compared as a vector: a thousand lines would tell nobody more than how far apart the two are.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from conditions.errors import PayloadUnreadable

Kind = Literal["added", "removed", "changed", "type", "same"]
MAX_ROWS: Final = 10_000  # of one section; the rest is counted
MAX_VALUES: Final = 2_000_000  # a file of 64 MiB may hold more, and nobody reads them
MAX_DEPTH: Final = 500
VECTOR_LENGTH: Final = 12  # from here on a list of numbers is one value
SHOWN_CHARACTERS: Final = 2_000  # of a text or of a list's start that a row carries
_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_\-]*")
_ABSENT: Final = object()
_TYPES: Final[dict[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "text",
    list: "list",
    dict: "object",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One path with both values; `change` says how far numbers are apart."""

    path: str
    kind: Kind
    left: Any = None
    right: Any = None
    change: Mapping[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "path": self.path,
            "kind": self.kind,
            "left": self.left,
            "right": self.right,
            "change": dict(self.change),
        }


@dataclass(frozen=True, slots=True)
class Section:
    """What differs in one part of two files: the rows, and how many more there are that are not listed."""

    title: str
    rows: tuple[Difference, ...]
    same_count: int = 0
    more_count: int = 0

    @property
    def is_same(self) -> bool:
        """Whether nothing differs here."""
        return not self.more_count and all(row.kind == "same" for row in self.rows)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = [row.as_dict() for row in self.rows]
        return {"title": self.title, "rows": rows, "same": self.same_count, "more": self.more_count}


def section(title: str, rows: Iterable[Difference], *, keep_same: bool = False) -> Section:
    """The differences of one part, at most MAX_ROWS of them; what is the same is counted, and listed on request."""
    kept: list[Difference] = []
    same_count = more_count = 0
    for row in rows:
        if row.kind == "same":
            same_count += 1
            if not keep_same:
                continue
        if len(kept) < MAX_ROWS:
            kept.append(row)
        elif row.kind != "same":
            more_count += 1
    return Section(title, tuple(kept), same_count, more_count)


def differences(left: Any, right: Any, root: str = "") -> Iterator[Difference]:
    """Every leaf of two nested values, in order of their paths, also those that are the same.

    Raises:
        PayloadUnreadable: too many values, or nested too deeply.
    """
    waiting: list[tuple[str, Any, Any, int]] = [(root, left, right, 0)]
    for _ in range(MAX_VALUES):
        if not waiting:
            return
        path, one, two, depth = waiting.pop()
        if depth > MAX_DEPTH:
            raise PayloadUnreadable("structure", path[:100], f"it is nested more than {MAX_DEPTH} deep")
        inner = _inner(path, one, two)
        if inner is None:
            yield _leaf(path or ".", one, two)
        else:
            waiting.extend((below, a, b, depth + 1) for below, a, b in reversed(inner))
    raise PayloadUnreadable("structure", root or "the file", f"it holds more than {MAX_VALUES} values")


def opened_text(value: Any) -> Any:
    """The structure of a text that is a JSON object or list, so that its fields are compared; else the value."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def number_change(left: float, right: float) -> dict[str, Any]:
    """How far two numbers are apart."""
    try:
        difference = right - left
        relative = difference / abs(left) if left else math.nan
        if not math.isfinite(difference):
            return {}
    except OverflowError:  # an int beyond every float
        return {}
    return {"difference": difference, "relative": relative} if math.isfinite(relative) else {"difference": difference}


def plain(value: Any) -> Any:
    """A value that strict JSON can say: no NaN, no endless text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str) and len(value) > SHOWN_CHARACTERS:
        return f"{value[:SHOWN_CHARACTERS]}… ({len(value)} characters)"
    if isinstance(value, dict | list):
        text = json.dumps(value)
        if len(text) > SHOWN_CHARACTERS:
            return f"{type_name(value)} of {len(value)}: {text[:SHOWN_CHARACTERS]}…"
        return json.loads(text, parse_constant=str)
    return value


def type_name(value: Any) -> str:
    """The type of a value in JSON's words."""
    return _TYPES.get(type(value), type(value).__name__)


def below(path: str, name: str) -> str:
    """The path of an object's field."""
    return f"{path}.{name}" if _WORD.fullmatch(name) else f"{path}[{json.dumps(name, ensure_ascii=False)}]"


def _inner(path: str, one: Any, two: Any) -> list[tuple[str, Any, Any]] | None:
    """What lies inside both values, None when they are compared as they are."""
    if isinstance(one, dict) and isinstance(two, dict) and (one or two):
        return [(below(path, name), one.get(name, _ABSENT), two.get(name, _ABSENT)) for name in sorted({*one, *two})]
    if isinstance(one, list) and isinstance(two, list) and (one or two) and not _are_vectors(one, two):
        longest = range(max(len(one), len(two)))
        return [(f"{path}[{n}]", _at(one, n), _at(two, n)) for n in longest]
    return None


def _at(values: list[Any], place: int) -> Any:
    return values[place] if place < len(values) else _ABSENT


def _are_vectors(one: list[Any], two: list[Any]) -> bool:
    return max(len(one), len(two)) >= VECTOR_LENGTH and all(map(_is_number, one)) and all(map(_is_number, two))


def _leaf(path: str, one: Any, two: Any) -> Difference:
    if one is _ABSENT:
        return Difference(path, "added", None, plain(two))
    if two is _ABSENT:
        return Difference(path, "removed", plain(one), None)
    if isinstance(one, list) and isinstance(two, list):
        return _vector(path, one, two)
    if _is_number(one) and _is_number(two):
        same = one == two or (one != one and two != two)  # noqa: PLR0124 - NaN is as NaN
        change = {} if same else number_change(one, two)
        return Difference(path, "same" if same else "changed", plain(one), plain(two), change)
    if type_name(one) != type_name(two):
        return Difference(path, "type", plain(one), plain(two), {"type": f"{type_name(one)} → {type_name(two)}"})
    return Difference(path, "same" if one == two else "changed", plain(one), plain(two))


def _vector(path: str, one: list[float], two: list[float]) -> Difference:
    """Two lists of numbers, as vectors."""
    left, right = f"{len(one)} numbers", f"{len(two)} numbers"
    if len(one) != len(two):
        return Difference(path, "changed", left, right, {"length": len(two) - len(one)})
    unlike = [(a, b) for a, b in zip(one, two, strict=True) if a != b and (a == a or b == b)]  # noqa: PLR0124
    if not unlike:
        return Difference(path, "same", left, right)
    change: dict[str, Any] = {"unlike": len(unlike)}
    try:
        norm = math.hypot(*(a for a in one if math.isfinite(a)))
        apart = [abs(b - a) for a, b in unlike if math.isfinite(b - a)]
        if apart:
            change["largest"] = max(apart)
        if apart and norm:
            change["relative_l2"] = math.hypot(*apart) / norm
    except OverflowError:
        pass
    return Difference(path, "changed", left, right, change)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
