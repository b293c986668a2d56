"""One database that is used by more than one server, locked by a stranger, or brought up to date meanwhile."""

from __future__ import annotations

import io
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import requests

from conditions.client.remote import RemoteStore
from conditions.iov import IntervalOfValidity, Run
from conditions.store.session import Store
from support.server import Server, running_server
from support.stores import upload_text

OPTIONS = ["--no-access-log"]
KILLS = 3
CLIENTS = 4


def create_tag(server: Server, name: str) -> requests.Response:
    with server.session(server.token()) as session:
        return session.post(f"{server.url}/v2/globalTag/DEV", json={"name": name}, timeout=60)


def test_two_servers_of_one_file_see_each_other_at_once(sqlite_url: str, files_dir: Path) -> None:
    with (
        running_server(sqlite_url, files_dir, workers=1, options=OPTIONS) as one,
        running_server(sqlite_url, files_dir, workers=1, options=OPTIONS) as other,
        RemoteStore(one.url, token=one.token()) as left,
        RemoteStore(other.url, token=other.token()) as right,
    ):
        left.create_tag("both")
        for number in range(12):
            writer, reader = (left, right) if number % 2 else (right, left)
            payload = upload_text_to(writer, f"content {number}")
            writer.add_iov("both", "gain", payload, IntervalOfValidity.parse(f"1,{number},1,-1"))
            for _ in range(6):  # often enough to be compiled
                found = reader.resolve("both", Run(1, number), allow_open=True)
                assert found["gain"].payload.revision == number + 1
        left.publish_tag("both")
        assert right.get_tag("both").state.value == "PUBLISHED"
        assert left.verify_tag("both").digest == right.verify_tag("both").digest


def upload_text_to(remote: RemoteStore, content: str) -> int:
    return remote.upload("gain", io.BytesIO(content.encode())).revision


def test_a_database_that_a_stranger_holds_is_said_to_be_busy_and_can_be_read(sqlite_url: str, files_dir: Path) -> None:
    with running_server(f"{sqlite_url}?timeout=0.3", files_dir, options=OPTIONS) as server:
        assert create_tag(server, "before").status_code == 200
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            refused = create_tag(server, "meanwhile")
            assert (refused.status_code, refused.json()["reason"]) == (503, "StoreBusy")
            assert int(refused.headers["retry-after"]) > 0
            listed = requests.get(f"{server.url}/v2/globalTags", timeout=60).json()
            assert [tag["name"] for tag in listed] == ["before"]
            stranger.execute("ROLLBACK")
        assert create_tag(server, "after").status_code == 200


def test_bringing_a_database_up_to_date_beside_a_server_of_the_same_release_changes_nothing(spoilt: Server) -> None:
    name = spoilt.unique("upgraded")
    upgrade = [sys.executable, "-c", "from conditions.cli import main; main()", "--store", spoilt.store_url]
    running = subprocess.Popen(
        [*upgrade, "db", "upgrade"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    n_made = 0
    while running.poll() is None or not n_made:
        answer = create_tag(spoilt, f"{name}_{n_made}")
        assert answer.status_code == 200, answer.text
        n_made += 1
    assert running.returncode == 0, running.communicate()[1]
    running.communicate()


def test_killed_workers_are_not_noticed_by_clients_that_ask_again(spoilt: Server, behind: Store) -> None:
    tag = behind.create_tag(spoilt.unique("killed")).name
    payload = upload_text(behind, tag)
    ended = threading.Event()
    faults: list[str] = []
    added: list[tuple[int, int]] = []

    def work(number: int) -> None:
        with RemoteStore(spoilt.url, token=spoilt.token()) as remote:
            run = 0
            while not ended.is_set():
                try:
                    remote.add_iov(tag, payload.name, 1, IntervalOfValidity.of_run(Run(number, run)))
                    added.append((number, run))
                    assert payload.name in remote.resolve(tag, Run(number, run), allow_open=True)
                except Exception as error:
                    faults.append(repr(error))
                    return
                run += 1

    clients = [threading.Thread(target=work, args=(number,)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for _ in range(KILLS):
        before = spoilt.workers()
        while len(before) < 2:
            time.sleep(0.02)
            before = spoilt.workers()
        n_added = len(added)
        while len(added) < n_added + CLIENTS and not faults:
            time.sleep(0.01)
        os.kill(before[0], signal.SIGKILL)
        while before[0] in spoilt.workers():
            time.sleep(0.02)
    ended.set()
    for client in clients:
        client.join()
    assert faults == []
    rows = {(row.iov.first.exp, row.iov.first.run) for row in behind.list_iovs(tag)}
    assert set(added) == rows
    while len(spoilt.workers()) < 2:
        time.sleep(0.02)
