"""The commands of tag managers against a server: the same words, the same answers, the same exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conditions.cli import main
from support.server import Server, session_server

Run = Callable[..., Any]


@pytest.fixture
def server(pytestconfig: pytest.Config) -> Server:
    return session_server(pytestconfig, "postgresql")


@pytest.fixture
def run(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run `conditions ARGS` against the server, as ada by a token file."""
    (tmp_path / "token").write_text(server.token("ada"))
    monkeypatch.setenv("CONDITIONS_URL", server.url)
    monkeypatch.setenv("CONDITIONS_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("CONDITIONS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()

    def called(*args: str, code: int = 0, stdin: str | None = None) -> Any:
        result = runner.invoke(main, ["--json", *args], input=stdin, prog_name="conditions", catch_exceptions=False)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout) if code == 0 else result.stderr

    return called


def test_a_tag_goes_its_way_from_creation_to_publication(run: Run, server: Server, tmp_path: Path) -> None:
    first, second = server.unique("first"), server.unique("second")
    run("tag", "create", first, "--description", "over a server")
    kept = run("payload", "upload", "-", "--name", f"{first}.txt", "--meta", "auc=0.91", stdin="1.5\n")
    assert (kept["revision"], kept["created_by"]) == (1, "ada")
    added = run("iov", "add", first, f"{first}.txt", "0,0,-1,-1")
    assert [each["id"] for each in run("iov", "list", first, "--run", "7,120")] == [added["id"]]
    assert run("iov", "close", first, str(added["id"]), "--last", "7,-1")["iov"] == "0,0,7,-1"
    assert run("tag", "clone", first, second)["state"] == "OPEN"
    assert run("tag", "diff", first, second)["differences"] == []
    found = run("resolve", "--tag", first, "--run", "7,120", "--allow-open")
    assert [(each["name"], each["iov"]) for each in found] == [(f"{first}.txt", "0,0,7,-1")]
    run("payload", "download", f"{first}.txt", "-o", "copy.txt")
    assert (tmp_path / "copy.txt").read_text() == "1.5\n"
    assert run("payload", "verify", f"{first}.txt")[0]["problem"] is None
    assert run("tag", "publish", second, "--confirm", second)["state"] == "PUBLISHED"
    assert [tag["name"] for tag in run("tag", "list", "--name", f"{second}*")] == [second]
    assert {entry["who"] for entry in run("tag", "history", second)} == {"ada"}
    run("iov", "delete", first, str(added["id"]))
    assert run("iov", "list", first) == []


def test_refusals_have_the_same_exit_codes(run: Run, server: Server) -> None:
    name = server.unique("refused")
    run("tag", "create", name)
    assert f"a tag '{name}' exists already" in run("tag", "create", name, code=1)
    assert f"in {server.url}" in run("tag", "show", f"{name}_none", code=3)
    assert "only the letters" in run("tag", "create", "no/tag", code=2)


def test_what_a_server_cannot_be_asked_is_wrong_usage(run: Run) -> None:
    assert "where the database is" in run("db", "check", code=2)
    assert "where the database is" in run("db", "upgrade", code=2)
    assert "--user means nothing" in run("tag", "list", "--user", "eve", code=2)


def test_store_names_a_database_although_the_environment_names_a_server(run: Run, tmp_path: Path) -> None:
    local = str(tmp_path / "local.sqlite")
    assert run("db", "init", "--store", local)["store"] == f"sqlite:///{local}"
    assert run("--store", local, "tag", "list") == []
    assert run("db", "check", "--store", f"sqlite:///{local}")["ok"]
