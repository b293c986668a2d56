"""Payload bytes: ranges, ETags, and files that are damaged."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from conditions.payload import Payload
from conditions.server.problems import RequestRefused
from conditions.server.sending import span_of
from conditions.store.session import open_store
from support.server import Server, running_server

CONTENT = bytes(range(256)) * 4096 * 3  # 3 MiB: more than is read at once


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("sending")
    with running_server(f"sqlite:///{folder}/c.sqlite", folder / "files", workers=1) as running:
        yield running


def uploaded(server: Server, name: str, content: bytes) -> Payload:
    with open_store(server.store_url, str(server.files), "ada") as store:
        return store.upload(name, io.BytesIO(content))


def url_of(server: Server, payload: Payload) -> str:
    return f"{server.url}/dbstore/{payload.name}/dbstore_{payload.name}_rev_{payload.revision}.root"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-9", 0, 9),
        ("bytes=1048570-1048580", 1_048_570, 1_048_580),
        ("bytes=100-", 100, len(CONTENT) - 1),
        ("bytes=-5", len(CONTENT) - 5, len(CONTENT) - 1),
        ("bytes=-999999999", 0, len(CONTENT) - 1),
        ("bytes=5-999999999", 5, len(CONTENT) - 1),
        ("Bytes=7-8", 7, 8),
    ],
)
def test_a_range_is_answered_with_its_bytes(served: Server, asked: str, first: int, last: int) -> None:
    payload = uploaded(served, "ranges.bin", CONTENT)
    answer = requests.get(url_of(served, payload), headers={"Range": asked}, timeout=20)
    assert (answer.status_code, answer.content == CONTENT[first : last + 1]) == (206, True)
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{len(CONTENT)}"
    assert answer.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize("asked", ["", "lines=1-2", "bytes=a-b", "bytes=5-3", "bytes=1-2,5-6", "bytes=-", "bytes"])
def test_what_is_no_single_range_gets_everything(served: Server, asked: str) -> None:
    payload = uploaded(served, "ranges.bin", CONTENT)
    answer = requests.get(url_of(served, payload), headers={"Range": asked}, timeout=20)
    assert (answer.status_code, answer.content == CONTENT) == (200, True)


@pytest.mark.parametrize("asked", [f"bytes={len(CONTENT)}-", "bytes=-0", "bytes=99999999-999999999"])
def test_a_range_without_bytes_is_416(served: Server, asked: str) -> None:
    payload = uploaded(served, "ranges.bin", CONTENT)
    answer = requests.get(url_of(served, payload), headers={"Range": asked}, timeout=20)
    assert (answer.status_code, answer.json()["code"]) == (416, 416)
    assert answer.headers["content-range"] == f"bytes */{len(CONTENT)}"


def test_an_empty_payload_has_no_ranges_and_is_sent() -> None:
    assert span_of({}, 0, '"x"').count == 0
    with pytest.raises(RequestRefused):
        span_of({"range": "bytes=0-"}, 0, '"x"')


def test_bytes_may_be_kept_for_ever_and_are_known_again(served: Server) -> None:
    payload = uploaded(served, "kept.bin", CONTENT)
    first = requests.get(url_of(served, payload), timeout=20)
    assert first.headers["etag"] == f'"{payload.sha256}"'
    assert "immutable" in first.headers["cache-control"]
    assert first.headers["content-type"] == "application/octet-stream"
    for asked in (first.headers["etag"], f'W/"x", {first.headers["etag"]}', "*"):
        again = requests.get(url_of(served, payload), headers={"If-None-Match": asked}, timeout=20)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    other = requests.get(url_of(served, payload), headers={"If-None-Match": '"other"'}, timeout=20)
    assert other.status_code == 200
    stale = {"Range": "bytes=0-9", "If-Range": '"other"'}
    assert requests.get(url_of(served, payload), headers=stale, timeout=20).status_code == 200
    head = requests.head(url_of(served, payload), timeout=20)
    assert (head.headers["content-length"], head.content) == (str(len(CONTENT)), b"")


@pytest.mark.parametrize("name", ["GATGAPgen.pth", "with space", "a#b?c%41&d", "ä€", "a+b=c;d", "%2e%2e", "a.rev_1.b"])
def test_every_name_has_a_url_that_works(served: Server, name: str) -> None:
    content = hashlib.sha256(name.encode()).digest()
    uploaded(served, name, content)
    listed = requests.get(f"{served.url}/v2/payloads", timeout=20).json()
    found = next(each for each in listed if each["basf2Module"]["name"] == name)
    for url in (found["payloadUrl"], found["payloadUrl"].replace("%", "%25")):  # quoted once, or twice
        answer = requests.get(found["baseUrl"] + url, timeout=20)
        assert (answer.status_code, answer.content) == (200, content)


def test_a_damaged_file_is_never_sent_and_a_mended_one_is(served: Server) -> None:
    payload = uploaded(served, "damaged.bin", CONTENT[:-1])
    path = Path(served.files) / payload.sha256[:2] / payload.sha256
    assert requests.get(url_of(served, payload), timeout=20).content == CONTENT[:-1]
    path.chmod(0o644)
    path.write_bytes(CONTENT[:-2] + b"!")
    damaged = requests.get(url_of(served, payload), timeout=20)
    assert (damaged.status_code, damaged.json()["reason"]) == (500, "PayloadCorrupt")
    path.unlink()
    lost = requests.get(url_of(served, payload), timeout=20)
    assert (lost.status_code, lost.json()["reason"]) == (410, "PayloadLost")
    uploaded(served, "damaged.bin", CONTENT[:-1])
    assert requests.get(url_of(served, payload), timeout=20).content == CONTENT[:-1]


def test_a_client_that_leaves_in_the_middle_keeps_no_file_open(served: Server) -> None:
    payload = uploaded(served, "large.bin", CONTENT * 20)
    with requests.get(url_of(served, payload), timeout=20, stream=True) as answer:
        assert answer.raw.read(1000) == CONTENT[:1000]
    deadline = time.monotonic() + 20
    while any(payload.sha256 in handle for handle in open_files(served)):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def open_files(server: Server) -> list[str]:
    return [str(path.resolve()) for path in Path(f"/proc/{server.workers()[0]}/fd").iterdir()]
