"""What servers and records say names files only where it may: nothing of this machine is read, written or removed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from conditions import Client, Run
from conditions.client.cache import PayloadCache
from conditions.client.http_source import HttpSource
from conditions.client.record import JobRecord
from conditions.errors import BadAnswer, BadInputError, BadRecord
from support.rows import payload
from support.web import Web, web_server

SOUND: dict[str, Any] = {
    "id": 1,
    "name": "gain",
    "revision": 1,
    "sha256": "ab" * 32,
    "md5": "cd" * 16,
    "size_bytes": 4,
    "iov": "0,0,-1,-1",
    "tag": "t",
    "url": "files/1",
}
LIES = [
    ("md5", "../../victim"),
    ("md5", "/victim"),
    ("sha256", "../victim"),
    ("sha256", 12),
    ("name", "../victim"),
    ("name", ["gain"]),
    ("revision", "1/../../victim"),
    ("revision", -1),
    ("size_bytes", "4"),
]


def shown(each: object) -> str:
    return str(each).replace("/", "|")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("hostile")
    with web_server(folder / "web", folder / "notes") as web:
        yield web


@pytest.mark.parametrize(("field", "lie"), LIES, ids=shown)
def test_what_v1_says_of_a_payload_names_no_other_file(tmp_path: Path, web: Web, field: str, lie: object) -> None:
    facts = {"id": 1, "name": "t", "state": "PUBLISHED", "content_revision": 1, "digest": None}
    item = {**SOUND, field: lie}
    _say(web, "one/v1/openapi.json", {})
    _say(web, "one/v1/resolve", {"run": "7:1", "holds": "0,0,-1,-1", "tags": [facts], "payloads": [item]})
    _refused(tmp_path, f"{web.url}/one")


def test_an_answer_about_other_runs_is_not_believed(tmp_path: Path, web: Web) -> None:
    facts = {"id": 1, "name": "t", "state": "PUBLISHED", "content_revision": 1, "digest": None}
    _say(web, "four/v1/openapi.json", {})
    _say(web, "four/v1/resolve", {"run": "6:1", "holds": "6,0,6,-1", "tags": [facts], "payloads": [SOUND]})
    _refused(tmp_path, f"{web.url}/four")


@pytest.mark.parametrize(
    ("field", "lie"),
    [("checksum", "../../victim"), ("checksum", ""), ("revision", "-1"), ("basf2Module", {"name": "../victim"})],
    ids=shown,
)
def test_what_the_wire_of_belle2_says_names_no_other_file(tmp_path: Path, web: Web, field: str, lie: object) -> None:
    known = {"payloadId": 1, "checksum": "cd" * 16, "revision": 1, "basf2Module": {"name": "gain"}}
    where = {"baseUrl": web.url, "payloadUrl": "x"}
    iov = {"payloadIovId": 1, "expStart": 0, "runStart": 0, "expEnd": -1, "runEnd": -1}
    _say(web, "two/v2/globalTagStatus", [])
    _say(web, "two/v2/globalTag/t", {"name": "t", "globalTagId": 1, "globalTagStatus": {"name": "PUBLISHED"}})
    _say(web, "two/v2/iovPayloads/index.html", [{"payload": {**known, **where, field: lie}, "payloadIov": iov}])
    _refused(tmp_path, f"{web.url}/two")


def test_a_server_that_speaks_of_another_tag_is_not_believed(tmp_path: Path, web: Web) -> None:
    _say(web, "three/v2/globalTagStatus", [])
    _say(web, "three/v2/globalTag/t", {"name": "u", "globalTagId": 1, "globalTagStatus": {"name": "PUBLISHED"}})
    _refused(tmp_path, f"{web.url}/three")


@pytest.mark.parametrize(("field", "lie"), LIES[:3] + LIES[4:5] + LIES[6:8], ids=shown)
def test_a_record_names_no_other_file(field: str, lie: object) -> None:
    record = JobRecord().to_json() | {"payloads": [{**SOUND, field: lie}]}
    with pytest.raises(BadRecord):
        JobRecord.from_json(record)


def test_the_cache_itself_takes_no_digest_that_is_none(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    told = replace(payload("gain", 1), sha256="", md5="../../victim")
    with pytest.raises(BadInputError):
        PayloadCache(tmp_path / "cache").path_of(told, lambda sink: None)
    assert victim.read_text() == "mine"


def _say(web: Web, path: str, answer: object) -> None:
    """What the server answers at a path."""
    target = web.folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(answer))


def _refused(tmp_path: Path, url: str) -> None:
    """A client of this server ends with an error that names it, and files beside its cache are as they were."""
    victim = tmp_path / "victim"
    victim.write_text("mine")
    source = HttpSource(url, PayloadCache(tmp_path / "cache"))
    with Client(source, "t") as client, pytest.raises(BadAnswer, match=r"127\.0\.0\.1"):
        client.path(client.get("gain", Run(7, 1)))
    assert victim.read_text() == "mine"
