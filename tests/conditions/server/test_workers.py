"""The processes of a server: how they start, are replaced, and end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from sqlalchemy import create_engine, text

from conditions.server import auth
from conditions.store.schema import upgrade
from conditions.store.session import open_store
from support.server import Server, running_server

SERVE = [sys.executable, "-c", "from conditions.cli import main; main()"]


@pytest.fixture
def fresh(tmp_path: Path) -> tuple[str, Path]:
    """Database and payload folder for a server of one test."""
    return f"sqlite:///{tmp_path}/c.sqlite", tmp_path / "payloads"


def wait_for(what: Callable[[], object], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


def is_well(server: Server) -> bool:
    return requests.get(f"{server.url}/v2/globalTags", timeout=20).status_code == 200


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def serve_in_vain(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CONDITIONS_", "BELLE2_"))}
    command = [*SERVE, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_killed_workers_are_replaced_and_the_address_stays(fresh: tuple[str, Path]) -> None:
    with running_server(*fresh, workers=2) as server:
        before = set(server.workers())
        assert len(before) == 2
        for worker in before:
            os.kill(worker, signal.SIGKILL)
        wait_for(lambda: len(set(server.workers()) - before) == 2)
        assert is_well(server)


def test_a_request_that_runs_is_finished_when_the_server_is_stopped(fresh: tuple[str, Path]) -> None:
    with running_server(*fresh, workers=1) as server:
        where = urlsplit(server.url)
        with socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=20) as slow:
            body = b'{"name": "late"}'
            head = f"POST /v2/globalTag/DEV HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token()}\r\n"
            slow.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5])
            wait_for(lambda: is_well(server))
            server.process.send_signal(signal.SIGTERM)
            wait_for(lambda: refuses(server))
            slow.sendall(body[5:])
            answer = slow.recv(65_536)
        assert answer.startswith(b"HTTP/1.1 200"), answer
        assert server.process.wait(20) == 0
    with open_store(fresh[0]) as store:
        assert store.get_tag("late").name == "late"


def refuses(server: Server) -> bool:
    try:
        requests.get(f"{server.url}/v2/globalTagStatus", timeout=20)
    except requests.ConnectionError:
        return True
    return False


def test_a_stopped_server_leaves_no_process(fresh: tuple[str, Path]) -> None:
    with running_server(*fresh) as server:
        workers = server.workers()
        with requests.Session() as idle:  # a connection that is kept alive does not keep the server
            assert idle.get(f"{server.url}/v2/globalTags", timeout=20).status_code == 200
            assert server.stop(signal.SIGINT) == 0
        assert not any(map(alive, workers))
        log = server.log.read_text(encoding="utf-8", errors="replace")
        assert "Traceback" not in log, log


def test_workers_end_when_their_parent_is_killed(fresh: tuple[str, Path]) -> None:
    with running_server(*fresh) as server:
        workers = server.workers()
        server.process.kill()
        server.process.wait()
        wait_for(lambda: not any(map(alive, workers)))


@pytest.mark.parametrize("advice", ["conditions db init", "conditions db upgrade"])
def test_a_database_that_is_not_up_to_date_is_refused_before_any_worker(
    empty_postgres_url: str, tmp_path: Path, advice: str
) -> None:
    if advice == "conditions db upgrade":
        upgrade(empty_postgres_url)
        engine = create_engine(empty_postgres_url)
        with engine.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        engine.dispose()
    done = serve_in_vain("--store", empty_postgres_url, "--files", str(tmp_path), "serve", "--port", "0")
    assert done.returncode == 1
    assert advice in done.stderr
    assert "listening" not in done.stderr


def test_a_server_that_has_no_place_for_payload_files_does_not_begin(postgres_url: str) -> None:
    done = serve_in_vain("--store", postgres_url, "serve", "--port", "0")
    assert (done.returncode, "listening" in done.stderr) == (1, False)
    assert "set CONDITIONS_FILES" in done.stderr


def test_a_private_key_that_checks_tokens_is_too_much(fresh: tuple[str, Path], tmp_path: Path) -> None:
    private, public = auth.make_pair()
    for name, content in (("key", private), ("key.pub", public)):
        auth.write_private(tmp_path / name, content)
    for name, warned in (("key", True), ("key.pub", False)):
        with running_server(*fresh, workers=1, options=["--token-key", str(tmp_path / name)]) as server:
            log = server.log.read_text(encoding="utf-8", errors="replace")
            assert ("is a private key; a server needs the public one only" in log) is warned


def test_a_port_that_is_taken_is_said(fresh: tuple[str, Path]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = serve_in_vain("--store", fresh[0], "serve", "--port", str(port))
    assert (done.returncode, str(port) in done.stderr) == (1, True)


def test_a_bad_key_is_said(fresh: tuple[str, Path], tmp_path: Path) -> None:
    (tmp_path / "short").write_text("short")
    done = serve_in_vain("--store", fresh[0], "serve", "--port", "0", "--token-key", str(tmp_path / "short"))
    assert (done.returncode, "32" in done.stderr) == (2, True)


def test_without_a_key_nothing_can_be_changed_and_the_server_says_so(fresh: tuple[str, Path]) -> None:
    with running_server(*fresh, workers=1, writable=False) as server:
        assert "read-only" in server.log.read_text()
        for headers in ({}, {"Authorization": f"Bearer {server.token()}"}):
            answer = requests.post(f"{server.url}/v2/globalTag/DEV", json={"name": "x"}, headers=headers, timeout=20)
            assert (answer.status_code, answer.json()["reason"]) == (403, "ReadOnly")
            assert requests.get(f"{server.url}/v2/globalTags", headers=headers, timeout=20).json() == []
