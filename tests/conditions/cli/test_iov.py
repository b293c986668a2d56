"""`conditions iov`: add, list, close, delete."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Command = Callable[..., Any]  # the fixtures of conftest.py


def listed(done: Command, *options: str) -> list[str]:
    return [f"{record['name']} {record['iov']}" for record in done("iov", "list", "--json", *options).json]


@pytest.fixture
def filled_tag(done: Command) -> str:
    """A tag with a gain that changes at (5, 0) and a map that is always valid."""
    for name in ("gain", "map"):
        done("payload", "upload", "-", "--name", name, stdin=name)
    done("tag", "create", "t")
    for name, iov in (("gain", "0,0,4,-1"), ("gain", "5,0,-1,-1"), ("map", "always")):
        done("iov", "add", "t", name, iov)
    return "t"


def test_add_takes_the_latest_revision_or_the_one_asked_for(run_command: Command, done: Command) -> None:
    for text in ("1", "2"):
        done("payload", "upload", "-", "--name", "a", stdin=text)
    done("tag", "create", "t")
    added = done("iov", "add", "t", "a", "1,0,2,5", "--json").json
    assert (added["revision"], added["iov"]) == (2, "1,0,2,5")
    assert done("iov", "add", "t", "a", "1,0,2,5", "--revision", "1", "--json").json["revision"] == 1
    assert run_command("iov", "add", "t", "a", "always", "--revision", "3").code == 3
    assert run_command("iov", "add", "t", "b", "always").code == 3


def test_list_filters_by_name_and_run_range(done: Command, filled_tag: str) -> None:
    assert listed(done, filled_tag) == ["gain 0,0,4,-1", "gain 5,0,-1,-1", "map 0,0,-1,-1"]
    assert listed(done, filled_tag, "--name", "g*") == ["gain 0,0,4,-1", "gain 5,0,-1,-1"]
    assert listed(done, filled_tag, "--name", "[g]ain") == []
    assert listed(done, filled_tag, "--run", "4,77") == ["gain 0,0,4,-1", "map 0,0,-1,-1"]
    assert listed(done, filled_tag, "--regex", "gain", "--within", "5,1,6,0") == ["gain 5,0,-1,-1"]


def test_close_gives_an_earlier_end_in_a_run_or_an_experiment(run_command: Command, done: Command) -> None:
    done("payload", "upload", "-", "--name", "a", stdin="1")
    done("tag", "create", "t")
    number = str(done("iov", "add", "t", "a", "always", "--json").json["id"])
    assert done("iov", "close", "t", number, "--last", "7,-1", "--json").json["iov"] == "0,0,7,-1"
    assert done("iov", "close", "t", number, "--last", "7,120", "--json").json["iov"] == "0,0,7,120"
    assert run_command("iov", "close", "t", number, "--last", "8,0").code == 2
    unread = run_command("iov", "close", "t", number, "--last", "seven")
    assert unread.code == 2
    assert "'seven' is no last run: write it as EXP,RUN" in unread.err
    assert run_command("iov", "close", "t", "999999", "--last", "7,0").code == 3


def test_delete_takes_one_row_out(run_command: Command, done: Command, filled_tag: str) -> None:
    number = done("iov", "list", filled_tag, "--name", "map", "--json").json[0]["id"]
    plan = done("iov", "delete", filled_tag, str(number), "--json").json
    assert [(row["id"], row["name"]) for row in plan["deletes"]] == [(number, "map")]
    assert listed(done, filled_tag) == ["gain 0,0,4,-1", "gain 5,0,-1,-1"]
    assert run_command("iov", "delete", filled_tag, str(number)).code == 3


def test_a_published_tag_keeps_its_rows(run_command: Command, done: Command, filled_tag: str) -> None:
    done("tag", "publish", filled_tag, "--confirm", filled_tag)
    number = str(done("iov", "list", filled_tag, "--json").json[0]["id"])
    for words in (["add", filled_tag, "map", "9,0,9,0"], ["delete", filled_tag, number]):
        refused = run_command("iov", *words)
        assert refused.code == 1
        assert "which is PUBLISHED" in refused.err
    assert run_command("iov", "close", filled_tag, number, "--last", "0,1").code == 1
    assert len(listed(done, filled_tag)) == 3
