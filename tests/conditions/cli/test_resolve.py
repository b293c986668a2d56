"""`conditions resolve`: stacks, runs and names on the command line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

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
