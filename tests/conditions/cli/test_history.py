"""`conditions audit`, `tag history`, `tag digest`, `tag verify`: exit codes and output."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]  # the fixtures of conftest.py


def test_the_audit_is_filtered(done: Command, first_tag: str) -> None:
    done("tag", "create", "second", "--user", "ada")
    done("tag", "state", first_tag, "TESTING")
    assert [line["action"] for line in done("audit", "--json").json] == [
        "create",
        "upload",
        "add iovs",
        "create",
        "state",
    ]
    assert [line["subject"] for line in done("audit", "--who", "a*", "--json").json] == ["second"]
    assert [line["after"]["state"] for line in done("audit", "--action", "state", "--json").json] == ["TESTING"]
    assert len(done("audit", "--subject", "gain*", "--limit", "1", "--json").json) == 1
    assert done("audit", "--until", "2020-01-01").out == ""
    assert len(done("audit", "--since", "2020-01-01T12:00+01:00", "--json").json) == 5


def test_a_moment_that_is_none_is_wrong_usage(run_command: Command, first_tag: str) -> None:
    answer = run_command("audit", "--since", "yesterday")
    assert (answer.code, "'yesterday' is no moment" in answer.err) == (2, True)


def test_a_history_is_filtered(done: Command, first_tag: str) -> None:
    for state in ("TESTING", "VALIDATED"):
        done("tag", "state", first_tag, state)
    assert [line["action"] for line in done("tag", "history", first_tag, "--json").json][:2] == ["create", "add iovs"]
    assert [line["after"]["state"] for line in done("tag", "history", first_tag, "--limit", "1", "--json").json] == [
        "VALIDATED"
    ]
    assert len(done("tag", "history", first_tag, "--action", "state", "--who", "tester", "--json").json) == 2
    assert done("tag", "history", first_tag, "--since", "2999-01-01").out == ""


def test_a_history_says_in_words_what_changed(done: Command, first_tag: str) -> None:
    done("tag", "modify", first_tag, "--description", "better")
    done("iov", "close", first_tag, "1", "--last", "3,-1")
    for revision in "23":
        done("payload", "upload", "-", "--name", "gain.txt", stdin=revision)
    done("tag", "create", "other")
    for revision, iov in (("2", "4,0,4,-1"), ("3", "5,0,-1,-1")):
        done("iov", "add", "other", "gain.txt", iov, "--revision", revision)
    done("iov", "copy", "other", first_tag)
    done("iov", "delete", first_tag, "--revision", "3")
    done("tag", "state", first_tag, "TESTING")
    lines = done("tag", "history", first_tag).out.splitlines()
    said = [line[lines[0].index("change") :] for line in lines[1:]]
    assert said == [
        "name first, state OPEN, type DEV",
        "+gain.txt r1 0,0,-1,-1",
        "description better",
        "gain.txt r1 0,0,-1,-1 -> 0,0,3,-1",
        "+gain.txt r2 4,0,4,-1 (and 1 more), from other",
        "-gain.txt r3 5,0,-1,-1",
        "state OPEN -> TESTING",
    ]


def test_a_digest_is_the_one_of_the_lines(done: Command, run_command: Command, first_tag: str) -> None:
    line = f"gain.txt\t{hashlib.sha256(b'gain.txt').hexdigest()}\t0,0,-1,-1\n"
    expected = hashlib.sha256(line.encode()).hexdigest()
    assert done("tag", "digest", first_tag).out == f"{expected}\n"
    empty = done("tag", "digest", first_tag, "--revision", "0", "--json").json
    assert empty == {"name": first_tag, "content_revision": 0, "digest": hashlib.sha256(b"").hexdigest()}
    answer = run_command("tag", "digest", first_tag, "--revision", "7")
    assert (answer.code, "known from content revision 0 to 1" in answer.err) == (3, True)


def test_a_tag_is_verified(done: Command, run_command: Command, first_tag: str, files_dir: Path) -> None:
    done("tag", "publish", first_tag, "--confirm", first_tag)
    sound = done("tag", "verify", first_tag, "--json").json
    assert (sound["ok"], sound["faults"], sound["digest"]) == (True, [], sound["stored_digest"])
    (file,) = files_dir.glob(f"??/{hashlib.sha256(b'gain.txt').hexdigest()}")
    file.unlink()
    damaged = run_command("tag", "verify", first_tag, "--json")
    assert (damaged.code, damaged.json["ok"]) == (1, False)
    assert "'gain.txt' revision 1 has lost its file" in damaged.json["faults"][0]


@pytest.mark.parametrize("words", [["tag", "list"], ["payload", "list"], ["iov", "list", "first"]])
def test_lists_are_cut_and_chosen_by_expression(done: Command, first_tag: str, words: list[str]) -> None:
    done("tag", "clone", first_tag, "firsts")
    done("payload", "upload", "-", "--name", "gain.txt", stdin="2")
    done("iov", "add", first_tag, "gain.txt", "1,0,1,-1")
    assert len(done(*words, "--json").json) == 2
    assert len(done(*words, "--limit", "1", "--json").json) == 1
    assert len(done(*words, "--regex", "first|gain.txt", "--json").json) in (1, 2)
    assert done(*words, "--regex", "irst|ain.txt", "--json").json == []


def test_past_content_is_listed_for_a_run(done: Command, first_tag: str) -> None:
    done("iov", "close", first_tag, "1", "--last", "3,-1")
    found = done("resolve", "--tag", f"{first_tag}@1", "--run", "7,0", "--allow-open", "--json").json
    assert [(one["name"], one["tag"]) for one in found] == [("gain.txt", f"{first_tag}@1")]
    assert done("resolve", "--tag", first_tag, "--run", "7,0", "--allow-open", "--json").json == []


def test_a_clone_says_how_many_rows_it_took_over(done: Command, first_tag: str) -> None:
    done("tag", "clone", first_tag, "second")
    said = done("tag", "history", "second").out
    assert f"of {first_tag}" in said
    assert "iovs 1" in said
    assert "iovs 1" in done("audit").out
