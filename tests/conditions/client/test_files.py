"""Payload locations: folders and base URLs in order, every file compared with its digest."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conditions.client.cache import PayloadCache
from conditions.client.files import PayloadLocations, conventional_path
from conditions.offline.locations import Layout
from conditions.payload import Payload
from support.web import Web, web_server

CONTENT = b"gains of 2026"
PAYLOAD = Payload(
    "my gain.json",
    3,
    hashlib.sha256(CONTENT).hexdigest(),
    hashlib.md5(CONTENT, usedforsecurity=False).hexdigest(),
    len(CONTENT),
    {},
    datetime(2026, 1, 1, tzinfo=UTC),
    "tester",
)
ON_WEB = "/payloads/dbstore/my%20gain.json/dbstore_my%20gain.json_rev_3.root"


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    """A web server that has the payload below /payloads."""
    with web_server(tmp_path / "web", tmp_path / "notes") as server:
        path = server.folder / "payloads" / "dbstore" / PAYLOAD.name / f"dbstore_{PAYLOAD.name}_rev_3.root"
        path.parent.mkdir(parents=True)
        path.write_bytes(CONTENT)
        yield server


@pytest.fixture
def cache(tmp_path: Path) -> PayloadCache:
    return PayloadCache(tmp_path / "cache")


def put(folder: Path, layout: Layout, content: bytes = CONTENT) -> Path:
    path = folder / layout.path_of(PAYLOAD)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_conventional_path_is_ready_for_a_request() -> None:
    assert f"/payloads/{conventional_path(PAYLOAD)}" == ON_WEB


@pytest.mark.parametrize("layout", Layout)
def test_a_folder_in_front_needs_no_request(tmp_path: Path, web: Web, cache: PayloadCache, layout: Layout) -> None:
    expected = put(tmp_path / "folder", layout)
    locations = PayloadLocations([str(tmp_path / "folder"), f"{web.url}/payloads"], cache)
    assert locations.find(PAYLOAD) == expected
    assert web.requests() == []


def test_a_base_url_is_asked_once_for_all_processes_of_the_machine(
    tmp_path: Path, web: Web, cache: PayloadCache, caplog: pytest.LogCaptureFixture
) -> None:
    put(tmp_path / "folder", Layout.FLAT, b"other bytes")
    by_md5 = dataclasses.replace(PAYLOAD, sha256="", size_bytes=-1)
    for payload in (PAYLOAD, by_md5):
        locations = PayloadLocations([str(tmp_path / "folder"), f"{web.url}/payloads/"], PayloadCache(cache.folder))
        found = locations.find(payload)
        assert found is not None
        assert found.read_bytes() == CONTENT
    assert web.requests() == [f"GET {ON_WEB}"]
    assert "is skipped" in caplog.text


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 503, "retry_after": 0}, {"cut_bytes": 5}, {"flip": True}]
)
def test_a_fault_on_the_way_is_tried_again(web: Web, cache: PayloadCache, fault: dict[str, int]) -> None:
    web.faults({ON_WEB: [fault]})
    found = PayloadLocations([f"{web.url}/payloads"], cache).find(PAYLOAD)
    assert found is not None
    assert found.read_bytes() == CONTENT
    assert len(web.requests()) == 2


def test_wrong_bytes_and_absent_files_lead_to_the_next_location(
    web: Web, cache: PayloadCache, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = web.folder / "wrong" / ON_WEB.replace("%20", " ").removeprefix("/payloads/")
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(b"gains of 1999")
    places = [f"{web.url}/wrong", f"{web.url}/absent", f"{web.url}/payloads"]
    found = PayloadLocations(places, cache).find(PAYLOAD)
    assert found is not None
    assert found.read_bytes() == CONTENT
    said = [record.getMessage() for record in caplog.records]
    assert "my gain.json r3 does not come from" in said[0]
    assert "is corrupt" in said[0]
    assert "404" in said[1]
    assert PayloadLocations(places[:2], PayloadCache(cache.folder.parent / "fresh")).find(PAYLOAD) is None


@pytest.mark.parametrize("status", [400, 401, 403, 410])
def test_a_location_that_refuses_leads_to_the_next_one(web: Web, cache: PayloadCache, status: int) -> None:
    web.faults({f"/closed{ON_WEB.removeprefix('/payloads')}": [{"status": status}]})
    found = PayloadLocations([f"{web.url}/closed", f"{web.url}/payloads"], cache).find(PAYLOAD)
    assert found is not None
    assert len(web.requests()) == 2


def test_a_location_that_is_down_is_asked_no_more(
    web: Web, cache: PayloadCache, caplog: pytest.LogCaptureFixture
) -> None:
    web.kill()
    locations = PayloadLocations([f"{web.url}/payloads"], cache)
    assert locations.find(PAYLOAD) is None
    assert locations.find(PAYLOAD) is None
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["payload location http"]
