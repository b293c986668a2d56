"""Plugins: found by entry point, named when broken, replaced by bytes when a library is missing."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from conditions.formats import broken_plugins, check, compare, describe, formats, registry
from conditions.formats.plugin import Format
from conditions.formats.structure import Section

ROOT = Path(__file__).parents[3]


class Lines(Format):
    """A plugin of somebody else's."""

    name = "lines"

    def recognises(self, name: str, head: bytes) -> bool:
        return name.endswith(".lines")

    def describe(self, path: Path) -> dict[str, Any]:
        return {"lines": path.read_text().count("\n")}

    def compare(self, left: Path, right: Path) -> tuple[Section, ...]:
        return (Section("lines", ()),)


class Clumsy(Lines):
    """One that breaks whatever it is asked."""

    name = "clumsy"

    def recognises(self, name: str, head: bytes) -> bool:
        raise KeyError(name)


class Unfinished:
    """None at all."""


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """These plugins, as if they were installed."""
    values = {"lines": f"{__name__}:Lines", "unfinished": f"{__name__}:Unfinished", "gone": "no_such_module:Format",
              "clumsy": f"{__name__}:Clumsy"}  # fmt: skip
    points = [EntryPoint(name, value, registry.GROUP) for name, value in values.items()]
    monkeypatch.setitem(sys.modules, __name__, sys.modules[Lines.__module__])
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    registry._loaded.cache_clear()
    yield
    registry._loaded.cache_clear()


def test_the_entry_points_of_this_package_are_the_built_in_formats() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][registry.GROUP]
    assert declared == registry.BUILT_IN
    assert [each.name for each in formats()][-1] == "raw"
    assert broken_plugins() == {}


def test_a_plugin_is_asked_first(plugins: None, tmp_path: Path) -> None:
    path = tmp_path / "a.lines"
    path.write_text("x\ny\n")
    assert check(path) == "lines"
    assert describe(path).facts == {"lines": 2}
    path.write_text("{}")
    assert check(path, "a.json") == "json"


def test_a_broken_plugin_is_named_and_nothing_else_fails(plugins: None, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x")
    found = describe(path)
    assert found.format == "raw"
    assert set(broken_plugins()) == {"unfinished", "gone"}
    for name in ("unfinished", "gone", "clumsy"):
        assert any(repr(name) in note for note in found.notes), name


def test_files_of_two_formats_are_compared_as_bytes(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "b.txt").write_text("x")
    found = compare(tmp_path / "a.json", tmp_path / "b.txt")
    assert found.format == "raw"
    assert found.notes == ("one file is json, the other raw: they are compared as bytes",)


@pytest.mark.parametrize(("library", "name"), [("torch", "a.pth"), ("onnx", "a.onnx")])
def test_without_the_library_a_file_is_bytes_and_the_extra_is_named(tmp_path: Path, library: str, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from pathlib import Path\nfrom conditions.formats import describe\n"
        f"found = describe(Path({str(tmp_path / name)!r})); print(found.format, *found.notes)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"raw {library} is not installed")
    assert "smartbkg[train]" in done.stdout
