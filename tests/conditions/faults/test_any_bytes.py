"""Requests made at random, from those nearly right to those that are no HTTP: every answer is JSON, none is a 500."""

from __future__ import annotations

import json
import socket
from contextlib import closing
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.processes import STRESS
from support.server import Server

EXAMPLES = 250 * STRESS
SILENCE_S = 1.0  # a request that is not whole gets no answer
NASTY = [
    *[
        "x",
        "user_ada_x",
        "../",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e",
        "%252e%252e%252f",
        "%00",
        "a%0d%0ab",
        "%",
        "%zz",
        "%25",
        "%2525",
        "%ff%fe",
        "%C3%A9",
    ],
    *[
        "a+b",
        "a@1",
        "a@99999999999999999999",
        "*",
        "?",
        "[",
        "(",
        "(?!)",
        "-1",
        "0",
        "1",
        "1.5",
        "1e3",
        "true",
        "null",
        "NaN",
        "0x10",
        "1_0",
        "0,0,-1,-1",
        "1,0,0,0",
    ],
    *[
        "0,0,-1,5",
        "7,1",
        "1,1,1",
        ",,,",
        "2147483646",
        "2147483647",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
    ],
    *("\u00e9", "\uff11", "a b", "", "a" * 5_000, "9" * 400),
]
PLACES = [
    "/v2/globalTags",
    "/v2/globalTags/{}",
    "/v2/globalTag",
    "/v2/globalTag/{}",
    "/v2/globalTag/{}/globalTagPayloads",
    "/v2/globalTag/{}/payloads",
    "/v2/globalTag/{}/updateGlobalTagStatus/{}",
    "/v2/payloads",
    "/v2/payload/{}",
    "/v2/module/{}/payloads",
    "/v2/checkPayloads",
    "/v2/package/dbstore/module/{}/payload",
    "/v2/iovPayloads",
    "/v2/payloadIov/{}",
    "/v2/globalTagPayload/{},{}/payloadIov/{},{},{},{}",
    "/v2/globalTagPayload/{}/updateRunningPayloads",
    "/gtstatus",
    "/globalTag/{}",
    "/payloadiovs/",
    "/user_settings/{}",
    "/dbstore/{}/dbstore_{}_rev_{}.root",
    "/v1/",
    "/v1/openapi.json",
    "/v1/tags",
    "/v1/tags/{}",
    "/v1/tags/{}/state",
    "/v1/tags/{}/publish",
    "/v1/tags/{}/clone",
    "/v1/tags/{}/merge",
    "/v1/tags/{}/running-update",
    "/v1/tags/{}/iovs",
    "/v1/tags/{}/iovs/{}",
    "/v1/tags/{}/iovs/copy",
    "/v1/tags/{}/iovs/modify",
    "/v1/tags/{}/iovs/delete",
    "/v1/tags/{}/history",
    "/v1/tags/{}/digest",
    "/v1/tags/{}/check",
    "/v1/tags/{}/verify",
    "/v1/tags/{}/payloads",
    "/v1/diff",
    "/v1/batch",
    "/v1/payloads",
    "/v1/payloads/{}",
    "/v1/payloads/{}/{}",
    "/v1/payloads/{}/{}/file",
    "/v1/files/{}",
    "/v1/audit",
    "/v1/resolve",
    "/v1/facts",
    "/health",
    "/ready",
    "/nothing/{}",
]
FIELDS = [
    "name",
    "description",
    "type",
    "globalTagId",
    "globalTagType",
    "state",
    "sources",
    "staging",
    "first_run",
    "mode",
    "iovs",
    "iov",
    "last",
    "rows",
    "target",
    "to",
    "expected_revision",
    "dry_run",
    "tags",
    "runs",
    "names",
    "allow_open",
    "as_of",
    "operation",
    "data",
    "checksum",
    "revision",
    "ids",
    "regex",
    "within",
]
ASKED = [
    "gtName",
    "expNumber",
    "runNumber",
    "majorIOV",
    "minorIOV",
    "shape",
    "tag",
    "run",
    "name",
    "after",
    "limit",
    "left",
    "right",
    "revision",
    "as_of",
    "allow_open",
    "within",
    "regex",
    "state",
    "all",
    "since",
    "expStart",
    "runEnd",
    "payload",
    "subject",
]
METHODS = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]) | st.sampled_from(
    ["HEAD", "OPTIONS", "TRACE", "BREW", "get"]
)
EXTRA = [
    b"",
    b"Range: bytes=5-1\r\n",
    b"If-None-Match: \xff\r\n",
    b"Host: \xff\r\n",
    b"bad\r\n",
    b"X-Request-ID: \x01\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\nConnection: Upgrade\r\n",
    b"Content-Encoding: gzip\r\n",
]
NO_JSON = [b"[" * 50_000, b'{"name": "\\ud800"}', b'{"name": "\xff"}', b'{"name": 1e999}', b"--b--\r\n"]
PART = b'--b\r\nContent-Disposition: x; name="json"\r\n\r\n%s\r\n'
NUMBERS = [2**31 - 2, 2**63, -(2**63), 10**400]
words = st.just("known") | st.sampled_from(NASTY) | st.sampled_from(["known", "1", "OPEN", "DEV", "1,1"])
values = st.recursive(
    words | st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(NUMBERS) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=5),
    max_leaves=8,
)


