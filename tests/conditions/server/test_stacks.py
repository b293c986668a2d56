"""Stacks of compiled tags, and what is said of tags: as the database says it, and without one."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import conditions
from conditions.cli import main
from conditions.iov import Run
from conditions.store.schema import upgrade
from conditions.store.session import Store, open_store
from conditions.tags import TagState
from conditions.wire import facts_json, held_from, held_json
from support.compiled import ask, fill_at_random, until_compiled
from support.postgres import RestartableCluster, create_database, restartable_cluster
from support.server import Server, running_server
from support.stores import publish, tag_with

RUNS = [Run(exp, run) for exp, run in itertools.product((0, 1, 3, 9), (0, 11, 29, 48))]
REFRESHED_S = 10.0
_stacks: dict[str, list[str]] = {}


@pytest.fixture
def store(server: Server) -> Iterator[Store]:
    """The database behind the server."""
    with open_store(server.store_url, server.files, user="tester") as opened:
        yield opened


@pytest.fixture
def stack(server: Server, store: Store) -> list[str]:
    """Two published tags that both workers have compiled; the names of their payloads overlap. One for each server."""
    if server.url not in _stacks:
        first, second = server.unique("stack:first"), server.unique("stack:second")
        fill_at_random(store, first, 20, seed=5)
        fill_at_random(store, second, 100, seed=6)
        few = [row for row in store.list_iovs(first) if row.payload.name.endswith((".0", ".1"))]
        store.add_iovs(second, [(row.payload, row.iov) for row in few])
        for tag in (first, second):
            publish(store, tag)
            until_compiled(server, tag)
        _stacks[server.url] = [first, second]
    return _stacks[server.url]


@pytest.mark.parametrize("turned", [False, True])
def test_the_winners_of_a_stack_are_those_of_the_database(
    server: Server, store: Store, stack: list[str], turned: bool
) -> None:
    tags = stack[::-1] if turned else stack
    for run in RUNS:
        found = ask(server, "v1/resolve", {"tag": tags, "run": str(run)})
        assert "vary" in found.headers  # it did not come from the database
        assert found.json() | {"holds": ""} == held_json(run, store.resolve_held(tags, run)) | {"holds": ""}
        held = held_from(found.json())
        last = held.holds.last if isinstance(held.holds.last, Run) else run
        for other in {held.holds.first, last}:
            assert store.resolve(tags, other) == store.resolve(tags, run)


def test_a_name_that_no_tag_has_is_no_question_for_the_database(server: Server, store: Store, stack: list[str]) -> None:
    run = Run(1, 11)
    name = sorted(store.resolve(stack, run))[0]
    for tags in (stack, stack[:1], stack[1:]):
        found = ask(server, "v1/resolve", {"tag": tags, "run": str(run), "name": [name, "nobody.txt"]})
        assert "vary" in found.headers
        expected = held_json(run, store.resolve_held(tags, run, [name, "nobody.txt"]))
        assert found.json()["payloads"] == expected["payloads"]


def test_a_stack_with_a_tag_that_may_change_is_never_stale(server: Server, store: Store, stack: list[str]) -> None:
    grows, name = server.unique("grows"), server.unique("gain")
    tag_with(store, grows, name, iov="0,0,0,0")
    tags, query = [stack[0], grows], {"run": "7,1", "name": name, "allow_open": "1"}
    until_compiled(server, grows)
    for n_rows in range(2):
        found = ask(server, "v1/resolve", {"tag": tags, **query})
        assert len(found.json()["payloads"]) == n_rows
        facts = ask(server, "v1/facts", {"tag": tags}).json()["tags"]
        assert facts == [facts_json(each) for each in store.tag_facts(tags)]
        store.add_iov(grows, name, None, conditions.IntervalOfValidity.parse("7,0,7,9"))
    assert len(ask(server, "v1/resolve", {"tag": tags, **query}).json()["payloads"]) == 1


def test_who_asks_for_no_such_tag_or_for_the_past_is_told_by_the_application(server: Server, stack: list[str]) -> None:
    assert ask(server, "v1/facts", {"tag": [*stack, "nobody"]}).status_code == 404
    assert ask(server, "v1/resolve", {"tag": [*stack, "nobody"], "run": "1,1"}).status_code == 404
    assert ask(server, "v1/facts", {}).status_code == 400
    past = ask(server, "v1/facts", {"tag": [f"{stack[0]}@1"]})
    assert [each["content_revision"] for each in past.json()["tags"]] == [1]


def test_a_stack_with_a_tag_that_became_invalid_is_refused(server: Server, store: Store) -> None:
    tags = [server.unique("kept"), server.unique("given:up")]
    for tag in tags:
        tag_with(store, tag, server.unique("gain"))
        publish(store, tag)
        until_compiled(server, tag)
    assert "vary" in ask(server, "v1/resolve", {"tag": tags, "run": "1,1"}).headers
    store.set_state(tags[1], TagState.INVALID)
    deadline, in_a_row = time.monotonic() + REFRESHED_S, 0
    while in_a_row < 16:  # by both workers
        assert time.monotonic() < deadline
        refused = ask(server, "v1/resolve", {"tag": tags, "run": "1,1"}).status_code == 409
        in_a_row = in_a_row + 1 if refused else 0


@pytest.fixture(scope="module")
def cluster() -> Iterator[RestartableCluster]:
    with restartable_cluster() as running:
        yield running


def test_a_job_with_published_tags_needs_no_database(
    cluster: RestartableCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDITIONS_CACHE", str(tmp_path / "cache"))
    url = create_database(cluster.url)
    upgrade(url)
    with open_store(url, tmp_path / "files", "ada") as store:
        tag_with(store, "front", "gain", iov="0,0,5,0")
        tag_with(store, "base", "gain", "noise")
        tag_with(store, "open", "gain")
        publish(store, "front")
        publish(store, "base")
        tags = ["front", "base"]
        expected = {run: store.resolve(tags, run) for run in (Run(1, 1), Run(7, 1))}
        digests = [facts.digest for facts in store.tag_facts(tags)]
    with running_server(url, tmp_path / "files", workers=1) as server:
        for tag in (*tags, "open"):
            until_compiled(server, tag)
        cluster.stop()
        try:
            with conditions.open(server.url, tags) as client:
                for run, winners in expected.items():
                    found = client.resolve(run)
                    assert {name: won.payload.sha256 for name, won in found.items()} == {
                        name: won.payload.sha256 for name, won in winners.items()
                    }
                assert [client.tags[tag].digest for tag in tags] == digests
                assert client.find("nobody.txt", Run(1, 1)) is None
            words = ["--json", "--store", server.url, "resolve", "--tag", "front", "--tag", "base"]
            for runs in (["1,1"], ["1,1", "7,1"]):
                asked = [word for run in runs for word in ("--run", run)]
                done = CliRunner().invoke(main, [*words, *asked])
                assert done.exit_code == 0, done.output
                assert len(json.loads(done.stdout)) == 2 * len(runs)
            with conditions.open([server.url, server.url], tags) as chained:
                assert set(chained.resolve(Run(1, 1))) == {"gain", "noise"}
            for path in ("v1/resolve", "v1/facts"):
                query = (
                    {"tag": [*tags, "open"], "run": "1,1", "allow_open": "1"}
                    if path == "v1/resolve"
                    else {"tag": "open"}
                )
                assert ask(server, path, query).status_code == 503
        finally:
            cluster.start()
