"""`conditions tag`: what each command prints, and that final steps ask for the name again."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

Command = Callable[..., Any]  # the fixtures of conftest.py


def names(answer: Any) -> list[str]:
    return [record["name"] for record in answer.json]


def state_of(done: Command, tag: str) -> str:
    return str(done("tag", "show", tag, "--json").json["state"])


def test_create_gives_an_open_tag_with_its_description(done: Command) -> None:
    made = done("tag", "create", "mc16", "--description", "sixteenth", "--type", "RELEASE", "--json").json
    expected = {"name": "mc16", "state": "OPEN", "type": "RELEASE", "payloads": 0, "description": "sixteenth"}
    assert {key: made[key] for key in expected} == expected


def test_list_filters_by_glob_regex_and_state(done: Command) -> None:
    for name in ("user_a_1", "user_b_1", "mc16"):
        done("tag", "create", name)
    done("tag", "state", "mc16", "TESTING")
    assert names(done("tag", "list", "--json")) == ["mc16", "user_a_1", "user_b_1"]
    assert names(done("tag", "list", "--name", "user_?_*", "--json")) == ["user_a_1", "user_b_1"]
    assert names(done("tag", "list", "--regex", "user_b.*|mc.*", "--json")) == ["mc16", "user_b_1"]
    assert names(done("tag", "list", "--regex", "user", "--json")) == []
    assert names(done("tag", "list", "--state", "testing", "--json")) == ["mc16"]


def test_list_hides_invalid_tags_unless_asked_for(done: Command) -> None:
    done("tag", "create", "bad")
    done("tag", "state", "bad", "RUNNING")
    done("tag", "state", "bad", "INVALID", "--confirm", "bad")
    assert names(done("tag", "list", "--json")) == []
    assert names(done("tag", "list", "--all", "--json")) == ["bad"]
    assert names(done("tag", "list", "--state", "INVALID", "--json")) == ["bad"]


def test_a_table_is_aligned_and_an_empty_one_leaves_stdout_empty(done: Command, first_tag: str) -> None:
    head, row = done("tag", "list").out.splitlines()
    assert head.split()[:4] == ["name", "state", "type", "payloads"]
    assert row.split()[:4] == [first_tag, "OPEN", "DEV", "1"]
    assert head.index("state") == row.index("OPEN")
    empty = done("tag", "list", "--name", "nothing*")
    assert (empty.out, empty.err) == ("", "nothing found\n")


def test_show_tells_how_often_the_contents_changed(done: Command, first_tag: str) -> None:
    assert done("tag", "show", first_tag, "--json").json["content_revision"] == 1
    assert re.search(r"^content_revision +1$", done("tag", "show", first_tag).out, re.MULTILINE)


@pytest.mark.parametrize("words", [("tag", "show"), ("tag", "list", "--name"), ("tag", "history")], ids=" ".join)
def test_times_are_shown_with_their_zone(done: Command, first_tag: str, words: tuple[str, ...]) -> None:
    times = re.findall(r"\d\d:\d\d:\d\d(.{4})", done(*words, first_tag).out)
    assert times
    assert set(times) == {" UTC"}


def test_modify_renames_and_describes(done: Command, first_tag: str) -> None:
    changed = done("tag", "modify", first_tag, "--rename", "second", "--description", "better", "--json").json
    assert (changed["name"], changed["description"], changed["payloads"]) == ("second", "better", 1)


def test_modify_relabels(done: Command, first_tag: str) -> None:
    changed = done("tag", "modify", first_tag, "--type", "RELEASE", "--json").json
    assert (changed["name"], changed["type"]) == (first_tag, "RELEASE")


def test_modify_without_a_change_is_wrong_usage(run_command: Command, first_tag: str) -> None:
    assert run_command("tag", "modify", first_tag).code == 2


def test_clone_takes_the_contents_along(done: Command, first_tag: str) -> None:
    assert done("tag", "clone", first_tag, "copy", "--json").json["payloads"] == 1


def test_a_clone_may_have_a_description_of_its_own(done: Command, first_tag: str) -> None:
    made = done("tag", "clone", first_tag, "copy", "--description", "mine", "--json").json
    assert (made["description"], made["payloads"]) == ("mine", 1)


def test_an_interval_that_begins_with_a_dash_is_no_option(run_command: Command, first_tag: str) -> None:
    answer = run_command("iov", "add", first_tag, "gain.txt", "-1,-1,-1,-1")
    assert answer.code == 2
    assert "a first run is 0,0 or later ('always' is 0,0,-1,-1)" in answer.err
    mistyped = run_command("iov", "list", first_tag, "--revison", "x")
    assert (mistyped.code, "--revison" in mistyped.err) == (2, True)


@pytest.mark.parametrize("answer", ["", "frist\n", None], ids=["nothing", "another name", "another name as option"])
def test_publish_without_the_name_again_does_nothing(
    run_command: Command, done: Command, first_tag: str, answer: str | None
) -> None:
    words = ["tag", "publish", first_tag, *(["--confirm", "frist"] if answer is None else [])]
    refused = run_command(*words, stdin=answer)
    assert (refused.code, refused.out) == (1, "")
    assert "error: tag 'first' is not published" in refused.err
    assert state_of(done, first_tag) == "OPEN"


def test_publish_takes_the_name_from_whoever_types_it(done: Command, first_tag: str) -> None:
    published = done("tag", "publish", first_tag, "--json", stdin="first\n")
    assert published.json["state"] == "PUBLISHED"
    assert "cannot be taken back" in published.err


@pytest.mark.parametrize("steps", [[], ["TESTING"], ["TESTING", "VALIDATED"], ["RUNNING"]], ids=str)
def test_publish_takes_every_step_that_is_left(done: Command, first_tag: str, steps: list[str]) -> None:
    for step in steps:
        done("tag", "state", first_tag, step)
    done("tag", "publish", first_tag, "--confirm", first_tag)
    entries = done("tag", "history", first_tag, "--json").json
    states = [entry["after"]["state"] for entry in entries if entry["action"] == "state"]
    expected = ["RUNNING", "PUBLISHED"] if steps == ["RUNNING"] else ["TESTING", "VALIDATED", "PUBLISHED"]
    assert states == expected


def test_publish_of_a_published_tag_is_refused(run_command: Command, done: Command, first_tag: str) -> None:
    done("tag", "publish", first_tag, "--confirm", first_tag)
    again = run_command("tag", "publish", first_tag, "--confirm", first_tag)
    assert again.code == 1
    assert "PUBLISHED" in again.err


def test_state_asks_for_the_name_before_it_publishes_or_invalidates(
    run_command: Command, done: Command, first_tag: str
) -> None:
    for step in ("TESTING", "VALIDATED"):
        done("tag", "state", first_tag, step)
    assert run_command("tag", "state", first_tag, "PUBLISHED", stdin="").code == 1
    assert state_of(done, first_tag) == "VALIDATED"
    done("tag", "state", first_tag, "PUBLISHED", "--confirm", first_tag)
    assert run_command("tag", "state", first_tag, "INVALID", stdin="").code == 1
    assert (
        done(
            "tag",
            "state",
            first_tag,
            "invalid",
            stdin="first\n",
        ).code
        == 0
    )
    assert state_of(done, first_tag) == "INVALID"


def test_a_step_that_skips_states_is_refused(run_command: Command, first_tag: str) -> None:
    refused = run_command("tag", "state", first_tag, "VALIDATED")
    assert refused.code == 1
    assert "TESTING" in refused.err


def test_an_unknown_tag_is_not_found_before_its_name_is_asked_for(run_command: Command) -> None:
    missing = run_command("tag", "publish", "nothing")
    assert missing.code == 3
    assert "Type its name" not in missing.err


def test_history_tells_who_did_what(done: Command, first_tag: str) -> None:
    done("tag", "modify", first_tag, "--description", "better", "--user", "other")
    entries = done("tag", "history", first_tag, "--json").json
    assert [entry["who"] for entry in entries] == ["tester", "tester", "other"]
    assert entries[-1]["before"] == {"description": ""}
    assert entries[-1]["after"] == {"description": "better"}
    assert len(done("tag", "history", first_tag).out.splitlines()) == 4
