"""A server whose disk is full: it says so in JSON, keeps nothing of what it refused, reads on, and goes on later."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from conditions.store.session import open_store
from support.server import Server, running_server
from support.small_disk import SIZE_BYTES, on_small_disk

TOO_LARGE_FOR_SPOOL = 2 * SIZE_BYTES
TOO_LARGE_FOR_BOTH = SIZE_BYTES * 3 // 5  # fits while it is received, and not once more as a payload
OPTIONS = ["--no-access-log"]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where the small disk appears."""
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


@pytest.fixture
def has_disk(disk: Path) -> bool:
    """Whether it is a disk of its own, rather than a limit on the size of each file."""
    return on_small_disk(disk)[0] == "unshare"


@pytest.fixture
def files_on_it(sqlite_url: str, disk: Path) -> Iterator[Server]:
    """A server whose payloads and uploads lie on the small disk."""
    with running_server(sqlite_url, disk / "payloads", options=OPTIONS, before=on_small_disk(disk)) as server:
        yield server


@pytest.fixture
def database_on_it(disk: Path, tmp_path: Path) -> Iterator[Server]:
    """A server whose database lies on the small disk."""
    url = f"sqlite:///{disk}/conditions.sqlite"
    with running_server(url, tmp_path / "payloads", options=OPTIONS, before=on_small_disk(disk)) as server:
        yield server


def upload(server: Server, name: str, size_bytes: int, *, batch: bool) -> requests.Response:
    content = b"\7" * size_bytes
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    words = {"payloads": [{"name": name, "md5": md5}]} if batch else {"checksum": md5}
    parts: Any = [
        ("batch" if batch else "json", ("json", json.dumps(words), "application/json")),
        ("payload", ("payload", content)),
    ]
    path = "v1/batch" if batch else f"v2/package/dbstore/module/{name}/payload"
    with server.session(server.token()) as session:
        return session.post(f"{server.url}/{path}", files=parts, timeout=60)


def is_full(answer: requests.Response) -> bool:
    body = answer.json()
    return (answer.status_code, body["code"], body["reason"]) == (507, 507, "StoreFull")


@pytest.mark.parametrize("batch", [False, True])
def test_an_upload_that_does_not_fit_is_507_and_leaves_nothing(
    files_on_it: Server, disk: Path, has_disk: bool, batch: bool
) -> None:
    assert upload(files_on_it, "first", 100, batch=batch).status_code == 200
    seen_by_server = Path(f"/proc/{files_on_it.process.pid}/root") / disk.relative_to("/") / "payloads"
    before = {str(path) for path in seen_by_server.rglob("*")}
    sizes = [TOO_LARGE_FOR_SPOOL, TOO_LARGE_FOR_BOTH] if has_disk else [TOO_LARGE_FOR_SPOOL]
    for size_bytes in sizes:
        answer = upload(files_on_it, "large", size_bytes, batch=batch)
        assert is_full(answer), answer.text
        assert str(disk) not in answer.text
        assert {str(path) for path in seen_by_server.rglob("*")} == before
    listed = requests.get(f"{files_on_it.url}/v2/payloads", timeout=60).json()
    assert [payload["basf2Module"]["name"] for payload in listed] == ["first"]
    assert requests.get(listed[0]["baseUrl"] + listed[0]["payloadUrl"], timeout=60).content == b"\7" * 100
    assert upload(files_on_it, "fits", 200_000, batch=batch).status_code == 200
    assert len(files_on_it.workers()) == 2


