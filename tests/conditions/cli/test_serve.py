"""What `conditions serve` refuses to begin with; how it runs is told in tests/conditions/server/test_workers.py."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from conditions.cli import main


@pytest.mark.parametrize(
    "words",
    [
        ["--max-body", "much"],
        ["--max-body", "0"],
        ["--body-idle", "0"],
        ["--port", "70000"],
        ["--workers", "0"],
        ["--public-url", "example.org"],
        ["--token-key", "/no/such/file"],
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(tmp_path: Path, words: list[str]) -> None:
    done = CliRunner().invoke(main, ["--store", str(tmp_path / "c.sqlite"), "serve", "--port", "0", *words])
    assert (done.exit_code, "listening" in done.stderr) == (2, False)
    assert not (tmp_path / "c.sqlite").exists()


def test_a_secret_from_the_environment_must_be_strong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDITIONS_SERVER_TOKEN_SECRET", "short")
    done = CliRunner().invoke(main, ["--store", str(tmp_path / "c.sqlite"), "serve", "--port", "0"])
    assert (done.exit_code, "32" in done.stderr) == (2, True)
