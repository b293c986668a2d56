"""Keys and tokens from the command line."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conditions.cli import main
from conditions.rights import Caller
from conditions.server import auth


def run(*words: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, list(words), input=text)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = str(tmp_path / "secret")
    assert run("token", "key", "-o", path).exit_code == 0
    return path


def test_a_token_is_issued_and_read(secret: str) -> None:
    rights = ["--admin", "mc.*", "--admin", "data.*", "--create-iov", "online", "--create-payload", "GAT.*"]
    issued = run("token", "issue", "--user", "ada", *rights, "--expires", "2h", "--key", secret)
    assert issued.exit_code == 0, issued.output
    caller = auth.TokenCheck(auth.read_key(Path(secret))).caller(issued.stdout.strip())
    assert caller == Caller("ada", ("mc.*", "data.*"), ("online",), ("GAT.*",))
    shown = json.loads(run("token", "show", "--json", "--key", secret, text=issued.stdout).stdout)
    assert (shown["user"], shown["admin"], shown["signature"], shown["good"]) == (
        "ada",
        ["mc.*", "data.*"],
        "good",
        True,
    )
    unchecked = json.loads(run("token", "show", "--json", issued.stdout.strip()).stdout)
    assert (unchecked["signature"], unchecked["good"]) == ("not checked", None)
    assert "--key" in unchecked["reason"]
    assert run("token", "show", issued.stdout.strip()).exit_code == 0


def test_a_pair_keeps_the_server_from_issuing(tmp_path: Path) -> None:
    made = json.loads(run("token", "key", "--pair", "-o", str(tmp_path / "key"), "--json").stdout)
    assert (made["algorithm"], made["public"]) == ("EdDSA", str(tmp_path / "key.pub"))
    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    token = run("token", "issue", "--user", "ada", "--key", made["file"]).stdout
    assert json.loads(run("token", "show", "--json", "--key", made["public"], text=token).stdout)["good"]
    refused = run("token", "issue", "--user", "ada", "--key", made["public"])
    assert (refused.exit_code, "private" in refused.stderr) == (2, True)


def test_a_key_is_not_overwritten(secret: str) -> None:
    before = Path(secret).read_bytes()
    again = run("token", "key", "-o", secret)
    assert (again.exit_code, Path(secret).read_bytes()) == (2, before)


def test_a_token_of_another_key_is_told(secret: str, tmp_path: Path) -> None:
    run("token", "key", "-o", str(tmp_path / "other"))
    token = run("token", "issue", "--user", "ada", "--key", secret).stdout
    shown = run("token", "show", "--json", "--key", str(tmp_path / "other"), text=token)
    assert (shown.exit_code, json.loads(shown.stdout)["signature"]) == (1, "refused")


def test_an_expired_token_is_told(secret: str) -> None:
    key, caller = auth.read_key(Path(secret)), Caller("ada")
    token = auth.issue(key, caller, datetime.now(UTC) - timedelta(days=1), 60)
    shown = run("token", "show", "--json", text=token)
    assert (shown.exit_code, json.loads(shown.stdout)["reason"]) == (1, "the token has expired")


@pytest.mark.parametrize(
    "words",
    [
        ["--user", "a/b"],
        ["--user", "ada", "--expires", "soon"],
        ["--user", "ada", "--expires", "0d"],
        ["--user", "ada", "--admin", "("],
        [],
    ],
)
def test_what_cannot_be_meant_is_wrong_usage(secret: str, words: list[str]) -> None:
    assert run("token", "issue", "--key", secret, *words).exit_code == 2


def test_what_is_no_token_is_wrong_usage() -> None:
    assert run("token", "show", "nonsense").exit_code == 2


def test_a_token_goes_to_a_file_of_its_owner_and_is_read_from_there(secret: str, tmp_path: Path) -> None:
    path = tmp_path / "token.txt"
    issued = run("token", "issue", "--user", "ada", "--key", secret, "-o", str(path))
    assert (issued.exit_code, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)
    assert path.read_text().strip() not in issued.output
    assert json.loads(run("token", "show", str(path), "--json", "--key", secret).stdout)["signature"] == "good"
