"""No answer is older than the last change that was acknowledged before the question was sent."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
import requests
from sqlalchemy.engine import make_url

from conditions.iov import IntervalOfValidity
from conditions.server.index import compile_index
from conditions.server.library import ASKS, Library
from conditions.server.revisions import Revisions
from conditions.store.schema import upgrade
from conditions.store.session import Store, open_store
from conditions.tags import TagState
from support.compiled import ask, until_compiled
from support.postgres import cluster, create_database
from support.processes import STRESS
from support.server import Server, running_server
from support.stores import publish, tag_with, upload_text

READERS = 4
QUERY = {"expNumber": 1, "runNumber": 1}


def n_rows(answer: requests.Response) -> int:
    assert answer.status_code == 200, answer.text
    return len(answer.json())


def test_readers_of_any_worker_see_every_change_that_was_acknowledged(server: Server) -> None:
    """One row is added at a time, all cover the run; after the first rows there is time to compile them."""
    tag, token = server.unique("stale"), server.token()
    with open_store(server.store_url, server.files, user="tester") as store:
        payload = upload_text(store, tag.replace(":", "_"))
        number = store.create_tag(tag).id
    acknowledged, stop = [0], threading.Event()
    faults: list[str] = []
    ready = [0]

    def read() -> None:
        while not stop.is_set():
            least = acknowledged[0]
            answer = ask(server, "v2/iovPayloads", QUERY | {"gtName": tag})
            ready[0] += "etag" in answer.headers
            if n_rows(answer) < least:
                faults.append(f"{n_rows(answer)} rows after {least} were acknowledged; {dict(answer.headers)}")

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        with server.session(token) as writer:
            for burst in range(2 * STRESS):
                for _ in range(20):
                    row = f"1,0,2,{acknowledged[0]}"
                    url = f"{server.url}/v2/globalTagPayload/{number},{payload.id}/payloadIov/{row}"
                    writer.post(url, timeout=30).raise_for_status()
                    acknowledged[0] += 1
                deadline = time.monotonic() + (0.5 if burst else 30)
                while not ready[0] and time.monotonic() < deadline:
                    time.sleep(0.05)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert faults == []
    assert ready[0] > 0, "no answer came from a compiled tag, so nothing was tried"


def test_published_tags_are_served_while_the_database_is_away(tmp_path: Path) -> None:
    with ExitStack() as ending, ExitStack() as database:
        url = create_database(database.enter_context(cluster()))
        upgrade(url)
        with open_store(url, tmp_path, user="tester") as store:
            tag_with(store, "fixed", "gain", "über", iov="1,0,2,-1")
            tag_with(store, "open", "gain", iov="1,0,2,-1")
            publish(store, "fixed")
        server = ending.enter_context(running_server(url, tmp_path))
        until_compiled(server, "fixed")
        until_compiled(server, "open")
        before = ask(server, "v2/iovPayloads", QUERY | {"gtName": "fixed"})
        database.close()
        for _ in range(10):
            again = ask(server, "v2/iovPayloads", QUERY | {"gtName": "fixed"})
            assert (again.status_code, again.content) == (200, before.content)
            assert ask(server, "v1/resolve", {"tag": "fixed", "run": "1,1"}).status_code == 200
        refused = ask(server, "v2/iovPayloads", QUERY | {"gtName": "open"})
        assert (refused.status_code, refused.json()["code"]) == (503, 503)
        time.sleep(1.5)  # a refresh of states fails meanwhile
        assert ask(server, "v2/iovPayloads", QUERY | {"gtName": "fixed"}).content == before.content


def test_those_who_ask_at_once_share_a_query(store: Store) -> None:
    tag_with(store, "t", "gain")

    async def all_at_once() -> tuple[Revisions, list[int]]:
        revisions = Revisions(store)
        found = await asyncio.gather(*(revisions.facts(f"{name}") for name in ["t", "u"] * 200))
        revisions.close()
        return revisions, [0 if facts is None else facts.content_revision for facts in found]

    revisions, found = asyncio.run(all_at_once())
    assert found == [1, 0] * 200
    assert revisions.n_queries <= 2


def test_who_asks_during_a_query_waits_for_the_next_one(postgres_url: str, files_dir: Path) -> None:
    """The table is locked, so the first query hangs; the second asker must see what was committed before it asked."""
    libpq = make_url(postgres_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with open_store(postgres_url, files_dir, user="tester") as store:
        tag_with(store, "t", "gain")

        async def asked() -> list[int]:
            revisions = Revisions(store)
            await revisions.facts("t")
            with psycopg.connect(libpq) as other:
                other.execute("LOCK TABLE tags IN ACCESS EXCLUSIVE MODE")
                first = asyncio.ensure_future(revisions.facts("t"))
                await asyncio.sleep(0.1)
                second = asyncio.ensure_future(revisions.facts("t"))
                await asyncio.sleep(0.1)
                other.execute("UPDATE tags SET content_revision = content_revision + 1 WHERE name = 't'")
            found = [await first, await second]
            queries = revisions.n_queries
            revisions.close()
            return [queries, *(facts.content_revision for facts in found if facts is not None)]

        queries, _, second = asyncio.run(asked())
        assert (queries, second) == (3, 2)


def test_a_database_that_was_away_is_asked_again(tmp_path: Path) -> None:
    with cluster() as admin:
        url = create_database(admin)
        upgrade(url)
        libpq = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with open_store(url, tmp_path, user="tester") as store:
            tag_with(store, "t", "gain")

            async def asked() -> list[object]:
                revisions = Revisions(store)
                found = [await revisions.facts("t"), await revisions.facts("t")]
                with psycopg.connect(libpq, autocommit=True) as other:
                    other.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
                    )
                found += [await revisions.facts("t"), await revisions.facts("t")]
                revisions.close()
                return found

            found = asyncio.run(asked())
            assert found == [found[0]] * 4


def test_a_tag_that_is_published_is_asked_about_once(store: Store) -> None:
    tag_with(store, "t", "gain")
    publish(store, "t")

    async def asked() -> TagState:
        revisions = Revisions(store)
        facts = await revisions.facts("t")
        assert facts is not None
        assert revisions.fixed == {"t": facts}
        store.set_state("t", "INVALID")
        while revisions.fixed["t"].state is TagState.PUBLISHED:
            await asyncio.sleep(0.05)
        revisions.close()
        return revisions.fixed["t"].state

    assert asyncio.run(asyncio.wait_for(asked(), 30)) is TagState.INVALID


def test_a_tag_that_cannot_be_compiled_is_left_to_the_database(
    sqlite_url: str, files_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with open_store(sqlite_url, files_dir, user="tester") as store:
        tag_with(store, "t", "gain")
        facts = store.watch_tags().facts(["t"])["t"]

    async def asked() -> None:
        library = Library(f"sqlite:///{tmp_path}/nothing/there.sqlite", tmp_path / "missing", 1 << 30, 1 << 20)
        for _ in range(ASKS):
            assert library.find(facts) is None
        while "answered by SQL" not in caplog.text:
            await asyncio.sleep(0.05)
        assert library.find(facts) is None
        library.close()

    asyncio.run(asyncio.wait_for(asked(), 60))


def test_compiled_tags_are_bounded_in_bytes(sqlite_url: str, files_dir: Path) -> None:
    with open_store(sqlite_url, files_dir, user="tester") as store:
        payload = upload_text(store)
        for tag in ("a", "b"):
            store.create_tag(tag)
            store.add_iovs(tag, [(payload, IntervalOfValidity.parse(f"1,{run},1,{run}")) for run in range(500)])
        watch = store.watch_tags()
        facts = watch.facts(["a", "b"])
        watch.close()
        most_bytes = int(1.5 * compile_index(store.tag_rows(facts["a"].id)).n_bytes)

    async def asked() -> list[bool]:
        library = Library(sqlite_url, None, most_bytes, 1 << 20)
        for name in ("a", "b"):
            while library.find(facts[name]) is None:
                await asyncio.sleep(0.02)
        held = [library.find(facts[name]) is not None for name in ("a", "b")]
        library.close()
        return held

    assert asyncio.run(asyncio.wait_for(asked(), 60)) == [False, True]
