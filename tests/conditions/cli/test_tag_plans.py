"""`conditions tag merge`, `running-update`, `diff`, `check`: what is printed, asked and answered by exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conditions.iov import IntervalOfValidity
from conditions.store.session import open_store
from support.stores import upload_text

Command = Callable[..., Any]  # the fixtures of conftest.py
Fill = Callable[..., str]
RUNNING = "p1 r1 0,1,1,0; p1 r2 1,1,-1,-1; p2 r1 0,1,-1,-1; p3 r1 0,1,1,0; p4 r1 0,1,-1,-1; p5 r1 0,1,-1,-1"
STAGING = "p1 r3 0,0,1,8; p1 r4 1,9,1,20; p2 r2 1,5,1,20; p3 r2 0,0,-1,-1; p4 r1 0,0,1,20"
UPDATED = [
    "CLOSE p1 r2 1,1,-1,-1 -> 1,1,1,1",
    "CREATE p1 r3 1,2,1,8",
    "CREATE p1 r4 1,9,1,20",
    "CLOSE p2 r1 0,1,-1,-1 -> 0,1,1,4",
    "CREATE p2 r2 1,5,1,20",
    "CREATE p3 r2 1,2,-1,-1",
    "CLOSE p4 r1 0,1,-1,-1 -> 0,1,1,20",
]


@pytest.fixture
def fill(store_url: str, files_dir: Path) -> Fill:
    """Make a tag with rows `NAME rREVISION IOV; …` and walk it through some states."""

    def filled(tag: str, text: str, *states: str) -> str:
        with open_store(store_url, files_dir, user="tester") as store, store.transaction():
            store.create_tag(tag)
            for name, revision, iov in (line.split() for line in text.split("; ") if line):
                for number in range(1, int(revision[1:]) + 1):
                    upload_text(store, name, f"{name} {number}")
                store.add_iov(tag, name, int(revision[1:]), IntervalOfValidity.parse(iov))
            for state in states:
                store.set_state(tag, state)
        return tag

    return filled


def listed(done: Command, tag: str) -> list[str]:
    rows = done("iov", "list", tag, "--json").json
    return [f"{row['name']} r{row['revision']} {row['iov']}" for row in rows]


def test_merge_shows_the_plan_and_then_does_it(run_command: Command, done: Command, fill: Fill) -> None:
    fill("A", "p1 r2 1,0,1,10; p1 r3 1,20,1,22; p2 r1 1,0,1,-1")
    fill("B", "p1 r1 1,1,1,30; p2 r2 0,1,1,20")
    fill("all", "")
    words = ["tag", "merge", "A", "B", "--into", "all", "--within", "1,0,1,21"]
    shown = done(*words, "--dry-run")
    assert shown.out.splitlines() == [
        "CREATE p1 r2 1,0,1,10",
        "CREATE p1 r1 1,11,1,19",
        "CREATE p1 r3 1,20,1,21",
        "CREATE p2 r1 1,0,1,21",
    ]
    assert "4 to create (nothing was changed, this is a dry run)" in shown.err
    assert listed(done, "all") == []
    plan = done(*words, "--json", "--dry-run").json
    assert (plan["tag"], plan["base_revision"], plan["changes"], plan["deletes"]) == ("all", 0, [], [])
    assert plan["creates"][0]["iov"] == "1,0,1,10"
    assert done(*words, "--json", "--base-revision", "0").json == plan
    assert listed(done, "all") == ["p1 r2 1,0,1,10", "p1 r1 1,11,1,19", "p1 r3 1,20,1,21", "p2 r1 1,0,1,21"]
    refused = run_command(*words)
    assert (refused.code, refused.out) == (1, "")
    assert "it holds 4 IoVs and is none of the tags to merge" in refused.err
    changed = run_command("tag", "merge", "all", "B", "-o", "all", "--base-revision", "0")
    assert changed.code == 1
    assert "content revision 1 and no longer 0" in changed.err
    assert run_command("tag", "merge", "A", "nowhere", "-o", "all").code == 3
    assert run_command("tag", "merge", "-o", "all").code == 2


def test_an_update_is_shown_asked_for_and_done(run_command: Command, done: Command, fill: Fill) -> None:
    fill("online", RUNNING, "RUNNING")
    fill("staging", STAGING, "TESTING", "VALIDATED")
    words = ["tag", "running-update", "online", "staging", "--run", "1,2", "--allow-closed"]
    assert done(*words, "--dry-run").out.splitlines() == UPDATED
    before = listed(done, "online")
    unconfirmed = run_command(*words)
    assert unconfirmed.code == 1
    assert unconfirmed.out.splitlines() == UPDATED
    assert "asked for its name again, nothing was given" in unconfirmed.err
    assert run_command(*words, "--confirm", "offline").code == 1
    assert listed(done, "online") == before
    typed = done(*words, stdin="online\n")
    assert typed.out.splitlines() == UPDATED
    assert "4 to create, 3 to change (done)" in typed.err
    assert "p1 r3 1,2,1,8" in listed(done, "online")
    again = run_command(*words, "--confirm", "online")
    assert again.code == 1
    assert "beginning at or after 1:2" in again.err


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--full-replacement"], "CLOSE p5 r1 0,1,-1,-1 -> 0,1,1,1"),
        (["--fix-closed"], "CREATE p2 r2 1,5,-1,-1"),
        (["--fix-closed", "--full-replacement"], "CREATE p1 r4 1,9,-1,-1"),
    ],
)
def test_the_modes_of_an_update_are_options(done: Command, fill: Fill, options: list[str], line: str) -> None:
    fill("online", RUNNING, "RUNNING")
    fill("staging", STAGING, "TESTING", "VALIDATED")
    words = ["tag", "running-update", "online", "staging", "--run", "1,2", "--confirm", "online"]
    assert line in done(*words, *options).out.splitlines()


def test_an_update_that_breaks_a_rule_is_refused_with_the_payloads(run_command: Command, fill: Fill) -> None:
    fill("online", RUNNING, "RUNNING")
    fill("staging", STAGING, "TESTING", "VALIDATED")
    words = ["tag", "running-update", "online", "staging", "--confirm", "online"]
    for options, reason in (
        (["--run", "1,2"], "3 closed payloads (--allow-closed lets them end, --fix-closed opens them)"),
        (["--run", "1,2", "--simple"], "4 IoVs other than 0,0,-1,-1"),
        (["--run", "1,1", "--allow-closed"], "p1 r2 1,1,-1,-1"),
        (["--run", "1,6", "--allow-closed"], "p2 r2 1,5,1,20"),
    ):
        refused = run_command(*words, *options)
        assert (refused.code, refused.out) == (1, "")
        assert reason in refused.err
    assert run_command(*words, "--run", "1,2", "--allow-closed", "--fix-closed").code == 2
    assert run_command(*words).code == 2


def test_a_difference_is_text_a_table_or_json(run_command: Command, done: Command, fill: Fill) -> None:
    fill("old", "gain r1 always; map r1 always")
    fill("new", "gain r1 0,0,1,-1; gain r2 2,0,-1,-1; map r1 always")
    text = done("tag", "diff", "old", "new")
    lines = text.out.splitlines()
    assert [line.rpartition(" ")[0] for line in lines] == ["---", "+++", "- gain r1 2,0,-1,-1", "+ gain r2 2,0,-1,-1"]
    assert "1 of 2 payload names differ: 1 changed" in text.err
    table = done("tag", "diff", "old", "new", "--format", "md").out.splitlines()
    assert table[2:4] == ["| payload | runs | old | new |", "|---|---|---|---|"]
    assert table[4].startswith("| `gain` | 2,0,-1,-1 | r1 `sha256:")
    found = done("tag", "diff", "old", "new", "--json").json
    assert found == done("tag", "diff", "old", "new", "--format", "json").json
    assert [(each["name"], each["iov"], each["change"]) for each in found["differences"]] == [
        ("gain", "2,0,-1,-1", "changed")
    ]
    assert found["same_names"] == ["map"]
    assert run_command("tag", "diff", "old", "new", "--exit-code").code == 1
    for same in (["--name", "m*"], ["--regex", "map"], ["--within", "0,0,1,-1"]):
        answer = done("tag", "diff", "old", "new", "--exit-code", *same)
        assert answer.out == ""
        assert "old and new give out the same" in answer.err
    assert run_command("tag", "diff", "old", "newer").code == 3


def test_a_check_names_gaps_overlaps_and_damage(
    run_command: Command, done: Command, fill: Fill, files_dir: Path
) -> None:
    fill("sound", "gain r1 always")
    fine = done("tag", "check", "sound")
    assert (fine.out, "1 IoVs, 1 payloads read; gaps: 0, overlaps: 0, payload faults: 0" in fine.err) == ("", True)
    fill("holed", "gain r1 0,0,1,-1; gain r2 3,0,-1,-1; gain r1 4,0,4,-1; map r1 always")
    found = run_command("tag", "check", "holed")
    assert found.code == 1
    assert found.out.splitlines() == [
        "gap      gain 2,0,2,-1: nothing is valid there",
        "overlap  gain 4,0,4,-1: two or more are valid there, r2 wins",
    ]
    assert run_command("tag", "check", "holed", "--allow-overlaps").code == 1
    assert run_command("tag", "check", "holed", "--allow-gaps").code == 1
    meant = done("tag", "check", "holed", "--allow-overlaps", "--allow-gaps")
    assert meant.out == found.out
    assert (
        done("tag", "check", "holed", "--allow-overlaps", "--allow-gaps", "--json").json["overlaps"][0]["duplicate"]
        is False
    )
    for path in files_dir.glob("??/*"):
        path.unlink()
    lost = run_command("tag", "check", "holed", "--json").json
    assert [(fault["name"], fault["revision"]) for fault in lost["faults"]] == [("gain", 1), ("gain", 2), ("map", 1)]
    assert not lost["ok"]
    assert run_command("tag", "check", "holed", "--allow-overlaps", "--allow-gaps").code == 1
    assert run_command("tag", "check", "sound", "--no-bytes").code == 0
    assert run_command("tag", "check", "nowhere").code == 3
