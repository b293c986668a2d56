"""`conditions.open`: what a place, the environment and testing payloads give to a client."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import conditions
from conditions import JobRecord, NoProvider, Run
from conditions.client.chain import Chain
from conditions.client.snapshot_files import SnapshotWithFiles
from conditions.errors import BadInputError, BadSnapshot, PayloadNotHere, StoreUnavailable
from conditions.store.session import Store, open_store
from support.providers import snapshot_of
from support.stores import tag_with
from support.web import web_server


@pytest.fixture
def store(sqlite_url: str, files_dir: Path) -> Store:
    opened = open_store(sqlite_url, files_dir, user="tester")
    tag_with(opened, "mc16", "gat", "cnn")
    opened.publish_tag("mc16")
    return opened


@pytest.fixture
def snapshot(store: Store, tmp_path: Path) -> Path:
    return snapshot_of(store, tmp_path / "snap" / "snapshot.sqlite", "mc16", files=True)


@pytest.mark.parametrize("form", [str, Path, lambda path: [path], lambda path: f"sqlite:///{path}"])
def test_a_snapshot_is_opened_by_any_form_of_its_path(snapshot: Path, form: type) -> None:
    with conditions.open(form(snapshot), "mc16") as client:
        assert isinstance(client.source, SnapshotWithFiles)
        assert client.path(client.get("gat", Run(1, 1))).read_bytes() == b"gat"


def test_several_places_are_a_chain_and_none_of_them_is_made(snapshot: Path, tmp_path: Path) -> None:
    missing = tmp_path / "missing.sqlite"
    with conditions.open([missing, snapshot], "mc16") as client:
        assert isinstance(client.source, Chain)
        assert client.get("gat", Run(1, 1)).tag == "mc16"
        assert client.providers == (str(snapshot),)
    with conditions.open([missing, tmp_path / "more.sqlite"], "mc16") as client, pytest.raises(NoProvider):
        client.resolve(Run(1, 1))
    assert not missing.exists()
    (tmp_path / "own").mkdir()
    with conditions.open(tmp_path / "own" / "store.sqlite"):  # one alone makes itself, as ever
        assert (tmp_path / "own" / "store.sqlite").exists()


def test_places_that_messages_call_alike_are_providers_of_their_own(tmp_path: Path) -> None:
    places = [f"sqlite:///{tmp_path}/missing.sqlite?mode={mode}" for mode in ("ro", "rw")]
    with conditions.open(places, "mc16") as client, pytest.raises(NoProvider) as caught:
        client.resolve(Run(7, 1))
    assert len(caught.value.reasons) == 2


@pytest.mark.parametrize("variable", ["CONDITIONS_METADATA", "BELLE2_CONDB_METADATA"])
def test_the_environment_names_providers_in_order(
    snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, f"http://127.0.0.1:1 {tmp_path / 'missing.sqlite'} {snapshot}")
    monkeypatch.setenv("BELLE2_CONDB_GLOBALTAG", "mc16")
    with conditions.open() as client:
        assert client.get("gat", Run(1, 1)).payload.md5
        assert client.providers == (str(snapshot),)


def test_a_provider_of_the_environment_is_never_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDITIONS_METADATA", str(tmp_path / "missing.sqlite"))
    with pytest.raises(StoreUnavailable, match="there is no such file"):
        conditions.open()
    assert not (tmp_path / "missing.sqlite").exists()
    monkeypatch.delenv("CONDITIONS_METADATA")
    monkeypatch.setenv("CONDITIONS_URL", str(tmp_path / "own.sqlite"))
    with conditions.open():
        assert (tmp_path / "own.sqlite").exists()


def test_a_damaged_snapshot_alone_is_an_error_and_in_a_chain_passed_over(snapshot: Path, store: Store) -> None:
    broken = snapshot.with_name("broken.sqlite")
    broken.write_bytes(snapshot.read_bytes()[:5000])
    with pytest.raises(BadSnapshot):
        conditions.open(broken, "mc16").resolve(Run(1, 1))
    with conditions.open([broken, snapshot], "mc16") as client:
        assert client.get("gat", Run(1, 1)).tag == "mc16"


def test_an_empty_file_among_providers_stays_empty(
    snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty.sqlite"
    empty.touch()
    with conditions.open([empty, snapshot], "mc16") as client:
        assert client.get("gat", Run(1, 1)).tag == "mc16"
    monkeypatch.setenv("BELLE2_CONDB_METADATA", str(empty))
    with pytest.raises(StoreUnavailable, match="empty"):
        conditions.open(stack="mc16")
    assert empty.stat().st_size == 0


def test_payload_locations_go_before_the_providers_own_files(
    store: Store, snapshot: Path, files_dir: Path, monkeypatch: pytest.MonkeyPatch, sqlite_url: str
) -> None:
    monkeypatch.setenv("BELLE2_CONDB_PAYLOADS", f"/nowhere {snapshot.parent / 'payloads'}")
    with conditions.open(sqlite_url, "mc16") as client:
        path = client.path(client.get("gat", Run(1, 1)))
        assert path.is_relative_to(snapshot.parent)
        path.write_bytes(b"tag")  # other bytes are skipped
        assert client.path(client.get("gat", Run(1, 1))).is_relative_to(files_dir)


def test_a_snapshot_says_from_where_its_files_can_be_fetched(store: Store, tmp_path: Path) -> None:
    payload = store.get_payload("gat")
    with web_server(tmp_path / "web", tmp_path / "notes") as web:
        path = web.folder / "files" / "dbstore" / "gat" / f"dbstore_gat_rev_{payload.revision}.root"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"gat")
        named = snapshot_of(store, tmp_path / "named" / "snapshot.sqlite", "mc16", base_url=f"{web.url}/files/")
        for _ in range(2):
            with conditions.open(named, "mc16") as client:
                assert client.path(client.get("gat", Run(1, 1))).read_bytes() == b"gat"
        assert len(web.requests()) == 1
    unnamed = snapshot_of(store, tmp_path / "unnamed" / "snapshot.sqlite", "mc16")
    with conditions.open(unnamed, "mc16") as client:
        assert client.path(client.get("gat", Run(1, 1))).read_bytes() == b"gat"  # from the cache
        with pytest.raises(PayloadNotHere):
            client.path(client.get("cnn", Run(1, 1)))


def test_testing_payloads_win_over_all_tags_and_are_in_the_record(
    snapshot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "testing"
    folder.mkdir()
    (folder / "database.txt").write_text("dbstore/gat 7 1,0,1,-1\n")
    (folder / "dbstore_gat_rev_7.root").write_bytes(b"better")
    monkeypatch.setenv("CONDITIONS_TESTING", str(folder / "database.txt"))
    with conditions.open(snapshot, "mc16", record=tmp_path / "job.json") as client:
        tried = client.get("gat", Run(1, 5))
        assert (tried.payload.revision, tried.tag) == (7, str(folder / "database.txt"))
        assert client.path(tried).read_bytes() == b"better"
        assert client.get("gat", Run(2, 5)).tag == "mc16"
        assert {name: won.payload.revision for name, won in client.resolve(Run(1, 5)).items()} == {"cnn": 1, "gat": 7}
    said = json.loads((tmp_path / "job.json").read_text())
    digests = {each["name"]: each["sha256"] for each in said["payloads"] if each["tag"] != "mc16"}
    assert digests == {"gat": hashlib.sha256(b"better").hexdigest()}


def test_a_record_is_written_at_the_end_and_replayed_with_its_stack(
    store: Store, snapshot: Path, sqlite_url: str, tmp_path: Path
) -> None:
    with conditions.open(sqlite_url, "mc16", record=tmp_path / "job.json") as client:
        first = client.get("gat", Run(1, 1))
    for replay in (tmp_path / "job.json", JobRecord.read(tmp_path / "job.json")):
        with conditions.open(snapshot, replay=replay) as client:
            assert client.stack == ("mc16",)
            assert client.get("gat", Run(1, 1)).payload.sha256 == first.payload.sha256
            assert client.path(first).read_bytes() == b"gat"
            assert client.differences() == []
    with conditions.open(snapshot) as client, pytest.raises(BadInputError, match="replays nothing"):
        client.differences()


def test_a_job_that_fails_leaves_its_record_too(sqlite_url: str, store: Store, tmp_path: Path) -> None:
    def job() -> None:
        with conditions.open(sqlite_url, "mc16", record=tmp_path / "job.json") as client:
            client.get("gat", Run(1, 1))
            raise RuntimeError("the job's own")

    with pytest.raises(RuntimeError):
        job()
    assert len(JobRecord.read(tmp_path / "job.json").lookups) == 1
