"""The payload cache: verified, shared by real processes, and never worse than no cache."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import BinaryIO

import filelock
import pytest
import requests

from conditions.client.cache import PayloadCache
from conditions.errors import CacheBusy, CacheError, PayloadCorrupt, StoreUnavailable
from conditions.payload import Payload
from support.processes import STRESS, run_together, running
from support.small_disk import on_small_disk
from support.web import Web, web_server

CONTENT = Random(1).randbytes(300_000)  # noqa: S311


def payload_of(content: bytes = CONTENT, name: str = "gat") -> Payload:
    sha256, md5 = hashlib.sha256(content).hexdigest(), hashlib.md5(content, usedforsecurity=False).hexdigest()
    return Payload(name, 3, sha256, md5, len(content), {}, datetime(2026, 1, 1, tzinfo=UTC), "tester")


def known_by_md5(payload: Payload) -> Payload:
    """The payload as a snapshot knows it."""
    return dataclasses.replace(payload, sha256="", size_bytes=-1)


class Giver:
    """Writes bytes and counts how often; the last of several contents stays."""

    def __init__(self, *contents: bytes) -> None:
        self.contents, self.calls = list(contents) or [CONTENT], 0

    def __call__(self, sink: BinaryIO) -> None:
        content = self.contents[min(self.calls, len(self.contents) - 1)]
        self.calls += 1
        sink.write(content[:1000])
        sink.write(content[1000:])


def never(sink: BinaryIO) -> None:
    raise AssertionError("it was fetched")


@pytest.fixture
def cache(tmp_path: Path) -> PayloadCache:
    return PayloadCache(tmp_path / "cache")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    with web_server(tmp_path / "web", tmp_path / "notes") as server:
        (server.folder / "gat").write_bytes(CONTENT)
        yield server


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.parent.name != "locks"]


def test_a_payload_is_fetched_once_and_found_by_either_digest(cache: PayloadCache) -> None:
    payload, giver = payload_of(), Giver()
    path = cache.path_of(payload, giver)
    assert path.read_bytes() == CONTENT
    assert path.stat().st_mode & 0o222 == 0
    again = PayloadCache(cache.folder)
    assert again.path_of(payload, never).read_bytes() == CONTENT
    assert again.path_of(known_by_md5(payload), never).read_bytes() == CONTENT
    assert giver.calls == 1
    assert cache.facts().n_files == 1
    assert cache.facts().size_bytes == len(CONTENT)


def test_what_was_fetched_by_md5_serves_who_knows_the_sha256(cache: PayloadCache) -> None:
    cache.path_of(known_by_md5(payload_of()), Giver())
    assert PayloadCache(cache.folder).path_of(payload_of(), never).read_bytes() == CONTENT


def test_one_name_for_other_bytes_is_another_file(cache: PayloadCache) -> None:
    paths = {cache.path_of(payload_of(content), Giver(content)) for content in (b"one", b"two")}
    assert sorted(path.read_bytes() for path in paths) == [b"one", b"two"]


def test_a_damaged_file_is_noticed_and_fetched_anew(cache: PayloadCache, caplog: pytest.LogCaptureFixture) -> None:
    payload = payload_of()
    path = cache.path_of(payload, Giver())
    for ask in (payload, known_by_md5(payload)):
        path.chmod(0o644)
        path.write_bytes(b"X" + CONTENT[1:])
        for client in (cache, PayloadCache(cache.folder)):  # also in the process that has verified it before
            assert client.path_of(ask, Giver()).read_bytes() == CONTENT
    assert "gat r3 in the payload cache is damaged, it is fetched anew" in caplog.text


def test_other_bytes_are_fetched_once_more_and_then_an_error(cache: PayloadCache) -> None:
    giver = Giver(b"something else", CONTENT)
    assert cache.path_of(payload_of(), giver).read_bytes() == CONTENT
    assert giver.calls == 2
    other, wrong = payload_of(b"other"), Giver(b"wrong")
    with pytest.raises(PayloadCorrupt, match=r"'gat' revision 3 is corrupt.*twice.* has sha256 "):
        cache.path_of(dataclasses.replace(other, md5=hashlib.md5(b"wrong").hexdigest()), wrong)  # noqa: S324
    with pytest.raises(PayloadCorrupt, match="has md5"):
        cache.path_of(known_by_md5(other), wrong)
    with pytest.raises(PayloadCorrupt, match="has 4 bytes instead of 5"):
        cache.path_of(other, Giver(b"shor"))
    assert wrong.calls == 4
    assert sorted(path.parent.parent.name for path in files_in(cache.folder)) == ["md5", "sha256"]


def test_who_sends_without_an_end_fills_no_disk(cache: PayloadCache) -> None:
    sizes: list[int] = []

    def endless(sink: BinaryIO) -> None:
        sizes.append(0)
        while True:
            sizes[-1] += sink.write(b"x" * 1000)

    with pytest.raises(PayloadCorrupt, match=rf"twice, has [0-9]+ bytes instead of {len(CONTENT)}"):
        cache.path_of(payload_of(), endless)
    assert len(sizes) == 2
    assert max(sizes) <= len(CONTENT)
    assert files_in(cache.folder) == []


def test_a_fetch_that_fails_leaves_nothing_and_keeps_its_error(cache: PayloadCache) -> None:
    def breaks(sink: BinaryIO) -> None:
        sink.write(CONTENT[:100])
        raise StoreUnavailable("https://example.org", "it is gone")

    with pytest.raises(StoreUnavailable, match="it is gone"):
        cache.path_of(payload_of(), breaks)
    assert files_in(cache.folder) == []
    assert cache.path_of(payload_of(), Giver()).read_bytes() == CONTENT


def test_a_lock_that_stays_taken_is_an_error_that_names_it(tmp_path: Path) -> None:
    cache = PayloadCache(tmp_path, lock_wait_s=0.2)
    (tmp_path / "locks").mkdir()
    lock = tmp_path / "locks" / payload_of().md5
    with filelock.FileLock(lock), pytest.raises(CacheBusy, match=str(lock)):
        cache.path_of(payload_of(), never)


def test_who_waited_for_the_lock_looks_again(cache: PayloadCache) -> None:
    started, giver = threading.Event(), Giver()

    def slowly(sink: BinaryIO) -> None:
        started.set()
        time.sleep(0.2)
        giver(sink)

    thread = threading.Thread(target=cache.path_of, args=(payload_of(), slowly))
    thread.start()
    started.wait()
    assert PayloadCache(cache.folder).path_of(payload_of(), never).read_bytes() == CONTENT
    thread.join()


def read_through(folder: str, url: str, rounds: int) -> int:
    """What a process does: ask for some payloads in its own order; returns how many bytes it read."""
    cache, n_bytes = PayloadCache(folder), 0
    numbers = list(range(rounds))
    Random(os.getpid()).shuffle(numbers)  # noqa: S311
    for number in numbers:
        content = Random(number).randbytes(20_000)  # noqa: S311
        path = cache.path_of(payload_of(content, f"p{number}"), lambda sink, n=number: download(f"{url}/p{n}", sink))
        n_bytes += path.read_bytes() == content and len(content)
    return n_bytes


def download(url: str, sink: BinaryIO) -> None:
    with requests.get(url, stream=True, timeout=60) as answer:
        for chunk in answer.iter_content(4096):
            sink.write(chunk)


def test_many_processes_download_each_payload_once(tmp_path: Path, web: Web) -> None:
    rounds = 6
    for number in range(rounds):
        (web.folder / f"p{number}").write_bytes(Random(number).randbytes(20_000))  # noqa: S311
    outcomes = run_together(read_through, [(str(tmp_path / "cache"), web.url, rounds)] * (8 * STRESS))
    assert {(outcome.value, outcome.error) for outcome in outcomes} == {(rounds * 20_000, None)}
    assert sorted(web.requests()) == sorted(f"GET /p{number}" for number in range(rounds))


def hang_in_the_middle(folder: str, mark: str) -> None:
    def fetch(sink: BinaryIO) -> None:
        sink.write(CONTENT[:150_000])
        Path(mark).touch()
        time.sleep(600)

    PayloadCache(folder).path_of(payload_of(), fetch)


def test_a_process_killed_in_a_download_leaves_a_usable_cache(cache: PayloadCache, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    with running(hang_in_the_middle, str(cache.folder), str(mark)) as process:
        while not mark.exists():
            assert process.is_alive()
            time.sleep(0.01)
        process.kill()
        process.join()
    assert [path.parent.name for path in files_in(cache.folder)] == ["incoming"]
    assert cache.path_of(payload_of(), Giver()).read_bytes() == CONTENT
    assert "incoming" not in {path.parent.name for path in files_in(cache.folder)}


FILL = """
import sys, hashlib
from conditions.client.cache import PayloadCache
from conditions.errors import CacheFull
from conditions.payload import Payload

