"""`conditions resolve`: stacks, runs and names on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conditions import JobRecord

Command = Callable[..., Any]  # the fixtures of conftest.py


@pytest.fixture
def stack(done: Command) -> tuple[str, str]:
    """Two published tags: `upper` has a gain for experiment 7, `lower` a gain and a map for ever."""
    for tag, names, iov in (("upper", ["gain"], "7,0,7,-1"), ("lower", ["gain", "map"], "always")):
        done("tag", "create", tag)
        for name in names:
            done("payload", "upload", "-", "--name", name, stdin=f"{tag} {name}")
            done("iov", "add", tag, name, iov)
        done("tag", "publish", tag, "--confirm", tag)
    return ("upper", "lower")


def test_the_first_tag_of_the_stack_wins(done: Command, stack: tuple[str, str]) -> None:
    answer = done("resolve", "--tag", "upper", "--tag", "lower", "--run", "7,120", "--run", "8,0", "--json")
    found = [(record["run"], record["name"], record["tag"]) for record in answer.json]
    assert found == [
        ("7:120", "gain", "upper"),
        ("7:120", "map", "lower"),
        ("8:0", "gain", "lower"),
        ("8:0", "map", "lower"),
    ]


@pytest.mark.parametrize("variable", ["CONDITIONS_TAGS", "BELLE2_CONDB_GLOBALTAG"])
def test_the_stack_comes_from_the_environment(
    done: Command, stack: tuple[str, str], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "upper lower")
    tags = {record["name"]: record["tag"] for record in done("resolve", "--run", "7,1", "--json").json}
    assert tags == {"gain": "upper", "map": "lower"}


def test_without_a_stack_it_is_wrong_usage_that_names_the_variables(run_command: Command) -> None:
    answer = run_command("resolve", "--run", "7,1")
    assert answer.code == 2
    assert "CONDITIONS_TAGS" in answer.err


def test_a_named_payload_that_is_missing_is_not_found(run_command: Command, stack: tuple[str, str]) -> None:
    answer = run_command("resolve", "--tag", "upper", "--run", "7,1", "--run", "8,0", "gain")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == "error: no payload 'gain' for 8:0 in upper\n"


def test_a_payload_that_looks_like_the_missing_one_is_offered(run_command: Command, first_tag: str) -> None:
    words = ["resolve", "--tag", first_tag, "--run", "7,1", "--allow-open"]
    answer = run_command(*words, "GIAN.txt")
    assert (answer.code, "(did you mean 'gain.txt'?)" in answer.err) == (3, True)


def test_only_named_payloads_are_shown(done: Command, stack: tuple[str, str]) -> None:
    answer = done("resolve", "map", "--tag", "lower", "--run", "7,1", "--json")
    assert [record["name"] for record in answer.json] == ["map"]


def test_an_open_tag_must_be_asked_for(run_command: Command, done: Command, first_tag: str) -> None:
    refused = run_command("resolve", "--tag", first_tag, "--run", "7,1")
    assert refused.code == 1
    assert "OPEN" in refused.err
    assert "gain.txt" in done("resolve", "--tag", first_tag, "--run", "7,1", "--allow-open").out


def test_an_unknown_tag_is_not_found(run_command: Command) -> None:
    assert run_command("resolve", "--tag", "nothing", "--run", "7,1").code == 3


def test_a_tag_as_it_was(done: Command, first_tag: str) -> None:
    revision = done("tag", "show", first_tag, "--json").json["content_revision"]
    done("payload", "upload", "-", "--name", "gain.txt", stdin="better")
    done("iov", "add", first_tag, "gain.txt", "always")

    def found(tag: str, *words: str) -> int:
        answer = done("resolve", "--tag", tag, "--run", "7,1", "--allow-open", "gain.txt", "--json", *words)
        return int(answer.json[0]["revision"])

    assert found(first_tag) == 2
    assert found(f"{first_tag}@{revision}") == 1
    assert found(first_tag, "--as-of", "2200-01-01") == 2


def test_a_moment_before_the_tag_is_refused(run_command: Command, first_tag: str) -> None:
    answer = run_command("resolve", "--tag", first_tag, "--run", "7,1", "--allow-open", "--as-of", "1999-01-01")
    assert answer.code == 3
    assert first_tag in answer.err


def test_a_record_is_replayed(
    done: Command, run_command: Command, stack: tuple[str, str], tmp_path: Path, files_dir: Path
) -> None:
    record = str(tmp_path / "job.json")
    told = done(
        "resolve", "--tag", "upper", "--tag", "lower", "--run", "7,120", "--run", "8,0", "--record", record, "--json"
    )
    assert done("resolve", "--replay", record, "--json").json == told.json
    done("tag", "state", "upper", "INVALID", "--confirm", "upper")
    refused = run_command("resolve", "--replay", record)
    assert refused.code == 1
    assert "gives other payloads than the record says: 7:120: tag 'upper' is INVALID" in refused.err
    damaged = next(path for path in files_dir.glob("??/*") if path.read_bytes() == b"upper gain")
    damaged.chmod(0o644)
    damaged.write_bytes(b"upper loss")
    refused = run_command("resolve", "--replay", record)
    assert refused.code == 1
    assert "is corrupt" in refused.err


def test_a_replay_asks_nothing_else(run_command: Command, tmp_path: Path) -> None:
    assert run_command("resolve", "--replay", "job.json", "--run", "7,1").code == 2
    answer = run_command("resolve", "--replay", str(tmp_path / "job.json"))
    assert (answer.code, answer.err) == (
        2,
        f"error: {tmp_path / 'job.json'} is no record of a job: No such file or directory\n",
    )
    assert run_command("resolve", "--tag", "upper").code == 2


def test_several_places_are_asked_in_order(run_command: Command, done: Command, stack: tuple[str, str]) -> None:
    answer = run_command(
        "resolve", "--store", "http://127.0.0.1:1 /nowhere/snap.sqlite", "--tag", "lower", "--run", "7,1"
    )
    assert answer.code == 1
    assert answer.err.splitlines()[-1] == (
        "error: no provider of conditions is left: "
        "http://127.0.0.1:1: Connection refused; /nowhere/snap.sqlite: there is no such file"
    )


def test_what_failed_is_no_record_that_can_be_replayed(
    run_command: Command, stack: tuple[str, str], tmp_path: Path
) -> None:
    record = tmp_path / "job.json"
    assert run_command("resolve", "--tag", "nobody", "--run", "7,1", "--record", str(record)).code == 3
    assert not record.exists()
    assert run_command("resolve", "gain", "--tag", "upper", "--run", "8,0", "--record", str(record)).code == 3
    assert json.loads(record.read_text())["failure"] == "NoPayloadForRun: no payload 'gain' for 8:0 in upper"
    again = run_command("resolve", "--replay", str(record))
    assert "the recorded job failed after what is shown here: NoPayloadForRun" in again.err


def test_a_replay_of_nothing_is_no_success(run_command: Command, tmp_path: Path) -> None:
    JobRecord().write(tmp_path / "job.json")
    answer = run_command("resolve", "--replay", str(tmp_path / "job.json"))
    assert (answer.code, answer.out) == (2, "")
    assert "nothing was asked" in answer.err


def test_a_replay_without_the_server_says_in_its_help_what_it_means(
    done: Command, run_command: Command, stack: tuple[str, str], tmp_path: Path
) -> None:
    record = str(tmp_path / "job.json")
    done("resolve", "--tag", "lower", "--run", "7,120", "--record", record)
    done("resolve", "--replay", record)
    help_text = " ".join(done("resolve", "--help").out.split())
    assert "Where nobody can be asked about the tags, that is said, and the exit code is 0" in help_text


def test_what_a_plain_snapshot_does_not_know_is_null_and_its_md5_can_be_compared(
    done: Command, stack: tuple[str, str], tmp_path: Path
) -> None:
    snapshot, record = str(tmp_path / "snap.sqlite"), tmp_path / "job.json"
    done("download", "lower", "-o", snapshot)
    words = ("resolve", "--tag", "lower", "--run", "7,120", "--json")
    ours, theirs = done(*words).json, done(*words, "--store", snapshot, "--record", str(record)).json
    assert [(each["sha256"], each["size_bytes"]) for each in theirs] == [(None, None)] * 2
    assert [each["md5"] for each in theirs] == [each["md5"] for each in ours]
    shown = done("resolve", "--tag", "lower", "--run", "7,120", "--store", snapshot).out.splitlines()[1].split()
    assert shown[-2:] == ["-", ours[0]["md5"][:12]]
    said = json.loads(record.read_text())
    assert [(tag["content_revision"], tag["digest"]) for tag in said["tags"]] == [(None, None)]
    assert {(each["sha256"], each["size_bytes"]) for each in said["payloads"]} == {(None, None)}
    assert JobRecord.read(record).to_json() == said
