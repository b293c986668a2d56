"""A fresh installation filters with what came along; whoever configured something gets that."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from conditions.errors import PayloadNotHere, TagNotFound
from conditions.store import open_store
from smartbkg.defaults import MAX_BYTES, TAGS, shipped_snapshot, size_bytes
from smartbkg.errors import DefaultsDamaged, ModuleFailed, UnknownName
from smartbkg.events import read_metadata
from smartbkg.framework import create_path, process
from smartbkg.modules.filter import NNFilterModule
from smartbkg.modules.shipped import bundled_defaults, read_shipped
from support.batches import some_events, write_events
from support.shipped import installed, ship
from support.trained import publish_trained


@pytest.fixture
def events(tmp_path: Path) -> Path:
    return write_events(tmp_path / "events.parquet", some_events(60))


def kept(events: Path, directory: Path) -> dict[str, object]:
    """What a job says of its filter in the metadata of the file."""
    path, empty_path = create_path(), create_path()
    path.add_module("EventInput", input_files=events)
    path.add_module(NNFilterModule()).if_false(empty_path)
    path.add_module("EventOutput", output_file=directory / "kept.parquet")
    process(path, seed=1)
    step: dict[str, object] = read_metadata(directory / "kept.parquet")["provenance"][-1]
    return step


def test_with_nothing_configured_the_filter_is_the_one_that_came_along(
    tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot = installed(monkeypatch, tmp_path)
    with caplog.at_level(logging.INFO):
        step = kept(events, tmp_path)
    assert step["conditions"] == {"stack": [], "providers": [str(snapshot)]}
    wanted = {entry.payload.name: entry.payload.sha256 for entry in read_shipped(snapshot).payloads}
    assert {m["name"]: m["sha256"] for m in step["models"]} == {  # type: ignore[attr-defined]
        name: wanted[name] for name in ("GATGAPgen.pth", "GATGAPgen.onnx")
    }
    assert sum(str(snapshot) in record.message for record in caplog.records) == 1
    assert not (tmp_path / "home").exists()


def test_a_store_without_the_tag_lets_it_come_along_and_one_with_it_goes_first(
    tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    snapshot = installed(monkeypatch, tmp_path)
    site = tmp_path / "site.sqlite"
    monkeypatch.setenv("CONDITIONS_URL", str(site))
    with open_store(site) as store:
        assert kept(events, tmp_path)["conditions"]["providers"][-1] == str(snapshot)  # type: ignore[index]
        assert [r.message for r in caplog.records if "the defaults of this installation" in r.message] == [
            f"no tag 'SmartBKG_GATGAP' in sqlite:///{site}: it comes from the defaults of this installation, {snapshot}"
        ]
        published = publish_trained(store, tmp_path / "own", seed=9)
    step = kept(events, tmp_path)
    assert step["conditions"]["providers"] == [f"sqlite:///{site}"]  # type: ignore[index]
    assert step["models"][0]["sha256"] == published.payloads[0].sha256  # type: ignore[index]


def test_a_place_that_cannot_answer_stops_the_job(
    tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, tmp_path)
    monkeypatch.setenv("CONDITIONS_METADATA", "http://127.0.0.1:1")
    with pytest.raises(ModuleFailed, match=r"127\.0\.0\.1:1"):
        kept(events, tmp_path)


def test_what_came_along_can_be_switched_off(tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, tmp_path)
    monkeypatch.setenv("SMARTBKG_DEFAULTS", "off")
    assert bundled_defaults() is None
    with pytest.raises(ModuleFailed) as caught:
        kept(events, tmp_path)
    assert isinstance(caught.value.error, TagNotFound)
    with pytest.raises(UnknownName, match="known: off, on"):
        shipped_snapshot({"SMARTBKG_DEFAULTS": "maybe"})


def test_a_snapshot_is_read_with_its_tags_and_verified_byte_by_byte(tmp_path: Path) -> None:
    path = ship(tmp_path / "shipped")
    shipped = read_shipped(path)
    assert set(shipped.tags) == set(TAGS)
    assert shipped.verify(MAX_BYTES) == size_bytes(path.parent) > sum(e.payload.size_bytes for e in shipped.payloads)
    with pytest.raises(DefaultsDamaged, match="at most 1000"):
        shipped.verify(1000)
    file = shipped.file_of(shipped.payloads[0].payload)
    assert file is not None
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert shipped.file_of(shipped.payloads[0].payload) is None
    with pytest.raises(PayloadNotHere):
        shipped.verify(MAX_BYTES)


def test_a_snapshot_that_lacks_a_tag_is_refused(tmp_path: Path) -> None:
    from support.providers import snapshot_of

    with open_store(tmp_path / "store.sqlite") as store:
        publish_trained(store, tmp_path / "training")
        path = snapshot_of(store, tmp_path / "half" / "snapshot.sqlite", "SmartBKG_GATGAP", details=True, files=True)
    with pytest.raises(DefaultsDamaged, match="SmartBackground should be published"):
        read_shipped(path).verify(MAX_BYTES)
