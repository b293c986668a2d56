"""What somebody without a token may cost a server, and what he is told."""

from __future__ import annotations

import pytest
import requests

from conditions.server.limits import STRANGERS_BYTES
from conditions.store.session import open_store
from support.server import Server
from support.stores import tag_with


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "globalTag/%2500", None),
        ("GET", "globalTag/%2500/globalTagPayloads", None),
        ("GET", "iovPayloads?gtName=%2500&expNumber=1&runNumber=1", None),
        ("GET", "payloadiovs/?gtName=%2500&majorIOV=1&minorIOV=1", None),
        ("GET", "module/a%2500/payloads", None),
        ("POST", "checkPayloads", [{"name": "a\0", "checksum": "b"}]),
        ("POST", "checkPayloads", [{"name": "a", "checksum": "\0"}]),
    ],
)
def test_no_database_is_named_by_a_text_that_it_cannot_hold(
    server: Server, method: str, path: str, body: object
) -> None:
    answer = requests.request(method, f"{server.url}/v2/{path}", json=body, timeout=30)
    assert answer.status_code == 400
    assert "control character" in answer.json()["message"]


def test_large_bodies_are_taken_from_known_callers_only(server: Server) -> None:
    body = b"[" + b" " * STRANGERS_BYTES + b"]"
    for path in ("v2/checkPayloads", "v1/resolve", "v1/tags/x/iovs"):
        for pieces in (body, iter([body[:-1], body[-1:]])):  # with the length in the head, and without
            answer = requests.post(f"{server.url}/{path}", data=pieces, timeout=30)
            assert (answer.status_code, answer.json()["reason"]) == (413, "PayloadTooLarge")
    assert requests.post(f"{server.url}/v1/batch", data=body, timeout=30).status_code == 401
    with server.session(server.plain_token()) as session:
        answer = session.post(f"{server.url}/v2/checkPayloads", data=body, timeout=30)
        assert (answer.status_code, answer.json()) == (200, [])
        session.headers["X-Authorization"] += "x"
        answer = session.post(f"{server.url}/v2/checkPayloads", data=body, timeout=30)
        assert (answer.status_code, answer.json()["reason"]) == (401, "TokenRefused")


def test_no_json_is_as_large_as_an_upload_may_be(server: Server) -> None:
    with server.session(server.token()) as session:
        for path in ("v1/resolve", "v1/tags/x/iovs", "v2/checkPayloads"):
            answer = session.post(f"{server.url}/{path}", data=iter([b" " * (1 << 20)] * 65), timeout=30)
            assert (answer.status_code, answer.json()["reason"]) == (413, "PayloadTooLarge")


@pytest.mark.parametrize("value", ["1" + "0" * 29, '"\\ud800"', "[" * 300 + "]" * 300])
def test_metadata_that_nobody_could_read_again_are_refused_before_anything_is_kept(server: Server, value: str) -> None:
    name = server.unique("user_bob_odd")
    batch = f'{{"tag": "{name}", "create": true, "payloads": [{{"name": "{name}", "metadata": {{"a": {value}}}}}]}}'
    with server.session(server.plain_token("bob")) as session:
        parts = [("batch", (None, batch)), ("payload", ("x", b"bytes"))]
        answer = session.post(f"{server.url}/v1/batch", files=parts, timeout=30)
    assert (answer.status_code, answer.json()["code"]) == (400, 400)
    for place in (f"tags/{name}", f"payloads/{name}"):
        assert requests.get(f"{server.url}/v1/{place}", timeout=30).status_code == 404


def test_bytes_are_compared_for_known_callers_only(server: Server) -> None:
    tag = server.unique("known")
    with open_store(server.store_url, server.files, user="tester") as store:
        tag_with(store, tag, tag)
    places = [f"tags/{tag}/verify", f"tags/{tag}/check?verify=1", f"payloads/{tag}/1/verify"]
    with server.session() as stranger, server.session(server.plain_token()) as known:
        for place in places:
            refused = stranger.get(f"{server.url}/v1/{place}", timeout=30)
            assert (refused.status_code, refused.json()["reason"]) == (401, "TokenRefused")
            assert known.get(f"{server.url}/v1/{place}", timeout=30).status_code == 200
        plain = stranger.get(f"{server.url}/v1/tags/{tag}/check", timeout=30)
        assert (plain.status_code, plain.json()["ok"]) == (200, True)
