"""The outermost group: exit codes, one line of error, and global options on both sides of the noun."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conditions import errors
from conditions.cli import exit_code, main

Command = Callable[..., Any]  # the fixtures of conftest.py


def test_something_unknown_is_exit_code_3_and_names_what_is_near(run_command: Command, first_tag: str) -> None:
    answer = run_command("tag", "show", "frist")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err.startswith("error: no tag 'frist' in ")
    assert answer.err.endswith("(did you mean 'first'?)\n")


def test_a_refusal_is_exit_code_1(run_command: Command, first_tag: str) -> None:
    answer = run_command("tag", "create", first_tag)
    assert answer.code == 1
    assert answer.err.startswith("error: a tag 'first' exists already")
    assert answer.err.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["tag", "create", "no/slash"],
        ["tag", "erase", "first"],
        ["iov", "add", "first", "gain.txt", "2,0,1,0"],
        ["iov", "add", "first", "gain.txt", "0,0,-1,5"],
        ["resolve", "--tag", "first", "--run", "seven"],
        ["payload", "upload", "nowhere.bin"],
        ["tag", "list", "--regex", "("],
        ["tag", "list", "--name", "a", "--regex", "b"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(run_command: Command, words: list[str]) -> None:
    answer = run_command(*words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.lower().count("error: ") == 1


def test_every_error_of_the_package_has_an_exit_code_of_its_kind() -> None:
    def made(kind: type[Exception]) -> Exception:
        return kind.__new__(kind)

    assert exit_code(made(errors.NoPayloadForRun)) == 3
    assert exit_code(made(errors.BadInterval)) == 2
    assert exit_code(made(errors.ChangeRefused)) == 1
    assert exit_code(made(errors.PayloadCorrupt)) == 1
    assert exit_code(OSError("disk")) == 1


def test_global_options_are_taken_before_the_noun_and_after_the_verb(done: Command, first_tag: str) -> None:
    before = done("--json", "tag", "show", first_tag)
    between = done("tag", "--json", "show", first_tag)
    after = done("tag", "show", first_tag, "--json")
    assert before.json == between.json == after.json
    assert before.json["name"] == first_tag


def test_an_option_beats_the_environment_and_the_inner_place_beats_the_outer(done: Command) -> None:
    assert done("tag", "create", "a", "--json").json["modified_by"] == "tester"
    assert done("--user", "outer", "tag", "create", "b", "--json").json["modified_by"] == "outer"
    assert done("--user", "outer", "tag", "create", "c", "--user", "inner", "--json").json["modified_by"] == "inner"


def test_the_belle2_name_of_the_user_counts_when_ours_is_not_set(
    done: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CONDITIONS_USER")
    monkeypatch.setenv("BELLE2_USER", "bellist")
    assert done("tag", "create", "a", "--json").json["modified_by"] == "bellist"


def test_without_a_word_the_users_own_store_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    made = CliRunner().invoke(main, ["tag", "create", "mine"])
    assert made.exit_code == 0, made.output
    assert CliRunner().invoke(main, ["tag", "list"]).stdout.splitlines()[1].startswith("mine ")
    assert (tmp_path / "data" / "conditions" / "conditions.sqlite").is_file()


def test_store_may_be_a_plain_path(done: Command, tmp_path: Path) -> None:
    done("tag", "create", "elsewhere", "--store", str(tmp_path / "other.sqlite"))
    assert (tmp_path / "other.sqlite").is_file()
    assert done("tag", "list", "--json").json == []


def test_a_repair_of_another_store_takes_nothing_from_the_one_in_the_environment(
    done: Command, first_tag: str, tmp_path: Path
) -> None:
    done("db", "check", "--repair", "--store", str(tmp_path / "trial" / "trial.sqlite"))
    done("payload", "verify", "gain.txt")


def test_a_database_that_is_not_there_is_one_line_without_the_password(run_command: Command) -> None:
    answer = run_command("tag", "list", "--store", "postgresql://me:secret@127.0.0.1:1/nothing")
    assert answer.code == 1
    assert answer.err.startswith("error: postgresql://me:***@127.0.0.1:1/nothing cannot be used")
    assert answer.err.count("\n") == 1
    assert "secret" not in answer.err


def test_a_reader_that_has_seen_enough_ends_us_without_a_traceback(tmp_path: Path) -> None:
    conditions = Path(sys.executable).parent / "conditions"
    script = f"{conditions} --store {tmp_path / 'x.sqlite'} tag list --json | true"
    ended = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
