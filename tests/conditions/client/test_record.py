"""A job's record: written whole, read back, replayed from digests, and compared with what is said now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from conditions import Client, JobRecord, Run
from conditions.client.cache import PayloadCache
from conditions.client.client import ClientConfig
from conditions.client.record import differences
from conditions.client.replay import ReplaySource
from conditions.errors import BadInputError, BadRecord, NotRecorded, NotSaved, PayloadCorrupt
from conditions.iov import IntervalOfValidity
from conditions.offline.snapshot import SnapshotSource
from conditions.store.session import Store, open_store
from conditions.tags import TagState
from support.providers import snapshot_of
from support.stores import tag_with, upload_text

RECORDING = ClientConfig(record=True)


@pytest.fixture
def filled(sqlite_url: str, files_dir: Path) -> Store:
    """A published tag with `gat` and `cnn`, and a RUNNING one with `gain`."""
    store = open_store(sqlite_url, files_dir, user="tester")
    tag_with(store, "mc16", "gat", "cnn")
    store.publish_tag("mc16")
    tag_with(store, "online", "gain")
    store.set_state("online", TagState.RUNNING)
    return store


@pytest.fixture
def record(filled: Store) -> JobRecord:
    """Of a job that asked for all of run 7:1, for two names of run 7:2, and for many runs."""
    client = Client(filled, ["mc16", "online"], config=RECORDING)
    client.resolve(Run(7, 1))
    client.get("gat", Run(7, 2))
    assert client.find("absent", Run(7, 2)) is None
    client.resolve_many([Run(8, 1), Run(8, 2)], ["gain"], stack="online")
    return client.record


def change_running_tag(store: Store) -> None:
    """From 7:0 on, `gain` is another one."""
    [row] = store.list_iovs("online")
    store.close_iov("online", row.id, Run(6, 99))
    newer = upload_text(store, "gain", "newer")
    store.add_iov("online", "gain", newer.revision, IntervalOfValidity.parse("7,0,-1,-1"))


def test_a_record_says_stack_content_and_digests(record: JobRecord, filled: Store, tmp_path: Path) -> None:
    record.write(tmp_path / "record.json")
    said: dict[str, Any] = json.loads((tmp_path / "record.json").read_text())
    tag = filled.get_tag("mc16")
    assert said["conditions_record"] == 1
    assert said["providers"] == [filled.url]
    assert {t["name"]: (t["state"], t["content_revision"], t["digest"]) for t in said["tags"]} == {
        "mc16": ("PUBLISHED", tag.content_revision, filled.tag_digest("mc16")),
        "online": ("RUNNING", 1, None),
    }
    first = said["lookups"][0]
    assert (first["run"], first["stack"], first["names"]) == ("7:1", ["mc16", "online"], None)
    assert [said["payloads"][n]["name"] for n in first["found"]] == ["cnn", "gain", "gat"]
    assert said["payloads"][0]["sha256"] == filled.get_payload("cnn").sha256
    assert len(said["payloads"]) == 3
    assert said["versions"]["python"]
    assert JobRecord.read(tmp_path / "record.json").to_json() == said


def test_a_record_that_cannot_be_written_leaves_the_old_one(record: JobRecord, tmp_path: Path) -> None:
    with pytest.raises(NotSaved):
        record.write(tmp_path / "no folder" / "record.json")
    record.write(tmp_path / "record.json")
    record.lookups.clear()
    record.write(tmp_path / "record.json")
    assert list(tmp_path.glob(".record.json*")) == []
    assert JobRecord.read(tmp_path / "record.json").lookups == {}


REST = '"tags": [], "providers": [], "passed_over": [], "versions": {}}'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"conditions_record": 2}',
        '{"conditions_record": 1}',
        '{"conditions_record": 1, "payloads": [{"name": 1}], "lookups": [], ' + REST,
        '{"conditions_record": 1, "payloads": [], "lookups": [{"run": "x", "stack": [], "found": []}], ' + REST,
        '{"conditions_record": 1, "payloads": [], "lookups": '
        '[{"run": "1:1", "stack": [], "names": null, "found": [-1]}], ' + REST,
    ],
)
def test_what_is_no_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "record.json").write_text(text)
    with pytest.raises(BadRecord, match=r"record\.json is no record of a job"):
        JobRecord.read(tmp_path / "record.json")


def test_a_client_keeps_a_record_only_when_it_shall(filled: Store) -> None:
    with pytest.raises(BadInputError, match="keeps no record"):
        _ = Client(filled, "mc16").record


def test_a_replay_gives_what_the_job_was_given_whatever_happened_since(
    record: JobRecord, filled: Store, tmp_path: Path
) -> None:
    before = filled.resolve(["mc16", "online"], Run(7, 1))
    change_running_tag(filled)
    filled.set_state("mc16", TagState.INVALID)
    client = Client(ReplaySource(record, filled, PayloadCache(tmp_path / "cache")), ["mc16", "online"])
    told = client.resolve(Run(7, 1))
    assert {name: (won.payload.sha256, won.iov, won.tag) for name, won in told.items()} == {
        name: (won.payload.sha256, won.iov, won.tag) for name, won in before.items()
    }
    assert client.path(told["gain"]).read_bytes() == b"gain"
    assert client.get("gat", Run(7, 2)).payload == told["gat"].payload
    assert client.get("gat", Run(7, 1)) == told["gat"]  # a part of what was asked
    assert client.find("absent", Run(7, 2)) is None
    assert client.get("gain", Run(8, 2), stack="online").payload == told["gain"].payload


def test_a_replay_answers_nothing_that_was_not_asked(record: JobRecord, tmp_path: Path) -> None:
    client = Client(ReplaySource(record, None, PayloadCache(tmp_path / "cache")), ["mc16", "online"])
    with pytest.raises(NotRecorded, match="'gat' for 9:9 in mc16, online is not in the record"):
        client.get("gat", Run(9, 9))
    with pytest.raises(NotRecorded, match="all payloads for 7:2"):
        client.resolve(Run(7, 2))
    with pytest.raises(NotRecorded, match="'gat' for 7:1 in mc16"):
        client.get("gat", Run(7, 1), stack="mc16")
    with pytest.raises(NotRecorded, match="the file of gat r1"):
        client.path(client.get("gat", Run(7, 1)))


def test_a_replay_takes_files_from_the_cache_and_refuses_other_bytes(
    record: JobRecord, filled: Store, tmp_path: Path
) -> None:
    cache = PayloadCache(tmp_path / "cache")
    client = Client(ReplaySource(record, None, cache), ["mc16", "online"])
    won = client.get("gat", Run(7, 1))
    cache.path_of(won.payload, lambda sink: sink.write(b"gat") and None)
    assert client.path(won).read_bytes() == b"gat"
    own = filled.payload_path(won.payload)
    own.chmod(0o644)
    own.write_bytes(b"tag")
    shutil.rmtree(tmp_path / "cache")
    with pytest.raises(PayloadCorrupt, match="'gat' revision 1"):
        Client(ReplaySource(record, filled, PayloadCache(tmp_path / "cache")), "mc16").path(won)


def test_what_is_said_now_is_compared_at_the_content_revision_of_then(
    record: JobRecord, filled: Store, tmp_path: Path
) -> None:
    assert differences(record, filled) == []
    old = SnapshotSource(snapshot_of(filled, tmp_path / "old.sqlite", "mc16", "online", details=True))
    change_running_tag(filled)
    assert differences(record, filled) == []  # the store knows its past
    assert differences(record, old) == []
    new = SnapshotSource(snapshot_of(filled, tmp_path / "new.sqlite", "mc16", "online", details=True))
    assert differences(record, new)[0].startswith("7:1: 'gain' was gain r1 with md5 ")
    assert len(differences(record, new)) == 3


def test_a_payload_known_by_md5_is_recorded_with_the_digest_of_its_file(
    filled: Store, tmp_path: Path, record: JobRecord
) -> None:
    plain = SnapshotSource(snapshot_of(filled, tmp_path / "plain" / "snap.sqlite", "mc16", "online", files=True))
    client = Client(plain, ["mc16", "online"], config=RECORDING)
    client.path(client.get("gat", Run(7, 1)))
    [payload] = client.record.to_json()["payloads"]
    assert (payload["sha256"], payload["size_bytes"]) == (filled.get_payload("gat").sha256, 3)
    assert differences(record, plain) == []


def test_a_content_revision_that_nobody_knew_is_not_asked_for(filled: Store, tmp_path: Path) -> None:
    plain = SnapshotSource(snapshot_of(filled, tmp_path / "plain.sqlite", "online"))
    client = Client(plain, "online", config=RECORDING)
    client.get("gain", Run(7, 1))
    assert differences(client.record, filled) == []
    change_running_tag(filled)
    assert len(differences(client.record, filled)) == 1


def test_a_job_whose_tag_changes_records_both_contents(filled: Store, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(filled, "online", config=RECORDING)
    client.get("gain", Run(7, 1))
    change_running_tag(filled)
    client.get("gain", Run(7, 2))
    assert [facts.content_revision for facts in client.record.tags] == [1, 3]
    assert "tag online, which is RUNNING, has changed while it is used: content revision 1 before, 3 now" in caplog.text
