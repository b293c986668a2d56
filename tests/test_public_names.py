"""The public face: every name on purpose, every command with help and a place in the README."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import conditions.cli
import smartbkg.cli

README = Path(__file__).parents[1] / "README.md"
PUBLIC = ("conditions", "smartbkg", "smartbkg.framework", "smartbkg.modules", "smartbkg.generate", "smartbkg.skim")


def commands(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{' '.join(words)} lists {name} but has no such command"
        yield (*words, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))


ALL_COMMANDS = [*commands(smartbkg.cli.main, ("smartbkg",)), *commands(conditions.cli.main, ("conditions",))]


@pytest.mark.parametrize("package", PUBLIC)
def test_all_listed_names_are_there_once(package: str) -> None:
    module = importlib.import_module(package)
    assert len(set(module.__all__)) == len(module.__all__)  # their order is held by the linter
    for name in module.__all__:
        assert getattr(module, name) is not None


@pytest.mark.parametrize("package", ["conditions", "smartbkg", "smartbkg.cli", "conditions.cli"])
def test_a_package_imports_nothing_heavy(package: str) -> None:
    heavy = ("torch", "onnx", "onnxruntime", "sqlalchemy", "pythia8mc", "awkward", "matplotlib", "pyarrow")
    code = f"import sys, {package}; print(*[m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(("words", "command"), ALL_COMMANDS, ids=[" ".join(w) for w, _ in ALL_COMMANDS])
def test_every_command_has_help_with_an_example(words: tuple[str, ...], command: click.Command) -> None:
    assert command.help, f"{' '.join(words)} has no help"
    if not isinstance(command, click.Group):
        text = command.get_help(click.Context(command, info_name=" ".join(words)))
        assert "Example" in text, f"{' '.join(words)} --help shows no example"


LEAVES = [" ".join(words) for words, command in ALL_COMMANDS if not isinstance(command, click.Group)]


@pytest.mark.parametrize("words", LEAVES)
def test_every_command_stands_in_the_readme(words: str) -> None:
    assert words in README.read_text(encoding="utf-8")


def test_the_steering_file_in_the_readme_is_the_one_that_is_tested() -> None:
    text = README.read_text(encoding="utf-8")
    example = (README.parent / "smartbkg" / "examples" / "smartbkg_evtgen.py").read_text(encoding="utf-8")
    block = text.split("```python\nmain = create_path()")[1].split("```")[0]
    lines = [line.strip() for line in block.splitlines() if line.strip()]
    assert len(lines) >= 10
    assert [line for line in lines if line not in example] == []
