"""What HSF-style readers ask, at the root and below /v2."""

from __future__ import annotations

import io

import pytest
import requests

from conditions.iov import IntervalOfValidity
from conditions.store.session import open_store
from support.server import Server
from support.stores import publish

FOREVER = 9223372036854775807


@pytest.fixture
def tag(server: Server) -> str:
    """A published tag: two revisions that overlap, and a second name."""
    tag, first, second = server.unique("hsf:a+b"), server.unique("gain"), server.unique("noise")
    with open_store(server.store_url, str(server.files), "ada") as store:
        store.create_tag(tag)
        for name, content, iov in (
            (first, b"1", "0,0,-1,-1"),
            (first, b"2", "5,3,7,-1"),
            (second, b"3", "5,0,5,9"),
        ):
            payload = store.upload(name, io.BytesIO(content + tag.encode()))
            store.add_iov(tag, name, payload.revision, IntervalOfValidity.parse(iov))
        publish(store, tag)
    return tag


@pytest.mark.parametrize("prefix", ["", "v2/"])
def test_a_reader_goes_its_way(server: Server, tag: str, prefix: str) -> None:
    base = f"{server.url}/{prefix}"
    assert {"name": "PUBLISHED"} in requests.get(f"{base}gtstatus", timeout=20).json()
    assert requests.get(f"{base}globalTag/{tag}", timeout=20).json()["status"]["name"] == "PUBLISHED"
    payload_base = requests.get(f"{base}user_settings/CDB_PAYLOAD_BASE_URL", timeout=20).json()["CDB_PAYLOAD_BASE_URL"]
    params: dict[str, str | int] = {"gtName": tag, "majorIOV": 5, "minorIOV": 3, "shape": "dict"}
    found = requests.get(f"{base}payloadiovs/", params=params, timeout=20).json()
    assert [(each["revision"], each["major_iov"], each["minor_iov"]) for each in found] == [("2", 5, 3), ("1", 5, 0)]
    assert [(each["major_iov_end"], each["minor_iov_end"]) for each in found] == [(7, FOREVER), (5, 9)]
    assert {type(each["size"]) for each in found} == {int}
    for each in found:
        content = requests.get(payload_base + each["payload_url"], timeout=20).content
        assert len(content) == each["size"]
        assert content.endswith(tag.encode())


def test_an_open_end_is_the_largest_number(server: Server, tag: str) -> None:
    params: dict[str, str | int] = {"gtName": tag, "majorIOV": 5, "minorIOV": 2, "shape": "dict"}
    found = requests.get(f"{server.url}/payloadiovs/", params=params, timeout=20).json()
    ends = {
        each["revision"]: (each["major_iov_end"], each["minor_iov_end"])
        for each in found
        if "gain" in each["payload_url"]
    }
    assert ends == {"1": (FOREVER, FOREVER)}


@pytest.mark.parametrize("quoted", ["{}", "%25"])
def test_a_name_may_be_quoted_twice(server: Server, tag: str, quoted: str) -> None:
    once = requests.utils.quote(tag, safe="")  # type: ignore[attr-defined]
    name = once if quoted == "{}" else once.replace("%", "%25")
    for url in (f"/globalTag/{name}", f"/payloadiovs/?gtName={name}&majorIOV=5&minorIOV=3&shape=dict"):
        assert requests.get(server.url + url, timeout=20).status_code == 200
    for url in (f"/v2/iovPayloads?gtName={name}&expNumber=5&runNumber=3", f"/v2/globalTag/{name}/globalTagPayloads"):
        assert len(requests.get(server.url + url, timeout=20).json()) == 3


def test_an_invalid_tag_gives_nothing_to_a_reader(server: Server, tag: str) -> None:
    with open_store(server.store_url, str(server.files), "ada") as store:
        store.set_state(tag, "INVALID")
    assert requests.get(f"{server.url}/globalTag/{tag}", timeout=20).json()["status"]["name"] == "INVALID"
    params: dict[str, str | int] = {"gtName": tag, "majorIOV": 5, "minorIOV": 3, "shape": "dict"}
    refused = requests.get(f"{server.url}/payloadiovs/", params=params, timeout=20)
    assert (refused.status_code, refused.json()["reason"]) == (409, "TagNotUsable")
