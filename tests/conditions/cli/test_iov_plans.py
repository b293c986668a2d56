"""`conditions iov copy`, `modify`, `delete`: many rows at once, chosen by options, shown before they change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Command = Callable[..., Any]  # the fixtures of conftest.py


def listed(done: Command, tag: str) -> list[str]:
    rows = done("iov", "list", tag, "--json").json
    return [f"{row['name']} r{row['revision']} {row['iov']}" for row in rows]


@pytest.fixture
def filled_tag(done: Command) -> str:
    """A tag with a gain that changes at (5, 0) and a map that is always valid."""
    done("tag", "create", "t")
    for name, iov in (("gain", "0,0,4,-1"), ("gain", "5,0,-1,-1"), ("map", "always")):
        done("payload", "upload", "-", "--name", name, stdin=f"{name} {iov}")
        done("iov", "add", "t", name, iov)
    return "t"


def test_copy_takes_what_the_options_choose(run_command: Command, done: Command, filled_tag: str) -> None:
    done("tag", "create", "other")
    words = ["iov", "copy", filled_tag, "other", "--name", "gain", "--within", "4,0,5,5", "--cut"]
    shown = done(*words, "--dry-run")
    assert shown.out.splitlines() == ["CREATE gain r1 4,0,4,-1", "CREATE gain r2 5,0,5,5"]
    assert listed(done, "other") == []
    assert done(*words).out == shown.out
    assert listed(done, "other") == ["gain r1 4,0,4,-1", "gain r2 5,0,5,5"]
    again = done(*words)
    assert (again.out, again.err) == ("", "other: nothing to change\n")
    done("iov", "copy", filled_tag, "other", "--regex", "m.p", "--to", "9,0,9,-1")
    assert listed(done, "other")[-1] == "map r1 9,0,9,-1"
    done("tag", "state", "other", "TESTING")
    refused = run_command("iov", "copy", filled_tag, "other")
    assert refused.code == 1
    assert "which is TESTING" in refused.err


def test_modify_gives_other_runs_or_another_revision(run_command: Command, done: Command, filled_tag: str) -> None:
    words = ["iov", "modify", filled_tag, "--name", "gain"]
    assert done(*words, "--last", "4,7", "--revision", "1").out == "CLOSE gain r1 0,0,4,-1 -> 0,0,4,7\n"
    assert done(*words, "--last", "-1,-1", "--revision", "1").out == "EXTEND gain r1 0,0,4,7 -> 0,0,-1,-1\n"
    assert done(*words, "--iov", "6,0,-1,-1", "--revision", "2").out == "MOVE gain r2 5,0,-1,-1 -> 6,0,-1,-1\n"
    part = ["--within", "8,0,8,-1", "--cut", "--to-revision", "1", "--revision", "2"]
    assert done(*words, *part, "--dry-run").out.splitlines() == [
        "CLOSE gain r2 6,0,-1,-1 -> 6,0,7,-1",
        "CREATE gain r1 8,0,8,-1",
        "CREATE gain r2 9,0,-1,-1",
    ]
    number = str(done("iov", "list", filled_tag, "--name", "map", "--json").json[0]["id"])
    assert done("iov", "modify", filled_tag, "--id", number, "--first", "1,0", "--json").json["changes"][0][
        "new_iov"
    ] == ("1,0,-1,-1")
    for wrong in (
        [],
        ["--cut"],
        ["--first", "1,0", "--iov", "always"],
        ["--within", "1,0,1,1", "--cut", "--contained"],
    ):
        assert run_command(*words, *wrong).code == 2
    assert run_command("iov", "modify", filled_tag, "--first", "1,0").code == 2
    assert run_command(*words, "--to-revision", "9").code == 3
    assert run_command(*words, "--last", "5,0").code == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["delete", "t", "--name", "Gian*"], "no IoV of tag 't' matches --name Gian* (did you mean 'gain'?)"),
        (["delete", "t", "--name", "gain", "--revision", "7"], "matches --name gain --revision 7"),
        (["modify", "t", "--regex", "mop", "--first", "1,0", "--dry-run"], "--regex mop (did you mean 'map'?)"),
        (["modify", "t", "--within", "9,0,9,5", "--contained", "--first", "1,0"], "--within 9,0,9,5 --contained"),
        (["copy", "t", "other", "--name", "zzz"], "no IoV of tag 't' matches --name zzz"),
    ],
)
def test_a_choice_that_nothing_fits_is_not_found(
    run_command: Command, done: Command, filled_tag: str, words: list[str], said: str
) -> None:
    done("tag", "create", "other")
    before = listed(done, filled_tag)
    answer = run_command("iov", *words)
    assert (answer.code, answer.out) == (3, "")
    assert said in answer.err
    assert listed(done, filled_tag) == before


def test_what_is_there_already_needs_no_change(done: Command, filled_tag: str) -> None:
    again = done("iov", "modify", filled_tag, "--name", "map", "--last", "-1,-1")
    assert (again.out, again.err) == ("", "t: nothing to change\n")


@pytest.mark.parametrize("flag", ["--cut", "--contained"])
def test_what_belongs_to_a_range_of_runs_names_its_option(run_command: Command, filled_tag: str, flag: str) -> None:
    refused = run_command("iov", "delete", filled_tag, "--name", "gain", flag)
    assert (refused.code, "give --within IOV" in refused.err) == (2, True)


def test_delete_takes_rows_or_parts_of_them(run_command: Command, done: Command, filled_tag: str) -> None:
    part = ["iov", "delete", filled_tag, "--within", "4,5,5,-1", "--cut"]
    shown = done(*part, "--dry-run").out
    assert shown.splitlines() == [
        "CLOSE gain r1 0,0,4,-1 -> 0,0,4,4",
        "MOVE gain r2 5,0,-1,-1 -> 6,0,-1,-1",
        "CLOSE map r1 0,0,-1,-1 -> 0,0,4,4",
        "CREATE map r1 6,0,-1,-1",
    ]
    assert len(listed(done, filled_tag)) == 3
    assert done(*part).out == shown
    assert listed(done, filled_tag) == ["gain r1 0,0,4,4", "gain r2 6,0,-1,-1", "map r1 0,0,4,4", "map r1 6,0,-1,-1"]
    numbers = [str(row["id"]) for row in done("iov", "list", filled_tag, "--name", "map", "--json").json]
    assert run_command("iov", "delete", filled_tag, numbers[0], "999999").code == 3
    done("iov", "delete", filled_tag, *numbers)
    assert listed(done, filled_tag) == ["gain r1 0,0,4,4", "gain r2 6,0,-1,-1"]
    assert run_command("iov", "delete", filled_tag).code == 2
    assert run_command("iov", "delete", filled_tag, "--all", "--name", "gain").code == 2
    done("iov", "delete", filled_tag, "--all")
    assert listed(done, filled_tag) == []
