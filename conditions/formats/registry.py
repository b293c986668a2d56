"""Which formats there are, which one a file has, and what is done when it cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Final, TypeVar

from conditions.errors import BadSource, ConditionsError, PayloadUnreadable
from conditions.formats.plugin import Format
from conditions.formats.raw import RawFormat
from conditions.formats.structure import Section

GROUP: Final = "conditions.formats"
# The same as in pyproject.toml: a source tree may be newer than the entry points that its installation wrote.
BUILT_IN: Final = {
    "json": "conditions.formats.json:JsonFormat",
    "onnx": "conditions.formats.onnx:OnnxFormat",
    "torch": "conditions.formats.torch:TorchFormat",
    "raw": "conditions.formats.raw:RawFormat",
}
HEAD_BYTES: Final = 4096
_RAW: Final = RawFormat()
T = TypeVar("T")


@dataclass(frozen=True)
class Description:
    """What is in a file; the notes say what could not be read, and why."""

    format: str
    facts: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """What differs between two files; `problems` are files that could not be read as what they claim to be."""

    format: str
    sections: tuple[Section, ...]
    same_bytes: bool
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Whether nothing was found that differs; the bytes may differ all the same."""
        return all(section.is_same for section in self.sections)


def formats() -> tuple[Format, ...]:
    """All formats that can be loaded: plugins first, then the built-in ones."""
    return _loaded()[0]


def broken_plugins() -> dict[str, str]:
    """Formats that cannot be loaded, by name, with the reason."""
    return dict(_loaded()[1])


def describe(path: Path, name: str | None = None) -> Description:
    """What is in a file.

    Args:
        path: the file.
        name: the payload's name, which says more than that of a file named by digest.

    Raises:
        PayloadUnreadable: it is not what it claims to be.
        BadSource: there is no such file, or it may not be read.
    """
    chosen, notes = _choose(path, name)
    return Description(chosen.name, _safely(chosen, path, lambda: chosen.describe(path)), notes)


def check(path: Path, name: str | None = None) -> str:
    """The name of the file's format, after all of it was read; raises as `describe`."""
    return describe(path, name).format


def compare(left: Path, right: Path, left_name: str | None = None, right_name: str | None = None) -> Comparison:
    """What differs between two files; those that cannot be read, or are of two kinds, are compared as bytes.

    Raises:
        BadSource: a file is not there, or may not be read.
    """
    one, notes = _choose(left, left_name)
    two, more = _choose(right, right_name)
    notes = tuple(dict.fromkeys((*notes, *more)))
    raw = _safely(_RAW, left, lambda: _RAW.compare(left, right))
    same = all(section.is_same for section in raw)
    if one.name != two.name:
        notes = (*notes, f"one file is {one.name}, the other {two.name}: they are compared as bytes")
        one = _RAW
    if one is _RAW or same:  # the same bytes need no look inside
        return Comparison(one.name, raw if one is _RAW else (), same, notes)
    try:
        return Comparison(one.name, _safely(one, left, lambda: one.compare(left, right)), same, notes)
    except PayloadUnreadable as error:
        return Comparison("raw", raw, same, notes, (str(error),))


def _choose(path: Path, name: str | None) -> tuple[Format, tuple[str, ...]]:
    """The first format that knows the file and can read it here."""
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise BadSource(path, error.strerror or str(error)) from error
    notes = [f"the format plugin {plugin!r} is broken: {reason}" for plugin, reason in broken_plugins().items()]
    for found in formats():
        if found is _RAW or not _recognises(found, name or path.name, head, notes):
            continue
        missing = found.missing()
        if missing is None:
            return found, tuple(notes)
        notes.append(missing)
    return _RAW, tuple(notes)


def _recognises(found: Format, name: str, head: bytes, notes: list[str]) -> bool:
    try:
        return found.recognises(name, head)
    except Exception as error:  # somebody else's plugin may raise anything
        notes.append(f"the format plugin {found.name!r} is broken: {_said(error)}")
        return False


def _safely(chosen: Format, path: Path, read: Callable[[], T]) -> T:
    """What reading gives; whatever a file makes a reader raise is said in our words."""
    try:
        return read()
    except ConditionsError:
        raise
    except OSError as error:
        raise BadSource(path, error.strerror or str(error)) from error
    except (Exception, MemoryError) as error:
        raise PayloadUnreadable(chosen.name, path, _said(error)) from error


@cache
def _loaded() -> tuple[tuple[Format, ...], dict[str, str]]:
    found: dict[str, Format] = {}
    broken: dict[str, str] = {}
    for point in entry_points(group=GROUP):
        if BUILT_IN.get(point.name) != point.value:
            _load(point.name, point.load, found, broken)
    for name, value in BUILT_IN.items():
        point = EntryPoint(name, value, GROUP)
        if name not in found:  # a plugin may stand for a built-in one
            _load(name, point.load, found, broken)
    return tuple(found.values()), broken


def _load(name: str, load: Callable[[], Any], found: dict[str, Format], broken: dict[str, str]) -> None:
    try:
        made = load()()
        if not isinstance(made, Format):
            raise TypeError(f"{made!r} is no Format")
    except Exception as error:  # somebody else's plugin may raise anything
        broken[name] = _said(error)
    else:
        found[name] = _RAW if name == _RAW.name and isinstance(made, RawFormat) else made


def _said(error: BaseException) -> str:
    """The first line of what an error says."""
    text = str(error).strip() or type(error).__name__
    first = text.splitlines()[0][:300]
    return first if isinstance(error, ValueError | KeyError | TypeError) else f"{type(error).__name__}: {first}"
