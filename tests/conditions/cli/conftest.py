"""The command line in this process, on a fresh store of each database."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conditions.cli import main
from conditions.store.session import open_store
from support.stores import tag_with


@dataclass(frozen=True)
class Answer:
    """What one command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """stdout, which must be JSON."""
        return json.loads(self.out)


Command = Callable[..., Answer]


@pytest.fixture
def run_command(store_url: str, files_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Run `conditions ARGS` on the test's store and give what it said; a failure that is not ours is raised."""
    monkeypatch.setenv("CONDITIONS_URL", store_url)
    monkeypatch.setenv("CONDITIONS_FILES", str(files_dir))
    monkeypatch.setenv("CONDITIONS_USER", "tester")
    runner = CliRunner()

    def run(*args: str, stdin: str | bytes | None = None) -> Answer:
        result = runner.invoke(main, args, input=stdin, prog_name="conditions", catch_exceptions=False)
        return Answer(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def done(run_command: Command) -> Command:
    """Like `run_command`, for commands that must succeed."""

    def run(*args: str, stdin: str | bytes | None = None) -> Answer:
        answer = run_command(*args, stdin=stdin)
        assert answer.code == 0, answer.err
        return answer

    return run


@pytest.fixture
def first_tag(store_url: str, files_dir: Path) -> str:
    """An OPEN tag with one payload, gain.txt, that is always valid."""
    with open_store(store_url, files_dir, user="tester") as store:
        tag_with(store, "first", "gain.txt")
    return "first"
