"""Conditions that are far away: publish at a server, filter through servers and snapshots, survive and replay."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from conditions import Run, TagState
from conditions.client.remote import RemoteStore
from conditions.store import Store, open_store
from conditions.store.schema import upgrade
from smartbkg.cli import main
from smartbkg.errors import ModuleFailed
from smartbkg.events import EventBatch, read_events, read_metadata
from smartbkg.framework import Module, create_path, process
from smartbkg.modules.filter import NNFilterModule
from smartbkg.publish import PublishConfig, publish_gatgap
from support.batches import some_events, write_events
from support.providers import snapshot_of
from support.server import Server, running_server
from support.trained import publish_trained, write_trained

TAG = "SmartBKG_GATGAP"


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("CONDITIONS_", "BELLE2_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CONDITIONS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def trainings(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("trainings")
    return [write_trained(folder / str(seed), seed) for seed in range(1, 5)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for everybody in this file, whose tags have names of their own."""
    folder = tmp_path_factory.mktemp("server")
    url = f"sqlite:///{folder / 'conditions.sqlite'}"
    upgrade(url)
    with running_server(url, folder / "payloads", workers=1) as running:
        yield running


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Store]:
    """A store with a published network for run 0:1, and another one from run 0:2 on."""
    with open_store(tmp_path / "site" / "conditions.sqlite") as store:
        publish_trained(store, tmp_path / "first", seed=5, iov="0,0,0,1", state=None)
        publish_trained(store, tmp_path / "second", seed=6, iov="0,2,-1,-1")
        yield store


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Two runs in one file."""
    return write_events(tmp_path / "events.parquet", some_events(150, run=1), some_events(150, run=2))


def call(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def test_a_network_is_published_at_a_server_with_a_token(
    server: Server, trainings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("publish", trainings[0], "--store", server.url, "--tag", "user_ada_first", "--state", "PUBLISHED")
    refused = call(*words)
    assert refused.exit_code == 1
    assert "token" in refused.stderr
    monkeypatch.setenv("CONDITIONS_TOKEN", server.token("ada"))
    done = call(*words, "--json")
    assert done.exit_code == 0, done.stderr
    said = json.loads(done.stdout)
    assert (said["state"], said["added"], [p["revision"] for p in said["payloads"]]) == ("PUBLISHED", 2, [1, 1])
    again = json.loads(call(*words, "--json").stdout)
    assert again == {**said, "added": 0}
    with open_store(server.store_url, server.files) as store:
        found = store.resolve(["user_ada_first"], Run(7, 1))
        assert {name: won.payload.sha256 for name, won in found.items()} == {
            payload["name"]: payload["sha256"] for payload in said["payloads"]
        }
        assert {entry.who for entry in store.tag_history("user_ada_first")} == {"ada"}
        metadata = found["GATGAPgen.pth"].payload.metadata
        assert metadata["metrics"] == {"auc": 0.5, "speed_up": 1.0}


def test_a_published_tag_at_a_server_takes_nothing_more(
    server: Server, trainings: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDITIONS_TOKEN", server.token("ada"))
    words = ("--store", server.url, "--tag", "user_ada_closed", "--state", "PUBLISHED")
    assert call("publish", trainings[0], *words).exit_code == 0
    refused = call("publish", trainings[1], *words)
    assert refused.exit_code == 1
    assert "which is PUBLISHED: nothing may be added to it; publish under another --tag" in refused.stderr


def test_publications_at_the_same_moment_all_succeed(server: Server, trainings: list[Path]) -> None:
    def publish(number: int) -> int:
        with RemoteStore(server.url, token=server.token(f"user{number}")) as catalogue:
            done = publish_gatgap(trainings[number], catalogue, PublishConfig("temp_race"))
            return done.n_added

    with ThreadPoolExecutor(len(trainings)) as pool:
        assert list(pool.map(publish, range(len(trainings)))) == [2] * len(trainings)
    with open_store(server.store_url, server.files) as store:
        rows = store.list_iovs("temp_race")
        assert len(rows) == 2 * len(trainings)
        found = store.resolve(["temp_race"], Run(1, 1), allow_open=True)
        export, checkpoint = found["GATGAPgen.onnx"].payload, found["GATGAPgen.pth"].payload
        assert export.metadata["checkpoint_sha256"] == checkpoint.sha256


def filtered(
    events: Path, output: Path, conditions: Any, *before: Module, tags: Sequence[str] | None = None
) -> tuple[EventBatch, dict[str, Any]]:
    """Kept events and what the file says of the filter."""
    path = create_path()
    path.add_module("EventInput", input_files=events)
    for module in before:
        path.add_module(module)
    path.add_module(NNFilterModule()).if_false(create_path())
    path.add_module("EventOutput", output_file=output)
    process(path, seed=1, conditions=conditions, global_tags=tags)
    step: dict[str, Any] = read_metadata(output)["provenance"][-1]
    return read_events(output), step


def same(left: EventBatch, right: EventBatch) -> bool:
    return np.array_equal(left.event, right.event) and np.array_equal(left.extra["weight"], right.extra["weight"])


def test_wherever_the_network_comes_from_the_same_events_are_kept(site: Store, events: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'site' / 'conditions.sqlite'}"
    detailed = snapshot_of(site, tmp_path / "detailed" / "snap.sqlite", TAG, details=True, files=True)
    plain = snapshot_of(site, tmp_path / "plain" / "snap.sqlite", TAG, files=True)
    with running_server(url, tmp_path / "site" / "payloads", workers=1) as server:
        places: dict[str, Any] = {"store": url, "server": server.url, "detailed": detailed, "plain": plain}
        places["chain"] = ["http://127.0.0.1:1", plain]
        results = {name: filtered(events, tmp_path / f"{name}.parquet", place) for name, place in places.items()}
    kept, step = results["store"]
    assert len(kept) > 20
    digests = [model["sha256"] for model in step["models"]]
    assert len(set(digests)) == 4
    assert step["models"][0]["tag_digest"] == site.tag_digest(TAG)
    assert step["models"][0]["tag_state"] == "PUBLISHED"
    for name, (other, other_step) in results.items():
        assert same(kept, other), name
        assert [model["sha256"] for model in other_step["models"]] == digests, name
        known = name not in ("plain", "chain")
        assert other_step["models"][0]["tag_digest"] == (step["models"][0]["tag_digest"] if known else None)
    assert results["chain"][1]["conditions"]["providers"] == [str(plain)]
    assert results["server"][1]["conditions"] == {"stack": [], "providers": [server.url]}


class Killer(Module):
    """Kills a server before the second run."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def beginRun(self) -> None:
        if self.run == 2:
            for pid in [self.server.process.pid, *self.server.workers()]:
                os.kill(pid, signal.SIGKILL)
            self.server.process.wait()

    def event_batch(self, store: Any) -> Any:
        return np.ones(len(store), dtype=bool)


