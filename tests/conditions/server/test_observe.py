"""What operators see of a server of two processes: metrics that add up, a log that says who did what, its health."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from support.server import Server, running_server, session_server

LINE = re.compile(r"^conditions_requests_total\{(.*)\} (\S+)$", re.MULTILINE)


@pytest.fixture
def server(pytestconfig: pytest.Config) -> Server:
    """The server of all tests: counts are compared with those before."""
    return session_server(pytestconfig, "sqlite")


@pytest.fixture
def own_server(sqlite_url: str, files_dir: Path) -> Iterator[Server]:
    """A server to do harm to."""
    with running_server(sqlite_url, files_dir) as running:
        yield running


def wait_until(happened: Callable[[], bool]) -> None:
    """Until it is so; a test that waits for ever has failed."""
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def get(server: Server, path: str, **headers: str) -> requests.Response:
    """A request on a connection of its own, so that any of the workers may take it."""
    return requests.get(f"{server.url}{path}", headers=headers, timeout=30)


def counts(server: Server) -> dict[tuple[str, ...], float]:
    """Requests by (route, method, status)."""
    text = get(server, "/metrics").text
    found = {}
    for labels, value in LINE.findall(text):
        said = dict(re.findall(r'(\w+)="([^"]*)"', labels))
        found[said["route"], said["method"], said["status"]] = float(value)
    return found


def lines(server: Server) -> list[dict[str, Any]]:
    """The lines of the access log."""
    text = server.log.read_text()
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def test_counts_of_all_workers_add_up_and_outlive_a_worker(own_server: Server) -> None:
    for _ in range(30):
        assert get(own_server, "/v1/tags").status_code == 200
    assert get(own_server, "/v1/tags/none").status_code == 404
    assert get(own_server, "/nowhere/at/all").status_code == 404
    there = counts(own_server)
    assert there["/v1/tags", "GET", "200"] == 30
    assert there["/v1/tags/{name}", "GET", "404"] == 1
    assert there["none", "GET", "404"] == 1
    assert "conditions_workers 2.0" in get(own_server, "/metrics").text
    os.kill(own_server.workers()[0], signal.SIGKILL)
    wait_until(lambda: "conditions_workers 2.0" in get(own_server, "/metrics").text)
    assert counts(own_server)["/v1/tags", "GET", "200"] == 30


def test_durations_and_bytes_are_counted_by_route(server: Server) -> None:
    def bytes_in() -> float:
        found = re.search(r'conditions_received_bytes_total\{route="/v1/tags"\} (\S+)', get(server, "/metrics").text)
        return 0.0 if found is None else float(found[1])

    before = bytes_in()
    made = server.session(server.token()).post(f"{server.url}/v1/tags", json={"name": server.unique("counted")})
    assert bytes_in() - before == len(made.request.body or b"")
    assert 'conditions_request_seconds_count{route="/v1/tags"}' in get(server, "/metrics").text


def test_the_log_says_who_did_what_and_nothing_that_is_secret(server: Server) -> None:
    token = server.token("ada")
    answered = server.session(token).post(
        f"{server.url}/v1/tags?hidden=secret", json={"name": server.unique("logged")}, headers={"X-Request-Id": "abc-1"}
    )
    assert answered.status_code == 201
    assert answered.headers["X-Request-Id"] == "abc-1"
    assert get(server, "/v1/tags/%C3%A9").status_code == 400
    wait_until(lambda: any(line["request"] == "abc-1" for line in lines(server)))
    line = next(line for line in lines(server) if line["request"] == "abc-1")
    assert (line["user"], line["action"], line["status"], line["method"]) == ("ada", "create_tag", 201, "POST")
    assert line["bytes_out"] == len(answered.content)
    assert line["seconds"] > 0
    assert token not in server.log.read_text()
    assert "hidden" not in server.log.read_text()


def test_a_request_number_that_is_none_is_not_taken_over(server: Server) -> None:
    given = get(server, "/health", **{"X-Request-Id": 'x" y'}).headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{16}", given)


def test_a_belle2_lookup_has_a_route(server: Server) -> None:
    name, place = server.unique("looked_up"), ("/v2/iovPayloads", "GET", "200")
    server.session(server.token()).post(f"{server.url}/v1/tags", json={"name": name})
    before = counts(server).get(place, 0)
    get(server, f"/v2/iovPayloads?gtName={name}&expNumber=1&runNumber=1")
    assert counts(server)[place] == before + 1


def test_a_head_is_counted_as_one_and_sends_no_body(server: Server) -> None:
    place = "/v1/tags", "HEAD", "200"
    before, whole = counts(server).get(place, 0), get(server, "/v1/tags")
    head = requests.head(f"{server.url}/v1/tags", timeout=30)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["ETag"] == whole.headers["ETag"]
    assert head.headers["Content-Length"] == whole.headers["Content-Length"]
    assert counts(server)[place] == before + 1


def test_health_and_readiness(own_server: Server, files_dir: Path) -> None:
    assert get(own_server, "/health").json() == {"status": "ok"}
    assert get(own_server, "/ready").json() == {"status": "ok"}
    files_dir.mkdir(exist_ok=True)
    (files_dir / "store-id").unlink(missing_ok=True)
    (files_dir / "store-id").mkdir()  # what the operating system refuses to read
    answered = get(own_server, "/ready")
    assert answered.status_code == 503
    assert answered.json()["code"] == 503
    assert "the payload files cannot be reached" in answered.json()["message"]
    assert str(files_dir) not in answered.text
    assert get(own_server, "/health").status_code == 200