def payload(content):
    digests = hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest()
    return Payload("big", 1, *digests, len(content), {}, None, "")

cache = PayloadCache(sys.argv[1])
small, large = b"s" * 1000, b"l" * 4_000_000
cache.path_of(payload(small), lambda sink: sink.write(small))
try:
    cache.path_of(payload(large), lambda sink: [sink.write(large[:1_500_000]), sink.write(large[1_500_000:])])
except CacheFull as error:
    print(error)
print(cache.facts().size_bytes, list((cache.folder / "incoming").iterdir()))
assert cache.path_of(payload(small), None).read_bytes() == small
"""


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = [*on_small_disk(disk), sys.executable, "-c", FILL, str(disk / "cache")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said, left = done.stdout.splitlines()
    assert said.startswith(f"no space left in the payload cache {disk / 'cache'}; nothing was kept")
    assert left == "1000 []"


def test_a_cache_that_cannot_be_written_is_read_and_replaced_by_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    taken = tmp_path / "a file"
    taken.touch()
    cache = PayloadCache(taken / "cache")
    with caplog.at_level(logging.WARNING):
        paths = [cache.path_of(payload_of(content), Giver(content)) for content in (b"one", b"two")]
    assert [path.read_bytes() for path in paths] == [b"one", b"two"]
    assert paths[0].is_relative_to(tmp_path / f"conditions-cache-{os.getuid()}")
    assert [record.getMessage().split(": ")[0] for record in caplog.records] == [f"payload cache {taken}/cache"]
    assert PayloadCache(taken / "cache").path_of(payload_of(b"one"), Giver(b"one")) == paths[0]


READ_ONLY = """
set -eu
mount -t tmpfs none "$1"
"$2" -c "$3" "$1/cache" fill
mount -o remount,ro "$1"
"$2" -c "$3" "$1/cache" read
"""
USE = """
import sys, hashlib, logging
from conditions.client.cache import PayloadCache
from conditions.payload import Payload

