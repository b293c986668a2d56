"""A server as a source, over /v1 and over Belle II's wire; what is asked is counted by a proxy on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conditions import Client, Run
from conditions.client.cache import PayloadCache
from conditions.client.http_source import HttpSource
from conditions.errors import (
    BadAnswer,
    PastUnknown,
    ServerUnreachable,
    TagNotFound,
    TagNotUsable,
)
from conditions.iov import IntervalOfValidity
from conditions.store.session import Store, open_store
from conditions.tags import TagState
from support.server import Server, session_server
from support.stores import publish, tag_with, upload_text
from support.web import Web, web_server


@pytest.fixture
def server(pytestconfig: pytest.Config) -> Server:
    return session_server(pytestconfig, "sqlite")


@pytest.fixture
def store(server: Server) -> Iterator[Store]:
    """What the server serves; names of tags and payloads must be unique."""
    with open_store(server.store_url, server.files, user="tester") as opened:
        yield opened


@pytest.fixture
def proxy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """A proxy that the client is told to use, and that counts."""
    with web_server(tmp_path / "web", tmp_path / "notes") as web:
        monkeypatch.setenv("BELLE2_CONDB_PROXY", web.url)
        yield web


@pytest.fixture
def source(server: Server, tmp_path: Path) -> Iterator[HttpSource]:
    opened = HttpSource(server.url, PayloadCache(tmp_path / "cache"))
    yield opened
    opened.close()


@pytest.fixture
def published(server: Server, store: Store) -> tuple[str, str]:
    """A published tag with one payload that changes after run 5:10."""
    tag, name = server.unique("published"), server.unique("gain")
    store.create_tag(tag)
    for text, iov in (("first", "0,0,5,10"), ("second", "5,11,-1,-1")):
        store.add_iov(tag, name, upload_text(store, name, text).revision, IntervalOfValidity.parse(iov))
    publish(store, tag)
    return tag, name


def lookups(proxy: Web) -> list[str]:
    return [line.split(" ")[-1] for line in proxy.requests("/v1/resolve")]


def test_the_server_is_asked_again_only_past_what_an_answer_holds_for(
    source: HttpSource, proxy: Web, published: tuple[str, str]
) -> None:
    tag, name = published
    client = Client(source, tag)
    first = [client.get(name, Run(exp, run)) for exp in range(5) for run in range(20)]
    assert {won.payload.revision for won in first} == {1}
    assert lookups(proxy) == ["200"]
    assert client.get(name, Run(5, 11)).payload.revision == 2
    assert client.get(name, Run(5, 10)).payload.revision == 1
    assert client.get(name, Run(700, 1)).payload.revision == 2
    assert lookups(proxy) == ["200", "200"]
    assert client.resolve(Run(1, 1))[name] == first[0]  # another question: all names
    assert lookups(proxy) == ["200"] * 3
    assert len(proxy.requests("/v1/openapi.json")) == 1


def test_a_tag_that_may_change_is_shown_to_the_server_and_never_stale(
    source: HttpSource, proxy: Web, server: Server, store: Store
) -> None:
    tag, name = server.unique("running"), server.unique("gain")
    [row] = tag_with(store, tag, name)
    store.set_state(tag, TagState.RUNNING)
    client = Client(source, tag)
    for run in range(3):
        assert client.get(name, Run(1, run)).payload.revision == 1
    assert lookups(proxy) == ["200", "304", "304"]
    store.close_iov(tag, row.id, Run(1, 1))
    newer = upload_text(store, name, "newer")
    store.add_iov(tag, name, newer.revision, IntervalOfValidity.parse("1,2,-1,-1"))
    assert client.get(name, Run(1, 2)).payload.revision == newer.revision
    assert client.get(name, Run(1, 1)).payload.revision == 1
    assert "304" not in lookups(proxy)[3:4]


def test_a_tag_at_a_content_revision_cannot_change(
    source: HttpSource, proxy: Web, server: Server, store: Store
) -> None:
    tag, name = server.unique("open"), server.unique("gain")
    tag_with(store, tag, name)
    pinned = f"{tag}@{store.get_tag(tag).content_revision}"
    client = Client(source, pinned, allow_open=True)
    assert client.get(name, Run(1, 1)).payload.revision == 1
    newer = upload_text(store, name, "newer")
    store.add_iov(tag, name, newer.revision, IntervalOfValidity.always())
    assert client.get(name, Run(9, 9)).payload.revision == 1
    assert client.get(name, Run(9, 9), stack=tag).payload.revision == 2
    assert lookups(proxy) == ["200", "200"]


def test_many_runs_are_one_request(source: HttpSource, proxy: Web, store: Store, published: tuple[str, str]) -> None:
    tag, name = published
    runs = [Run(exp, run) for exp in range(8) for run in range(20)]
    found = Client(source, tag).resolve_many(runs)
    assert {run: {n: (won.payload, won.iov, won.tag) for n, won in each.items()} for run, each in found.items()} == {
        run: {n: (won.payload, won.iov, won.tag) for n, won in each.items()}
        for run, each in store.resolve_many([tag], runs).items()
    }
    assert lookups(proxy) == ["200"]
    many = [name, *(f"absent{number}" for number in range(500))]
    assert list(Client(source, tag).resolve(Run(1, 1), many)) == [name]


def test_a_file_is_fetched_once_and_known_by_md5_too(
    source: HttpSource, proxy: Web, published: tuple[str, str], tmp_path: Path
) -> None:
    tag, name = published
    client = Client(source, tag)
    for _ in range(3):
        assert client.path(client.get(name, Run(1, 1))).read_bytes() == b"first"
    assert len(proxy.requests("/v1/files/")) == 1


def test_what_the_server_refuses_is_refused_as_by_a_store(source: HttpSource, server: Server, store: Store) -> None:
    tag = server.unique("fresh")
    tag_with(store, tag, server.unique("gain"))
    with pytest.raises(TagNotUsable, match="OPEN"):
        Client(source, tag).resolve(Run(1, 1))
    with pytest.raises(TagNotFound, match="no tag 'nowhere'"):
        Client(source, "nowhere").resolve(Run(1, 1))
    with pytest.raises(PastUnknown):
        Client(source, f"{tag}@99", allow_open=True).resolve(Run(1, 1))


def test_nobody_there_and_somebody_else_there(tmp_path: Path) -> None:
    cache = PayloadCache(tmp_path / "cache")
    with web_server(tmp_path / "web", tmp_path / "notes") as web:
        url = web.url
        with pytest.raises(BadAnswer, match="neither /v1 nor Belle II's /v2 is there"):
            HttpSource(url, cache, patient=False).tag_facts(["mc16"])
    with pytest.raises(ServerUnreachable, match=url):
        HttpSource(url, cache, patient=False).tag_facts(["mc16"])


@pytest.fixture
def old_server(proxy: Web, source: HttpSource) -> HttpSource:
    """The server, without its /v1."""
    proxy.refuse("/v1/")
    return source


def test_a_server_without_v1_is_asked_over_the_wire_of_belle2(
    old_server: HttpSource, proxy: Web, store: Store, published: tuple[str, str]
) -> None:
    tag, name = published
    client = Client(old_server, tag)
    won = [client.get(name, Run(5, run)) for run in (10, 10, 11)]
    expected = [store.resolve([tag], Run(5, run))[name] for run in (10, 10, 11)]
    assert [(each.payload.revision, each.payload.md5, each.iov, each.tag) for each in won] == [
        (each.payload.revision, each.payload.md5, each.iov, each.tag) for each in expected
    ]
    assert client.path(won[2]).read_bytes() == b"second"
    methods = [(line.split(" ")[0], line.split("?")[0].split(" ")[1]) for line in proxy.requests("/v2/")]
    assert methods[:2] == [("HEAD", "/v2/globalTagStatus"), ("GET", f"/v2/globalTag/{tag}")]
    assert len(proxy.requests("/v2/iovPayloads/")) == 2  # a run of a published tag is asked for once


def test_the_wire_of_belle2_refuses_what_a_store_refuses(
    old_server: HttpSource, server: Server, store: Store, published: tuple[str, str]
) -> None:
    tag = server.unique("fresh")
    [row] = tag_with(store, tag, server.unique("gain"))
    with pytest.raises(TagNotUsable, match="OPEN"):
        Client(old_server, tag).resolve(Run(1, 1))
    assert Client(old_server, tag, allow_open=True).get(row.payload.name, Run(1, 1)).payload.md5 == row.payload.md5
    with pytest.raises(TagNotFound, match="no tag 'nowhere'"):
        Client(old_server, "nowhere").resolve(Run(1, 1))
    with pytest.raises(PastUnknown, match="knows no past"):
        Client(old_server, f"{published[0]}@1").resolve(Run(1, 1))


def test_the_highest_revision_wins_among_all_rows_the_wire_gives(
    old_server: HttpSource, server: Server, store: Store
) -> None:
    tag, name = server.unique("overlap"), server.unique("gain")
    [low] = tag_with(store, tag, name)
    high = upload_text(store, name, "higher")
    store.add_iov(tag, name, high.revision, IntervalOfValidity.parse("3,0,3,-1"))
    publish(store, tag)
    client = Client(old_server, tag)
    assert client.get(name, Run(3, 5)).payload.revision == high.revision
    assert client.get(name, Run(4, 5)).payload.revision == low.payload.revision
