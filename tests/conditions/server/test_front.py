"""What the layer of ready answers says is what the database says; everything else it leaves to the application."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import requests

from conditions.iov import Run
from conditions.resolve import Resolved
from conditions.server import belle2
from conditions.store.session import Store, open_store
from conditions.wire import held_from, held_json
from support.compiled import ask, fill_at_random, until_compiled
from support.server import Server
from support.stores import publish

RUNS = [Run(exp, run) for exp, run in itertools.product((0, 1, 2, 3, 4, 5, 9), (0, 3, 11, 29, 30, 48, 70))]
_tags: dict[str, str] = {}
_open_tags: dict[str, str] = {}


@pytest.fixture
def store(server: Server) -> Iterator[Store]:
    """The database behind the server."""
    with open_store(server.store_url, server.files, user="tester") as opened:
        yield opened


@pytest.fixture
def tag(server: Server, store: Store) -> str:
    """A published tag that both workers have compiled; one for each server."""
    if server.url not in _tags:
        name = server.unique("front:tag")
        fill_at_random(store, name, 300, seed=5)
        publish(store, name)
        until_compiled(server, name)
        _tags[server.url] = name
    return _tags[server.url]


@pytest.fixture
def open_tag(server: Server, store: Store, tag: str) -> str:
    """An OPEN tag with the same rows, compiled, too."""
    if server.url not in _open_tags:
        name = server.unique("front:open")
        store.clone_tag(tag, name)
        until_compiled(server, name)
        _open_tags[server.url] = name
    return _open_tags[server.url]


def belle2_query(tag: str, run: Run) -> dict[str, Any]:
    return {"gtName": tag, "expNumber": run.exp, "runNumber": run.run}


def hsf_query(tag: str, run: Run) -> dict[str, Any]:
    return {"gtName": tag, "majorIOV": run.exp, "minorIOV": run.run, "shape": "dict"}


def told(answer: Mapping[str, Resolved]) -> dict[str, tuple[str, str]]:
    return {name: (found.payload.sha256, str(found.iov)) for name, found in answer.items()}


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: row["payloadIov"]["payloadIovId"])


def test_every_covering_row_is_said_as_the_database_says_it(server: Server, store: Store, tag: str) -> None:
    for run in RUNS:
        found = ask(server, "v2/iovPayloads", belle2_query(tag, run))
        assert "etag" in found.headers
        expected = belle2.covering_json(store.covering_rows(tag, run), f"{server.url}/")
        assert in_order(found.json()) == in_order(expected)


def test_winners_are_said_as_the_database_says_them(server: Server, store: Store, tag: str) -> None:
    for run in RUNS:
        resolved = store.resolve(tag, run)
        found = ask(server, "payloadiovs/", hsf_query(tag, run))
        assert "etag" in found.headers
        assert found.json() == [belle2.hsf_json(resolved[name]) for name in sorted(resolved)]
        held = ask(server, "v1/resolve", {"tag": tag, "run": str(run)})
        assert "max-age" in held.headers["cache-control"]
        assert "vary" in held.headers  # it did not come from the database
        expected = held_json(run, store.resolve_held(tag, run))
        assert held.json() | {"holds": ""} == expected | {"holds": ""}


def test_an_answer_holds_where_it_says_that_it_does(server: Server, store: Store, tag: str) -> None:
    for run in RUNS:
        held = held_from(ask(server, "v1/resolve", {"tag": tag, "run": str(run)}).json())
        assert run in held.holds
        last = held.holds.last if isinstance(held.holds.last, Run) else run
        for other in {held.holds.first, last}:
            assert told(store.resolve(tag, other)) == told(held.answer)


def test_winners_of_some_names_are_those_of_the_database(server: Server, store: Store, tag: str) -> None:
    names = sorted(store.resolve(tag, Run(1, 11)))[1:3]
    found = ask(server, "v1/resolve", {"tag": tag, "run": "1,11", "name": names})
    assert "max-age" in found.headers["cache-control"]
    assert "vary" in found.headers
    assert [item["name"] for item in found.json()["payloads"]] == names
    assert found.json()["payloads"] == held_json(Run(1, 11), store.resolve_held(tag, Run(1, 11), names))["payloads"]
    assert found.headers["etag"] != ask(server, "v1/resolve", {"tag": tag, "run": "1,11"}).headers["etag"]


@pytest.mark.parametrize("path", ["v2/iovPayloads", "v2/iovPayloads/"])
def test_a_name_may_be_quoted_twice(server: Server, tag: str, path: str) -> None:
    plain = ask(server, path, belle2_query(tag, Run(1, 1)))
    twice = ask(server, path, belle2_query(tag.replace(":", "%3A"), Run(1, 1)))
    raw = requests.get(f"{server.url}/{path}?gtName={tag}&expNumber=1&runNumber=1", timeout=10)
    assert plain.headers["etag"] == twice.headers["etag"] == raw.headers["etag"]
    assert plain.content == twice.content == raw.content


def test_who_has_the_answer_is_told_so(server: Server, tag: str) -> None:
    for path, query in (
        ("v2/iovPayloads", belle2_query(tag, Run(1, 1))),
        ("payloadiovs/", hsf_query(tag, Run(1, 1))),
        ("v1/resolve", {"tag": tag, "run": "1,1"}),
    ):
        etag = ask(server, path, query).headers["etag"]
        for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            again = ask(server, path, query, headers={"If-None-Match": known})
            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        assert ask(server, path, query, headers={"If-None-Match": '"other"'}).status_code == 200


def test_other_answers_have_other_etags(server: Server, tag: str) -> None:
    etags = {}
    for run in RUNS:
        found = ask(server, "v2/iovPayloads", belle2_query(tag, run))
        assert etags.setdefault(found.headers["etag"], found.content) == found.content
    assert len(etags) > 10
    by_another_name = ask(server, "v2/iovPayloads", belle2_query(tag, Run(1, 1)), headers={"Host": "other.example"})
    assert by_another_name.headers["etag"] not in etags
    assert {row["payload"]["baseUrl"] for row in by_another_name.json()} == {"http://other.example/"}


def test_head_says_what_get_says_without_a_body(server: Server, tag: str) -> None:
    url = f"{server.url}/v2/iovPayloads?gtName={tag}&expNumber=1&runNumber=1"
    got, head = requests.get(url, timeout=10), requests.head(url, timeout=10)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(got.content))
    assert {n: head.headers[n] for n in ("etag", "cache-control", "content-type")} == {
        n: got.headers[n] for n in ("etag", "cache-control", "content-type")
    }


def test_rows_of_a_published_tag_may_be_kept_for_ever_and_its_winners_for_a_while(server: Server, tag: str) -> None:
    rows = ask(server, "v2/iovPayloads", belle2_query(tag, Run(1, 1)))
    winners = ask(server, "v1/resolve", {"tag": tag, "run": "1,1"})
    assert rows.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert winners.headers["cache-control"] == "public, max-age=60"


def test_an_open_tag_is_never_kept_without_asking(server: Server, open_tag: str) -> None:
    found = ask(server, "v2/iovPayloads", belle2_query(open_tag, Run(1, 1)))
    assert found.headers["cache-control"] == "no-cache"
    known = {"If-None-Match": found.headers["etag"]}
    assert ask(server, "v2/iovPayloads", belle2_query(open_tag, Run(1, 1)), headers=known).status_code == 304


def test_an_open_tag_is_resolved_only_for_who_asks_for_it(server: Server, open_tag: str) -> None:
    assert ask(server, "v1/resolve", {"tag": open_tag, "run": "1,1"}).status_code == 409
    found = ask(server, "v1/resolve", {"tag": open_tag, "run": "1,1", "allow_open": "1"})
    assert found.headers["cache-control"] == "no-cache"
    assert found.json()["tags"][0]["state"] == "OPEN"


def test_a_renamed_tag_answers_to_its_new_name_only(server: Server, store: Store, open_tag: str) -> None:
    renamed = server.unique("front:renamed")
    store.modify_tag(open_tag, new_name=renamed)
    try:
        assert ask(server, "v2/iovPayloads", belle2_query(open_tag, Run(1, 1))).status_code == 404
        found = ask(server, "v1/resolve", {"tag": renamed, "run": "1,1", "allow_open": "1"})
        assert {item["tag"] for item in found.json()["payloads"]} == {renamed}
    finally:
        store.modify_tag(renamed, new_name=open_tag)


def test_a_change_is_seen_by_who_had_the_answer_before(server: Server, store: Store, open_tag: str) -> None:
    found = ask(server, "v2/iovPayloads", belle2_query(open_tag, Run(1, 1)))
    known = {"If-None-Match": found.headers["etag"]}
    store.delete_iov(open_tag, in_order(found.json())[0]["payloadIov"]["payloadIovId"])
    changed = ask(server, "v2/iovPayloads", belle2_query(open_tag, Run(1, 1)), headers=known)
    assert changed.status_code == 200
    assert in_order(changed.json()) == in_order(found.json())[1:]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("gtName={tag}&expNumber=1", 400),
        ("gtName={tag}&expNumber=1&runNumber=x", 400),
        ("gtName={tag}&expNumber=-1&runNumber=1", 400),
        ("gtName={tag}&expNumber=1&runNumber=2147483647", 400),
        ("gtName={tag}&expNumber=1&runNumber=99999999999999999999", 400),
        ("gtName={tag}&expNumber=1&runNumber=%D9%A1", 400),
        ("expNumber=1&runNumber=1", 400),
        ("gtName=&expNumber=1&runNumber=1", 400),
        ("gtName={tag}&expNumber=1&runNumber=1&runNumber=x", 400),
        ("gtName=nothing&expNumber=1&runNumber=1", 404),
        ("gtName=%00&expNumber=1&runNumber=1", 400),
        ("gtName={tag}&expNumber=1&runNumber=1&more=2", 200),
        ("runNumber=1&expNumber=1&gtName={tag}", 200),
    ],
)
def test_what_is_not_the_plain_question_is_the_application_s_matter(
    server: Server, tag: str, query: str, status: int
) -> None:
    found = requests.get(f"{server.url}/v2/iovPayloads?{query.format(tag=tag)}", timeout=10)
    assert found.status_code == status
    assert found.headers["content-type"] == "application/json"
    if status >= 400:
        assert found.json()["code"] == status


def test_a_tag_that_turned_invalid_is_refused_where_winners_are_asked_for(
    server: Server, store: Store, tag: str
) -> None:
    name = server.unique("front:invalid")
    store.clone_tag(tag, name)
    publish(store, name)
    until_compiled(server, name)
    store.set_state(name, "INVALID")
    for path, query in (
        ("v1/resolve", {"tag": name, "run": "1,1"}),
        ("payloadiovs/", hsf_query(name, Run(1, 1))),
    ):
        for _ in range(400):
            found = ask(server, path, query)
            if found.status_code != 200:
                break
            time.sleep(0.05)
        assert found.status_code == 409
        assert found.json()["code"] == 409
    rows = ask(server, "v2/iovPayloads", belle2_query(name, Run(1, 1)))
    assert rows.status_code == 200
    assert rows.json() != []


def test_other_methods_are_the_application_s_matter(server: Server, tag: str) -> None:
    found = requests.post(f"{server.url}/v2/iovPayloads?gtName={tag}&expNumber=1&runNumber=1", timeout=10)
    assert (found.status_code, found.json()["code"]) == (405, 405)