@st.composite
def targets(draw: st.DrawFn) -> bytes:
    place = draw(st.sampled_from(PLACES))
    path = place.format(*[draw(words) for _ in range(place.count("{}"))])
    asked = draw(st.lists(st.tuples(st.sampled_from(ASKED), words), max_size=4))
    query = "&".join(f"{name}={value}" for name, value in asked)
    return (path + ("?" + query if query else "")).replace(" ", "%20").encode("utf-8")


@st.composite
def bodies(draw: st.DrawFn) -> tuple[str, bytes]:
    """A type and the bytes, which need not fit."""
    objects = st.dictionaries(st.sampled_from(FIELDS), values, max_size=6)
    boundary = draw(st.sampled_from(["b", "", "b" * 300, "b b", 'b"', "\u00e9"]))
    said = draw(
        st.one_of(
            st.just(b""),
            st.binary(max_size=40),
            (objects | values).map(lambda value: json.dumps(value).encode()),
            objects.map(lambda value: json.dumps(value).encode()[:-1]),
            st.sampled_from(
                [b"[" * 50_000, b'{"name": "\\ud800"}', b'{"name": "\xff"}', b'{"name": 1e999}', b"--b--\r\n"]
            ),
            st.lists(st.binary(max_size=20), max_size=3).map(
                lambda parts: b"".join(
                    b'--b\r\nContent-Disposition: x; name="json"\r\n\r\n%s\r\n' % part for part in parts
                )
            ),
        )
    )
    kinds = ["application/json", "text/plain", "", f"multipart/mixed; boundary={boundary}"]
    kinds.append("multipart/form-data; boundary=b")
    return draw(st.sampled_from(kinds)), said


raw_targets = st.binary(max_size=30).filter(lambda raw: b"\n" not in raw and b" " not in raw)


@given(
    method=METHODS,
    target=targets() | targets() | targets() | raw_targets,
    body=bodies(),
    framing=st.sampled_from(["right", "right", "right", "chunked", "short", "long", "none", "bad chunk"]),
    extra=st.just(b"") | st.sampled_from(EXTRA),
)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_answer_is_json_and_none_is_a_500(
    spoilt: Server, method: str, target: bytes, body: tuple[str, bytes], framing: str, extra: bytes
) -> None:
    token = _token(spoilt)
    head = b"%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % (method.encode(), target, token)
    head += b"Connection: close\r\n" + extra
    if body[0]:
        head += b"Content-Type: %s\r\n" % body[0].encode("latin-1", "replace")
    sent = head + framed(framing, body[1])
    for answer in asked(spoilt, method, sent, whole=framing not in ("long", "none")):
        status, kind, said = answer
        assert status != 500, (sent, said)
        assert b"<html" not in said.lower(), (sent, said)
        if kind == "text/plain; version=1.0.0; charset=utf-8":
            continue
        if status >= 400:
            assert kind == "application/json", (sent, answer)
            if method != "HEAD":
                problem = json.loads(said)
                assert problem["code"] == status, (sent, said)
                assert isinstance(problem["reason"], str)
                assert isinstance(problem.get("message", ""), str)
        elif method not in ("HEAD", "get") and status not in (204, 302, 304):
            assert kind == "application/json", (sent, answer)
            json.loads(said)


def test_after_all_that_both_workers_are_the_same_and_well(spoilt: Server) -> None:
    assert len(spoilt.workers()) == 2
    log = spoilt.log.read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in log, log[log.index("Traceback") - 300 :][:4000]
    assert "another one takes its place" not in log
    assert spoilt.session().get(f"{spoilt.url}/ready", timeout=30).json() == {"status": "ok"}


_tokens: dict[str, bytes] = {}


def _token(server: Server) -> bytes:
    if server.url not in _tokens:
        _tokens[server.url] = server.token().encode()
    return _tokens[server.url]


def framed(how: str, body: bytes) -> bytes:
    """The rest of a request's head, and its body."""
    match how:
        case "chunked":
            return (
                b"Transfer-Encoding: chunked\r\n\r\n"
                + (b"%x\r\n%s\r\n" % (len(body), body) if body else b"")
                + b"0\r\n\r\n"
            )
        case "bad chunk":
            return b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + body
        case "short":
            return b"Content-Length: %d\r\n\r\n" % (len(body) // 2) + body
        case "long":
            return b"Content-Length: %d\r\n\r\n" % (len(body) + 10) + body
        case "none":
            return b"\r\n" + body
        case _:
            return b"Content-Length: %d\r\n\r\n" % len(body) + body


def asked(server: Server, method: str, sent: bytes, *, whole: bool) -> list[tuple[int, str, bytes]]:
    """Status, type and body of the answer, if there is one: whoever is not understood may also be left alone."""
    where = urlsplit(server.url)
    with closing(socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=30)) as connection:
        try:
            connection.sendall(sent)
            if not whole:
                connection.settimeout(SILENCE_S)
            answer = HTTPResponse(connection, method=method)
            answer.begin()
            return [(answer.status, answer.getheader("content-type", ""), answer.read())]
        except TimeoutError:
            assert not whole, sent
            return []
        except (ConnectionError, HTTPException):
            return []
