"""A real server that is killed in the middle of a job: the job goes on with a snapshot and ends the same."""

from __future__ import annotations

import hashlib
import os
import signal
from pathlib import Path

import pytest

import conditions
from conditions import Client, IntervalOfValidity, NoProvider, Run
from conditions.store.session import Store, open_store
from support.providers import snapshot_of
from support.server import Server, running_server
from support.stores import upload_text

N_RUNS = 12


@pytest.fixture
def site(sqlite_url: str, files_dir: Path) -> Store:
    """A published tag with another `gain` in every run, and `gat` for ever."""
    store = open_store(sqlite_url, files_dir, user="tester")
    store.create_tag("mc16")
    store.add_iov("mc16", "gat", upload_text(store, "gat", "network").revision, IntervalOfValidity.always())
    for run in range(N_RUNS):
        gain = upload_text(store, "gain", f"gain of run {run}")
        store.add_iov("mc16", "gain", gain.revision, IntervalOfValidity.of_run(Run(7, run)))
    store.publish_tag("mc16")
    return store


def job(client: Client, server: Server | None = None, dies_at: int = -1) -> str:
    """Read both files of every run; the server dies before one of them. Returns a digest of all that was read."""
    read = hashlib.sha256()
    for run in range(N_RUNS):
        if run == dies_at and server is not None:
            kill(server)
        for name in ("gat", "gain"):
            read.update(client.path(client.get(name, Run(7, run))).read_bytes())
    return read.hexdigest()


def kill(server: Server) -> None:
    """Kill the server and its workers, as when a machine goes."""
    for pid in [server.process.pid, *server.workers()]:
        os.kill(pid, signal.SIGKILL)
    server.process.wait()


@pytest.mark.parametrize("details", [False, True])
def test_a_job_whose_server_is_killed_ends_with_the_same_result(
    site: Store,
    sqlite_url: str,
    files_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    details: bool,
) -> None:
    snapshot = snapshot_of(site, tmp_path / "offline" / "snapshot.sqlite", "mc16", details=details, files=True)
    with running_server(sqlite_url, files_dir, workers=1) as server:
        monkeypatch.setenv("CONDITIONS_CACHE", str(tmp_path / "quiet"))
        with conditions.open(server.url, "mc16") as client:
            undisturbed = job(client)
        monkeypatch.setenv("CONDITIONS_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("CONDITIONS_METADATA", f"{server.url} {snapshot}")
        monkeypatch.setenv("CONDITIONS_TAGS", "mc16")
        with conditions.open(record=tmp_path / "record.json") as client:
            assert job(client, server, dies_at=5) == undisturbed
            assert client.providers == (server.url, str(snapshot))
    said = [record.getMessage() for record in caplog.records if record.name == "conditions.client.chain"]
    assert said[0].startswith(f"conditions provider {server.url} is passed over: ")
    assert said[1:] == [f"conditions come from {snapshot} from now on"]
    # The next job finds no server from the start; this one's record is replayed with the files beside the snapshot.
    caplog.clear()
    with conditions.open() as client:
        assert job(client) == undisturbed
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "conditions provider http",
        f"conditions come from {snapshot} from now on",
    ]
    with conditions.open(snapshot, replay=tmp_path / "record.json") as client:
        assert job(client) == undisturbed


def test_without_a_snapshot_the_job_ends_with_all_reasons(
    site: Store, sqlite_url: str, files_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDITIONS_CACHE", str(tmp_path / "cache"))
    missing = tmp_path / "missing.sqlite"
    with running_server(sqlite_url, files_dir, workers=1) as server:
        client = conditions.open([server.url, missing], "mc16")
        with pytest.raises(NoProvider, match=r"missing\.sqlite.*there is no such file") as caught:
            job(client, server, dies_at=3)
        client.close()
    assert [name for name, _ in caught.value.reasons] == [server.url, str(missing)]
    assert not missing.exists()