def payload(content):
    digests = hashlib.sha256(content).hexdigest(), hashlib.md5(content).hexdigest()
    return Payload("p", 1, *digests, len(content), {}, None, "")

cache = PayloadCache(sys.argv[1])
if sys.argv[2] == "fill":
    cache.path_of(payload(b"old"), lambda sink: sink.write(b"old"))
else:
    assert cache.path_of(payload(b"old"), None).is_relative_to(sys.argv[1])
    for content in (b"new", b"newer"):
        assert cache.path_of(payload(content), lambda sink: sink.write(content)).read_bytes() == content
    assert cache.path_of(payload(b"new"), None).read_bytes() == b"new"
"""


def test_a_cache_on_a_read_only_file_system_serves_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "tmp").mkdir()
    own = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    if subprocess.run([*own, "sh", "-c", f"mount -t tmpfs none {tmp_path}/disk"], check=False).returncode:
        pytest.skip("this user cannot mount a file system")
    command = [*own, "sh", "-c", READ_ONLY, "sh", str(tmp_path / "disk"), sys.executable, USE]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("Read-only file system; using ") == 1


def test_clearing_keeps_what_was_used_lately(cache: PayloadCache) -> None:
    old, young = payload_of(b"old"), payload_of(b"young")
    for payload, content in ((old, b"old"), (young, b"young")):
        path = cache.path_of(payload, Giver(content))
        os.utime(path, ns=(0, path.stat().st_mtime_ns))
    cache.path_of(young, never)  # to use it is to keep it
    assert cache.clear(unused_days=30, dry_run=True) == cache.clear(unused_days=30)
    assert cache.clear(unused_days=30).n_files == 0
    assert cache.find(old) is None
    assert cache.find(young) is not None
    assert cache.clear().size_bytes == 5
    assert files_in(cache.folder) == []


def test_the_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    assert PayloadCache().folder == tmp_path / "home" / "conditions"
    monkeypatch.setenv("CONDITIONS_CACHE", str(tmp_path / "chosen"))
    assert PayloadCache().folder == tmp_path / "chosen"
    with pytest.raises(CacheError, match="CONDITIONS_CACHE"):
        PayloadCache("/proc/nowhere").path_of(payload_of(), Giver())
