"""Every help ends with an example, and the examples run, one after the other."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from conditions.cli import main

Command = Callable[..., Any]  # the fixtures of conftest.py

# The order in which the examples tell one story; the examples of the groups stand at its end.
STORY = (
    "db init",
    "db upgrade",
    "payload upload",
    "payload list",
    "payload show",
    "payload download",
    "payload diff",
    "payload dump",
    "payload verify",
    "tag create",
    "upload",
    "tag modify",
    "tag list",
    "iov add",
    "iov list",
    "tag show",
    "download",
    "snapshot show",
    "tag clone",
    "resolve",
    "tag diff",
    "tag check",
    "tag merge",
    "tag running-update",
    "iov close",
    "iov copy",
    "iov modify",
    "iov delete",
    "tag state",
    "tag publish",
    "tag history",
    "tag digest",
    "tag verify",
    "audit",
    "db check",
    "cache show",
    "cache clear",
    "token key",
    "token issue",
    "token show",
)
ENDLESS = {("serve",)}  # runs until it is stopped, as tests/conditions/server/test_workers.py does


def all_commands(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every group and command, the outermost group first."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from all_commands(inner, (*path, name))


COMMANDS = list(all_commands(main))


def help_of(path: tuple[str, ...]) -> str:
    result = CliRunner().invoke(main, [*path, "--help"], prog_name="conditions")
    assert result.exit_code == 0, result.output
    return result.stdout


def example_of(path: tuple[str, ...]) -> str:
    _, _, example = help_of(path).partition("\nExample:\n")
    return example


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "conditions")
def test_help_says_what_it_does_and_ends_with_an_example(path: tuple[str, ...]) -> None:
    text = help_of(path)
    _, _, description = text.partition("\n\n")
    assert description.startswith("  ")
    assert "--json" in text
    assert f"conditions {' '.join(path)}".strip() in example_of(path)
    assert all(line.startswith("  ") for line in example_of(path).splitlines())


def test_the_story_holds_every_command() -> None:
    groups = {(), ("cache",), ("db",), ("iov",), ("payload",), ("snapshot",), ("tag",), ("token",)}
    verbs = {" ".join(path) for path in COMMANDS if path not in groups | ENDLESS}
    assert verbs == set(STORY)
    assert len(STORY) == len(verbs)


def test_every_example_runs_in_the_order_of_the_story(
    done: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "database.txt").write_text("dbstore/demo_gain.txt 1 0,0,-1,-1\n")
    (tmp_path / "dbstore_demo_gain.txt_rev_1.root").write_text("1.5\n")
    groups = [path for path in COMMANDS if " ".join(path) not in STORY and path not in ENDLESS]
    # What the example of a running update needs: a tag that runs, and one to go on with.
    before: dict[tuple[str, ...], tuple[str, ...]] = {
        ("tag", "running-update"): (
            "tag clone user_demo_first user_demo_online",
            "tag state user_demo_online RUNNING",
            "tag clone user_demo_first user_demo_staging",
            "tag state user_demo_staging TESTING",
            "tag state user_demo_staging VALIDATED",
        )
    }
    for path in [tuple(words.split()) for words in STORY] + groups:
        echoed, _, command = example_of(path).strip().rpartition(" | ")
        program, *args = shlex.split(command)
        assert program == "conditions"
        for words in before.get(path, ()):
            done(*words.split())
        answer = done(*args, stdin=echoed.removeprefix("echo ") + "\n")
        if path == ("tag", "history"):
            assert "PUBLISHED" in answer.out
    assert (tmp_path / "copy.txt").read_text() == "1.5\n"


def test_an_example_runs_in_a_shell_with_the_installed_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDITIONS_URL", str(tmp_path / "conditions.sqlite"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    example = example_of(("payload", "upload"))
    done = subprocess.run(["sh", "-c", example], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo_gain.txt" in done.stdout


def test_help_does_not_import_the_database() -> None:
    loaded = "import sys, conditions.cli; conditions.cli.main(['tag', '--help'], standalone_mode=False)\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{loaded}print('sqlalchemy' in sys.modules, 'conditions.cli.iov' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "False False"
