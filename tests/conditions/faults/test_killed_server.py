"""The whole server killed with SIGKILL in changes: each is whole or was never begun, and can be made again."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import requests
from sqlalchemy import text

from conditions.store.session import Store
from support.processes import STRESS
from support.server import Server, running_server
from support.stores import ALWAYS, upload_text

KILLS = 2 * STRESS  # a server each; the first one while all changes wait in their transactions
MANY = 600  # rows or payloads, so that a kill can fall into the work
LONGEST_S = 0.4  # that a change takes about
SEED = 20_261_122
Act = Callable[[Server, requests.Session], requests.Response]


def kill_all(server: Server) -> None:
    """Kill the parent and its workers, as a machine that goes does."""
    for process in [server.process.pid, *server.workers()]:
        os.kill(process, signal.SIGKILL)
    server.process.wait()


def killed_in(server: Server, held: AbstractContextManager[object], wait_s: float) -> set[str]:
    """Begin all changes at once, and kill the server so long afterwards; returns which were acknowledged before."""
    done: set[str] = set()

    def ask(act: Act) -> None:
        with server.session(server.token()) as session, suppress(requests.RequestException):
            if act(server, session).ok:
                done.add(act.__name__)

    asking = [threading.Thread(target=ask, args=(act,)) for act in ACTS]
    with held:
        for thread in asking:
            thread.start()
        time.sleep(wait_s)
        kill_all(server)
    for thread in asking:
        thread.join()
    return done


@contextmanager
def nobody_commits(store: Store) -> Iterator[None]:
    """Changes begin and wait for the database while the block runs."""
    with store._writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE payload_names, tags IN EXCLUSIVE MODE"))
        yield


def upload(server: Server, session: requests.Session) -> requests.Response:
    content = b"\7" * 6_000_000
    words = json.dumps({"checksum": hashlib.md5(content, usedforsecurity=False).hexdigest()})
    parts: Any = [("json", (None, words, "application/json")), ("f", ("f", content))]
    return session.post(f"{server.url}/v2/package/dbstore/module/large/payload", files=parts, timeout=60)


def batch(server: Server, session: requests.Session) -> requests.Response:
    names = [f"part{number}" for number in range(MANY // 10)]
    document = {
        "tag": "batch",
        "create": True,
        "state": "TESTING",
        "payloads": [{"name": name} for name in names],
        "iovs": [{"name": name, "iov": f"{exp},0,{exp},-1"} for name in names for exp in range(10)],
    }
    parts: Any = [("batch", ("batch", json.dumps(document), "application/json"))]
    parts += [("payload", ("p", name.encode() * 1000)) for name in names]
    return session.post(f"{server.url}/v1/batch", files=parts, timeout=60)


def merge(server: Server, session: requests.Session) -> requests.Response:
    return session.post(f"{server.url}/v1/tags/merge/merge", json={"sources": ["left", "right"]}, timeout=60)


def running_update(server: Server, session: requests.Session) -> requests.Response:
    body = {"staging": "staging", "first_run": "1,0"}
    return session.post(f"{server.url}/v1/tags/running_update/running-update", json=body, timeout=60)


ACTS = (upload, batch, merge, running_update)


def prepare(store: Store) -> None:
    """The tags that the changes are about; the batch makes its own."""
    for tag, exps in (("left", range(0, MANY // 4, 2)), ("right", range(MANY // 4))):
        store.create_tag(tag)
        payload = upload_text(store, "gain", tag)
        store.add_iovs(tag, [(payload, ALWAYS.parse(f"{exp},0,{exp},-1")) for exp in exps])
    store.create_tag("merge")
    for tag, states in (("running_update", ["RUNNING"]), ("staging", ["TESTING", "VALIDATED"])):
        store.create_tag(tag)
        store.add_iovs(tag, [(upload_text(store, f"n{n}", tag), ALWAYS) for n in range(MANY // 10)])
        for state in states:
            store.set_state(tag, state)


def state_of(store: Store) -> dict[str, Any]:
    """Everything that each change may have changed."""
    found: dict[str, Any] = {"upload": [str(payload) for payload in store.list_payloads(pattern="large")]}
    for name in ("batch", "merge", "running_update"):
        tag = store.find_tag(name)
        if tag is None:
            found[name] = [str(payload) for payload in store.list_payloads(pattern="part*")]
            continue
        rows = [(str(row.payload), str(row.iov)) for row in store.list_iovs(name)]
        found[name] = tag.state, tag.content_revision, rows, [entry.action for entry in store.tag_history(name)]
    return found


def test_a_server_killed_in_an_upload_a_batch_a_merge_and_an_update_leaves_each_whole_or_undone(
    store: Store, store_url: str, files_dir: Path
) -> None:
    draw = random.Random(SEED)  # noqa: S311
    prepare(store)
    untouched = before = state_of(store)
    for number in range(KILLS):
        with running_server(store_url, files_dir, options=["--no-access-log"]) as server:
            if number == 0:
                assert killed_in(server, nobody_commits(store), LONGEST_S) == set()
                assert state_of(store) == untouched
                continue
            acknowledged = killed_in(server, nullcontext(), draw.uniform(0, LONGEST_S))
        found = state_of(store)
        assert {name for name in acknowledged if found[name] == untouched[name]} == set(), "acknowledged, and gone"
        assert all(found[name] == before[name] for name in before if before[name] != untouched[name])
        report = store.check(repair=True)
        assert (report.missing, report.corrupt) == ((), ())
        before = found
    with running_server(store_url, files_dir) as server, server.session(server.token()) as session:
        for act in ACTS:
            again = act(server, session)
            assert again.ok or before[act.__name__] != untouched[act.__name__], again.text
    after = state_of(store)
    for name in after:
        assert after[name] != untouched[name]
        # What the killed server did was all of it: doing it again has added nothing.
        assert before[name] in (untouched[name], after[name])
    assert len(store.list_iovs("batch")) == MANY
    assert [store.check_tag(name).ok for name in ("merge", "running_update")] == [True, True]
    assert store.check(repair=True).ok
