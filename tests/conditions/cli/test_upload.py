"""`conditions upload`: all of a list, or nothing and every error."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Command = Callable[..., Any]  # the fixtures of conftest.py


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Two payloads on three lines, the first of which the last one replaces."""
    folder = tmp_path / "tried out"
    folder.mkdir()
    md5 = hashlib.md5(b"weights", usedforsecurity=False).hexdigest()
    (folder / "dbstore_gain_rev_1.root").write_bytes(b"old")
    (folder / "dbstore_gain_rev_2.root").write_bytes(b"new")
    (folder / f"dbstore_GATGAPgen.pth_rev_{md5[:6]}.root").write_bytes(b"weights")
    path = folder / "database.txt"
    path.write_text(
        f"# today\ndbstore/gain 1 0,0,-1,-1\ndbstore/GATGAPgen.pth {md5[:6]} 5,0,-1,-1\ndbstore/gain 2 0,0,-1,-1\n"
    )
    return path


def state_of(done: Command) -> tuple[Any, Any]:
    tags = done("tag", "list", "--json").json
    return [(tag["name"], tag["content_revision"]) for tag in tags], done("payload", "list", "--json").json


def test_a_list_goes_into_a_new_tag(done: Command, database: Path) -> None:
    answer = done("upload", str(database), "mc17", "--create", "--description", "tried out", "--json")
    assert [(row["line"], row["name"], row["revision"], row["iov"]) for row in answer.json] == [
        (3, "GATGAPgen.pth", 1, "5,0,-1,-1"),
        (4, "gain", 1, "0,0,-1,-1"),
    ]
    assert "2 IoVs are in mc17, 2 of them new" in answer.err
    assert "1 lines are replaced" in answer.err
    assert done("tag", "show", "mc17", "--json").json["description"] == "tried out"
    won = done("resolve", "--tag", "mc17", "--run", "5,1", "--allow-open", "--json").json
    assert {row["name"]: row["sha256"] for row in won} == {
        "gain": hashlib.sha256(b"new").hexdigest(),
        "GATGAPgen.pth": hashlib.sha256(b"weights").hexdigest(),
    }
    assert "0 of them new" in done("upload", str(database), "mc17").err
    assert done("payload", "list", "--json").json[1]["revision"] == 1


def test_a_dry_run_says_the_same_and_changes_nothing(done: Command, run_command: Command, database: Path) -> None:
    before = state_of(done)
    answer = done("upload", str(database), "mc17", "--create", "--dry-run", "--json")
    assert "would upload 2 new payloads and add 2 IoVs to mc17 (new)" in answer.err
    assert [row["revision"] for row in answer.json] == [None, None]
    assert state_of(done) == before
    assert run_command("upload", str(database), "mc17", "--dry-run").code == 3
    done("upload", str(database), "mc17", "--create")
    answer = done("upload", str(database), "mc17", "--dry-run", "--json")
    assert "would upload 0 new payloads" in answer.err
    assert [row["revision"] for row in answer.json] == [1, 1]


def test_every_bad_line_is_listed_and_nothing_is_uploaded(done: Command, run_command: Command, database: Path) -> None:
    before = state_of(done)
    database.write_text(database.read_text() + "dbstore/gain 3 0,0,-1,-1\ndbstore/gain 1 1,0,0,0\nnonsense\n")
    for more in ((), ("--dry-run",)):
        answer = run_command("upload", str(database), "mc17", "--create", *more)
        assert answer.code == 2
        assert [line.split(" error: ")[0] for line in answer.err.splitlines()] == [
            f"{database}:5",
            f"{database}:6",
            f"{database}:7",
            f"error: {database} is refused: 3 errors, nothing was uploaded",
        ]
    assert state_of(done) == before


def test_a_tag_that_takes_nothing_is_named_before_anything_is_uploaded(
    done: Command, run_command: Command, database: Path
) -> None:
    done("tag", "create", "frozen")
    done("tag", "state", "frozen", "TESTING")
    before = state_of(done)
    for more in ((), ("--dry-run",), ("--create",)):
        answer = run_command("upload", str(database), "frozen", *more)
        assert answer.code == 1
        assert "'frozen', which is TESTING" in answer.err
    assert run_command("upload", str(database), "absent").code == 3
    assert run_command("upload", str(database.with_name("absent.txt")), "frozen").code == 2
    assert run_command("upload", str(database), "no/name", "--create", "--dry-run").code == 2
    assert state_of(done) == before


def test_overlapping_lines_are_pointed_out(done: Command, database: Path) -> None:
    database.write_text("dbstore/gain 1 0,0,-1,-1\ndbstore/gain 2 5,0,6,-1\n")
    answer = done("upload", str(database), "mc17", "--create")
    assert "gain: several lines hold for 5,0,6,-1; in a tag the highest revision wins" in answer.err
