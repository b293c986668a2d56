"""What every answer of the server has, whatever was asked."""

from __future__ import annotations

import pytest
import requests

from conditions.iov import IntervalOfValidity
from conditions.store.session import open_store
from conditions.store.wire_verbs import PAGE_ROWS
from support.server import Server
from support.stores import publish, tag_with, upload_text

READS = (
    "v2/globalTagStatus",
    "v2/globalTagType",
    "v2/globalTags",
    "v2/payloads",
    "gtstatus",
    "v2/gtstatus",
    "user_settings/CDB_PAYLOAD_BASE_URL",
    "v2/globalTag/none/globalTagPayloads",
)


@pytest.mark.parametrize("path", READS)
def test_every_read_answers_get_and_head_with_json(server: Server, path: str) -> None:
    got = requests.get(f"{server.url}/{path}", timeout=10)
    head = requests.head(f"{server.url}/{path}", timeout=10)
    assert (got.status_code, head.status_code, head.content) == (200, 200, b"")
    assert got.headers["content-type"] == head.headers["content-type"] == "application/json"
    assert isinstance(got.json(), list | dict)
    assert got.headers["cache-control"] == head.headers["cache-control"] == "no-cache"
    assert head.headers.get("content-length", got.headers.get("content-length")) == got.headers.get("content-length")


def test_a_list_that_is_sent_in_pieces_has_no_length_before_its_end(server: Server) -> None:
    tag = server.unique("pieces")
    with open_store(server.store_url, server.files, user="tester") as store:
        store.create_tag(tag)
        payload = upload_text(store, tag)
        store.add_iovs(tag, [(payload, IntervalOfValidity.parse(f"1,{run},1,{run}")) for run in range(2 * PAGE_ROWS)])
    url = f"{server.url}/v2/globalTag/{tag}/globalTagPayloads"
    head = requests.head(url, timeout=30)
    assert (head.status_code, "content-length" in head.headers) == (200, False)
    got = requests.get(url, timeout=30)
    assert got.headers["cache-control"] == "no-cache"
    assert [len(each["payloadIovs"]) for each in got.json()] == [2 * PAGE_ROWS]


def test_the_payloads_of_a_tag_are_told_once_and_those_of_no_tag_are_404(server: Server) -> None:
    tag = server.unique("listed")
    with open_store(server.store_url, server.files, user="tester") as store:
        tag_with(store, tag, f"{tag}_a", f"{tag}_b")
    found = requests.get(f"{server.url}/v2/globalTag/{tag}/payloads", timeout=30)
    assert [each["basf2Module"]["name"] for each in found.json()] == [f"{tag}_a", f"{tag}_b"]
    assert requests.get(f"{server.url}/v2/globalTag/{tag}_none/payloads", timeout=30).status_code == 404


def test_winners_of_published_tags_may_be_kept_for_a_while_also_from_a_stack(server: Server) -> None:
    fixed, other = server.unique("fixed"), server.unique("other")
    with open_store(server.store_url, server.files, user="tester") as store:
        for tag in (fixed, other):
            tag_with(store, tag, tag)
        publish(store, fixed)
        store.set_state(other, "TESTING")
    for stack, kept in (
        ([fixed], "public, max-age=60"),
        ([f"{fixed}@1"], "public, max-age=60"),
        ([fixed, fixed], "public, max-age=60"),
        ([fixed, other], "no-cache"),
        ([f"{other}@1"], "no-cache"),  # it may turn INVALID at any time
    ):
        answer = requests.get(f"{server.url}/v1/resolve", {"tag": stack, "run": "1,1"}, timeout=30)
        assert (answer.status_code, answer.headers.get("cache-control")) == (200, kept), answer.text