def test_a_filter_whose_server_dies_ends_with_the_same_events(site: Store, events: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'site' / 'conditions.sqlite'}"
    snapshot = snapshot_of(site, tmp_path / "snap" / "snapshot.sqlite", TAG, files=True)
    undisturbed, _ = filtered(events, tmp_path / "undisturbed.parquet", url)
    with running_server(url, tmp_path / "site" / "payloads", workers=1) as server:
        places = f"{server.url} {snapshot}"
        kept, step = filtered(events, tmp_path / "kept.parquet", places, Killer(server))
    assert same(kept, undisturbed)
    assert step["conditions"]["providers"] == [server.url, str(snapshot)]
    assert len({model["sha256"] for model in step["models"]}) == 4


ASKED = ("mc16_v2", "online")


@pytest.fixture
def asked_site(tmp_path: Path) -> Iterator[Store]:
    """A store with the network in the second of two tags, another one for each of two runs, and no default tag."""
    with open_store(tmp_path / "site" / "conditions.sqlite") as store:
        store.create_tag("mc16_v2")
        store.publish_tag("mc16_v2")
        publish_trained(store, tmp_path / "first", seed=5, tag="online", iov="0,0,0,1", state=None)
        publish_trained(store, tmp_path / "second", seed=6, tag="online", iov="0,2,-1,-1")
        yield store


