"""Wherever the conditions are kept, a job is told the same: store, server, Belle II's wire, snapshots, a chain."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conditions import Client, IntervalOfValidity, Resolved, Run
from conditions.batch import Batch, NewIov, NewPayload
from conditions.client.cache import PayloadCache
from conditions.client.chain import Chain, Provider
from conditions.client.http_source import HttpSource
from conditions.client.snapshot_files import SnapshotWithFiles
from conditions.client.transport import Source
from conditions.errors import StoreUnavailable
from conditions.store.session import Store, open_store
from conditions.tags import TagState
from support.processes import STRESS
from support.providers import snapshot_of
from support.server import Server, session_server
from support.web import Web, web_server

RUNS = [Run(exp, run) for exp in range(4) for run in range(4)]


@st.composite
def intervals(draw: st.DrawFn) -> IntervalOfValidity:
    """Any interval between the first few runs, its end perhaps open."""
    first, last = sorted((draw(st.sampled_from(RUNS)), draw(st.sampled_from(RUNS))))
    end = draw(st.sampled_from(["closed", "end of experiment", "open"]))
    numbers = {"closed": (last.exp, last.run), "end of experiment": (last.exp, -1), "open": (-1, -1)}[end]
    return IntervalOfValidity.from_tuple(first.exp, first.run, *numbers)


rows = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("012"), intervals()), min_size=1, max_size=6)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    return session_server(request.config, str(request.param))


@pytest.fixture(scope="module")
def store(server: Server) -> Iterator[Store]:
    with open_store(server.store_url, server.files, user="tester") as opened:
        yield opened


@pytest.fixture(scope="module")
def old_wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A proxy behind which a server has no /v1."""
    folder = tmp_path_factory.mktemp("proxy")
    with web_server(folder / "web", folder / "notes") as web:
        web.refuse("/v1/")
        yield web


def told(answer: Mapping[str, Resolved]) -> dict[str, tuple[object, ...]]:
    """What every provider knows of an answer."""
    return {
        name: (won.payload.revision, won.payload.md5, str(won.iov), won.tag) for name, won in sorted(answer.items())
    }


def md5_of(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def unreachable() -> Source:
    raise StoreUnavailable("the first provider", "it is down")


@given(first=rows, second=rows)
@settings(
    max_examples=8 * STRESS,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_all_providers_resolve_the_same(
    server: Server,
    store: Store,
    old_wire: Web,
    tmp_path_factory: pytest.TempPathFactory,
    first: list[tuple[str, str, IntervalOfValidity]],
    second: list[tuple[str, str, IntervalOfValidity]],
) -> None:
    names = {letter: f"{server.unique('same')}{letter}" for letter in "ab"}
    stack = [server.unique("first"), server.unique("second")]
    for tag, content in zip(stack, (first, second), strict=True):
        payloads = tuple(NewPayload(names[letter], io.BytesIO(text.encode())) for letter, text, _ in content)
        iovs = tuple(NewIov(names[letter], iov, md5=md5_of(text)) for letter, text, iov in content)
        store.submit(Batch(tag, payloads, iovs, create=True, state=TagState.PUBLISHED))
    folder = tmp_path_factory.mktemp("same")
    cache = PayloadCache(folder / "cache")
    plain = snapshot_of(store, folder / "plain.sqlite", *stack)
    detailed = snapshot_of(store, folder / "detailed.sqlite", *stack, details=True)
    expected = {run: told(store.resolve(stack, run)) for run in RUNS}
    with ExitStack() as held:
        sources: dict[str, Source] = {
            "server": HttpSource(server.url, cache),
            "plain snapshot": SnapshotWithFiles(plain, cache),
            "detailed snapshot": SnapshotWithFiles(detailed, cache),
        }
        for source in sources.values():
            held.callback(source.close)
        snapshot = sources["plain snapshot"]
        sources["chain"] = Chain([Provider("down", unreachable), Provider("up", lambda: snapshot)])
        for name, source in sources.items():
            client = Client(source, stack)
            assert {run: told(client.resolve(run)) for run in RUNS[::2]} == {r: expected[r] for r in RUNS[::2]}, name
            assert {run: told(found) for run, found in client.resolve_many(RUNS).items()} == expected, name
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BELLE2_CONDB_PROXY", old_wire.url)
            wire = HttpSource(server.url, cache)
            held.callback(wire.close)
            answers = {run: told(Client(wire, stack).resolve(run)) for run in RUNS[::3]}
            assert answers == {run: expected[run] for run in RUNS[::3]}