def test_a_database_on_a_full_disk_refuses_changes_answers_reads_and_goes_on_when_there_is_room(
    database_on_it: Server, disk: Path, has_disk: bool
) -> None:
    if not has_disk:
        pytest.skip("no disk of its own can be made here")
    filler = Path(f"/proc/{database_on_it.process.pid}/root") / disk.relative_to("/") / "filler"
    made = []
    with database_on_it.session(database_on_it.token()) as session:
        for number in range(100):
            given = {"name": f"tag{number}", "description": "x" * 60_000}
            answer = session.post(f"{database_on_it.url}/v2/globalTag/DEV", json=given, timeout=60)
            if answer.status_code != 200:
                break
            made.append(f"tag{number}")
            if number == 2:
                filler.write_bytes(bytes(SIZE_BYTES // 3))
        assert is_full(answer), answer.text
        listed = session.get(f"{database_on_it.url}/v2/globalTags", timeout=60).json()
        assert sorted(tag["name"] for tag in listed) == sorted(made)
        filler.unlink()
        after = session.post(f"{database_on_it.url}/v2/globalTag/DEV", json={"name": "after"}, timeout=60)
        assert after.status_code == 200, after.text
        assert session.get(f"{database_on_it.url}/v1/tags/after/history", timeout=60).json()["items"]
    assert len(database_on_it.workers()) == 2


def test_a_payload_folder_that_is_read_only_is_said_and_serves_reads(
    files_on_it: Server, disk: Path, has_disk: bool
) -> None:
    if not has_disk:
        pytest.skip("no disk of its own can be made here")
    assert upload(files_on_it, "first", 100, batch=False).status_code == 200
    remount(files_on_it, disk, "ro")
    for size_bytes in (200, 1_500_000):  # the second one would be received in that folder
        for batch in (False, True):
            answer = upload(files_on_it, "second", size_bytes, batch=batch)
            assert (answer.status_code, answer.json()["code"]) == (503, 503), answer.text
            assert "retry-after" in answer.headers
    payload = requests.get(f"{files_on_it.url}/v2/module/first/payloads", timeout=60).json()[0]
    assert requests.get(payload["baseUrl"] + payload["payloadUrl"], timeout=60).content == b"\7" * 100
    remount(files_on_it, disk, "rw")
    assert upload(files_on_it, "second", 200, batch=True).status_code == 200
    with open_store(files_on_it.store_url) as store:
        assert [str(payload) for payload in store.list_payloads()] == ["first r1", "second r1"]


def test_a_full_folder_for_temporary_files_stops_nothing(
    sqlite_url: str, files_dir: Path, disk: Path, has_disk: bool
) -> None:
    """Counts and compiled tags lie there; a worker that is born meanwhile does without."""
    if not has_disk:
        pytest.skip("no disk of its own can be made here")
    words: dict[str, Any] = {"before": on_small_disk(disk), "environment": {"TMPDIR": str(disk)}, "options": OPTIONS}
    with running_server(sqlite_url, files_dir, **words) as server:
        assert upload(server, "first", 100, batch=True).status_code == 200  # makes the folder that others wait in
        filler = Path(f"/proc/{server.process.pid}/root") / disk.relative_to("/") / "filler"
        with filler.open("wb", buffering=0) as stream, suppress(OSError):
            while True:
                stream.write(bytes(4096))
        before = server.workers()
        for path in ("globalTags", "payloads", "globalTag/x", "globalTag/x/payloads", "iovPayloads", "nothing") * 3:
            assert requests.get(f"{server.url}/v2/{path}", timeout=20).status_code in (200, 400, 404)
        assert upload(server, "large", 1_500_000, batch=True).status_code == 200
        assert server.workers() == before
        os.kill(before[0], signal.SIGKILL)
        while len(set(server.workers()) - {before[0]}) < 2:
            time.sleep(0.02)
        for _ in range(20):  # either worker may answer
            assert requests.get(f"{server.url}/health", timeout=20).status_code == 200
            assert requests.get(f"{server.url}/metrics", timeout=20).status_code == 200
        assert len(set(server.workers()) - set(before)) == 1


def remount(server: Server, disk: Path, how: str) -> None:
    """Make the server's disk read-only, or not."""
    command = ["nsenter", "--target", str(server.process.pid), "--mount", "mount", "-o", f"remount,{how}", str(disk)]
    subprocess.run(command, check=True, capture_output=True)