@pytest.mark.parametrize(
    ("with_export", "server_has_default"),
    [(True, False), (False, False), (False, True)],
    ids=["with-export", "checkpoint-alone", "default-tag-at-the-server"],
)
def test_a_filter_goes_on_with_a_snapshot_of_the_tags_that_were_asked_for(
    asked_site: Store,
    events: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    server_has_default: bool,
    with_export: bool,
) -> None:
    tags = ASKED if with_export else ("checkpoint_alone",)
    if not with_export:  # so that the default tag is asked for the export in each run
        asked_site.create_tag("checkpoint_alone")
        rows = asked_site.list_iovs("online", names=["GATGAPgen.pth"])
        asked_site.add_iovs("checkpoint_alone", [(row.payload, row.iov) for row in rows])
        asked_site.publish_tag("checkpoint_alone")
    if server_has_default:
        publish_trained(asked_site, tmp_path / "default", seed=7, iov="9,0,9,9")
    url = f"sqlite:///{tmp_path / 'site' / 'conditions.sqlite'}"
    snapshot = snapshot_of(asked_site, tmp_path / "snap" / "snapshot.sqlite", *tags, files=True)
    undisturbed, _ = filtered(events, tmp_path / "undisturbed.parquet", url, tags=tags)
    caplog.clear()
    with running_server(url, tmp_path / "site" / "payloads", workers=1) as server:
        places = f"{server.url} {snapshot}"
        kept, step = filtered(events, tmp_path / "kept.parquet", places, Killer(server), tags=tags)
    assert same(kept, undisturbed)
    assert step["conditions"]["providers"] == [server.url, str(snapshot)]
    said = [record.getMessage() for record in caplog.records]
    assert not [text for text in said if TAG in text and "is read with torch" not in text]


def test_a_filter_ends_where_the_snapshot_lacks_the_default_tag_that_its_network_came_from(
    asked_site: Store, events: Path, tmp_path: Path
) -> None:
    publish_trained(asked_site, tmp_path / "default", seed=7, iov="0,0,0,1", state=None)
    publish_trained(asked_site, tmp_path / "default again", seed=8, iov="0,2,-1,-1")
    url = f"sqlite:///{tmp_path / 'site' / 'conditions.sqlite'}"
    snapshot = snapshot_of(asked_site, tmp_path / "snap" / "snapshot.sqlite", "mc16_v2", files=True)
    with running_server(url, tmp_path / "site" / "payloads", workers=1) as server:
        places = f"{server.url} {snapshot}"
        with pytest.raises(ModuleFailed, match=f"{TAG}.*from which this job has payloads"):
            filtered(events, tmp_path / "kept.parquet", places, Killer(server), tags=["mc16_v2"])
    assert not (tmp_path / "kept.parquet").exists()


def test_a_filter_names_the_default_tag_that_only_the_dead_server_had(
    asked_site: Store, events: Path, tmp_path: Path
) -> None:
    publish_trained(asked_site, tmp_path / "default", seed=7)
    asked_site.create_tag("first_run")
    rows = asked_site.list_iovs("online", run=Run(0, 1))
    asked_site.add_iovs("first_run", [(row.payload, row.iov) for row in rows])
    asked_site.publish_tag("first_run")
    url = f"sqlite:///{tmp_path / 'site' / 'conditions.sqlite'}"
    snapshot = snapshot_of(asked_site, tmp_path / "snap" / "snapshot.sqlite", "first_run", files=True)
    with running_server(url, tmp_path / "site" / "payloads", workers=1) as server:
        places = f"{server.url} {snapshot}"
        with pytest.raises(ModuleFailed, match=f"no tag '{TAG}' in {snapshot}"):
            filtered(events, tmp_path / "kept.parquet", places, Killer(server), tags=["first_run"])


def test_a_filter_is_replayed_from_its_record_whatever_happened_to_the_tag(
    site: Store, events: Path, tmp_path: Path
) -> None:
    url, record = f"sqlite:///{tmp_path / 'site' / 'conditions.sqlite'}", tmp_path / "job.json"
    words = ("filter", events, "--store", url, "--seed", 1)
    first = call(*words, "-o", tmp_path / "first.parquet", "--record", record)
    assert first.exit_code == 0, first.stderr
    site.set_state(TAG, TagState.INVALID)
    assert call(*words, "-o", tmp_path / "none.parquet").exit_code == 1
    again = call(*words, "-o", tmp_path / "again.parquet", "--replay", record)
    assert again.exit_code == 0, again.stderr
    assert same(read_events(tmp_path / "again.parquet"), read_events(tmp_path / "first.parquet"))
    other = write_events(tmp_path / "other.parquet", some_events(20, run=9))
    refused = call("filter", other, "--store", url, "--seed", 1, "-o", tmp_path / "x.parquet", "--replay", record)
    assert refused.exit_code == 3
    assert "for 0:9 in SmartBKG_GATGAP is not in the record" in refused.stderr
