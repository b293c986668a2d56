"""PostgreSQL is killed and started again under load: the server says so meanwhile, loses nothing, and is well again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from conditions.store.schema import upgrade
from conditions.store.session import open_store
from support.postgres import RestartableCluster, create_database, restartable_cluster
from support.server import Server, running_server
from support.stores import publish, tag_with

ROUNDS = 2
PAUSE_S = 0.05  # of a client that was told to come back


@pytest.fixture
def cluster() -> Iterator[RestartableCluster]:
    with restartable_cluster() as running:
        yield running


class Asker(threading.Thread):
    """Asks on and on, and remembers what was neither an answer nor a word of trouble."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__(daemon=True)
        self.server, self.number = server, number
        self.ended = threading.Event()
        self.statuses: list[int] = []
        self.wrong: list[str] = []
        self.made: list[str] = []

    def run(self) -> None:
        with self.server.session(self.server.token()) as session:
            while not self.ended.is_set():
                try:
                    self.ask(session)
                except Exception as error:
                    self.wrong.append(repr(error))
                    return

    def ask(self, session: requests.Session) -> None:
        name = f"made_{self.number}_{len(self.statuses)}"
        url = self.server.url + "/v2/"
        if self.number == 0:
            answer = session.post(f"{url}globalTag/DEV", json={"name": name}, timeout=60)
            self.made += [name] if answer.status_code == 200 else []
        elif self.number == 1:
            answer = session.get(f"{url}globalTag/mc16", timeout=60)
        else:
            answer = session.get(f"{url}iovPayloads?gtName=open&expNumber=1&runNumber=1", timeout=60)
        body = answer.json()
        self.statuses.append(answer.status_code)
        if answer.status_code != 200 and (answer.status_code, body["code"]) != (503, 503):
            self.wrong.append(f"{answer.status_code} {answer.text[:200]}")
        if answer.status_code == 503 and int(answer.headers["Retry-After"]) <= 0:
            self.wrong.append("no Retry-After")
        if answer.status_code == 503:
            self.ended.wait(PAUSE_S)


def test_the_server_outlives_its_database(cluster: RestartableCluster, tmp_path: Path) -> None:
    url = create_database(cluster.url)
    upgrade(url)
    with open_store(url, tmp_path / "files", "ada") as store:
        tag_with(store, "mc16", "gain")
        publish(store, "mc16")
        tag_with(store, "open", "gain")
    with running_server(url, tmp_path / "files", options=["--no-access-log"]) as server:
        workers = server.workers()
        askers = [Asker(server, number) for number in range(3)]
        for asker in askers:
            asker.start()
        for _ in range(ROUNDS):
            grow(askers, 200, 10)
            cluster.stop()
            grow(askers[:2], 503, 3)  # the third may be answered without the database
            cluster.start()
            grow(askers, 200, 10)
        for asker in askers:
            asker.ended.set()
            asker.join(60)
        assert [asker.wrong for asker in askers] == [[], [], []]
        assert server.workers() == workers  # nobody had to be replaced
        made = {tag["name"] for tag in requests.get(f"{server.url}/v2/globalTags", timeout=60).json()}
        assert set(askers[0].made) <= made


def grow(askers: list[Asker], status: int, count: int) -> None:
    """Wait until each has that many more answers of that status."""
    wanted = [asker.statuses.count(status) + count for asker in askers]
    deadline = time.monotonic() + 60
    while any(asker.statuses.count(status) < most for asker, most in zip(askers, wanted, strict=True)):
        assert time.monotonic() < deadline, [(asker.statuses[-5:], asker.wrong) for asker in askers]
        assert all(asker.is_alive() for asker in askers), [asker.wrong for asker in askers]
        time.sleep(0.02)
