"""Requests that nobody should send: each gets a clear answer in JSON, and the server goes on."""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from support.server import Server, open_files, running_server

LIMIT = 1 << 20
IDLE_S = 0.5
UPLOAD = "/v2/package/dbstore/module/user_ada_x/payload"
JSON_PART = b'--b\r\nContent-Disposition: form-data; name="json"\r\n\r\n{"checksum": "%s"}\r\n' % (b"0" * 32)
FILE_PART = b'--b\r\nContent-Disposition: form-data; name="/a/b.root"\r\n\r\nbytes\r\n'


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that takes little and waits for little."""
    folder = tmp_path_factory.mktemp("limited")
    options = ["--max-body", str(LIMIT), "--body-idle", str(IDLE_S), "--spool", str(folder / "spool")]
    (folder / "spool").mkdir()
    with running_server(f"sqlite:///{folder}/c.sqlite", folder / "files", options=options) as running:
        yield running


def connect(server: Server) -> socket.socket:
    where = urlsplit(server.url)
    connection = socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def said(connection: socket.socket) -> tuple[int, dict[str, object]]:
    """Status and JSON of the answer; the connection is read to its end or to the end of the body."""
    received = b""
    while b"\r\n\r\n" not in received or len(received.partition(b"\r\n\r\n")[2]) < length_of(received):
        piece = connection.recv(65_536)
        if not piece:
            break
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower(), received
    return int(head.split()[1]), json.loads(body)


def length_of(received: bytes) -> int:
    for line in received.partition(b"\r\n\r\n")[0].lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.split(b":")[1])
    return 0


def is_problem(status: int, body: dict[str, object]) -> None:
    assert set(body) - {"details"} == {"code", "reason", "message"}
    assert body["code"] == status
    assert isinstance(body["reason"], str)
    assert body["reason"].isidentifier()
    assert isinstance(body["message"], str)


def post(server: Server, head: str, body: bytes = b"", path: str = UPLOAD) -> socket.socket:
    """Send the beginning of a request with a good token."""
    connection = connect(server)
    lines = f"POST {path} HTTP/1.1\r\nHost: x\r\nX-Authorization: Bearer {server.token()}\r\n{head}\r\n"
    connection.sendall(lines.encode() + body)
    return connection


def test_a_tls_hello_is_dropped_without_a_byte(limited: Server) -> None:
    with closing(connect(limited)) as connection:
        connection.sendall(bytes.fromhex("160301020001000" + "1fc0303" + "00" * 40))
        with suppress(ConnectionResetError):
            assert connection.recv(100) == b""
    context = ssl.create_default_context()
    with closing(connect(limited)) as connection, pytest.raises(OSError):  # noqa: PT011
        context.wrap_socket(connection, server_hostname="localhost")


@pytest.mark.parametrize(
    "lines",
    [
        b"hello\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v2/globalTags HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET /v2/globalTags HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /v2/checkPayloads HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n[]",
        b"POST /v2/checkPayloads HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n[]",
        b"POST /v2/checkPayloads HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET \xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /v2/\xc3\xa4 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n",
        b"G\0T / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_json(limited: Server, lines: bytes) -> None:
    with closing(connect(limited)) as connection:
        connection.sendall(lines)
        status, body = said(connection)
    is_problem(status, body)
    assert 400 <= status < 500


def test_endless_headers_are_refused(limited: Server) -> None:
    with closing(connect(limited)) as connection:
        connection.sendall(b"GET /v2/globalTags HTTP/1.1\r\n" + b"X-A: %s\r\n" % (b"a" * 1000) * 100)
        status, body = said(connection)
        assert status == 431
        is_problem(status, body)
    with closing(connect(limited)) as connection:
        connection.sendall(b"GET /" + b"a" * 100_000)
        assert said(connection)[0] == 431


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v2/payloadIov/1", "DELETE, PUT"),
        ("/v2/globalTag/x", "GET, HEAD, POST"),
        ("/globalTag/x", "GET, HEAD"),
        ("/v2/globalTag", "PUT"),
        ("/v1/tags", "GET, HEAD, POST"),
    ],
)
def test_a_wrong_method_is_told_all_that_are_right(limited: Server, path: str, methods: str) -> None:
    answer = requests.patch(limited.url + path, timeout=20)
    assert (answer.status_code, answer.headers["allow"]) == (405, methods)
    assert methods in answer.json()["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/index.html", 404),
        ("GET", "/v2", 404),
        ("GET", "/v2/", 404),
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/globalTags/", 404),
        ("GET", "/v2/payloads/", 404),
        ("POST", "/v2/checkPayloads/", 404),
        ("GET", "/v1/tags/", 404),
        ("GET", "/v1/nothing", 404),
        ("POST", "/v2/globalTags", 405),
        ("DELETE", "/v2/globalTag/x", 405),
        ("PATCH", "/gtstatus", 405),
        ("BREW", "/v2/globalTags", 400),
        ("GET", "/v2/globalTag/%zz", 400),
        ("GET", "/v2/globalTag/%", 400),
        ("GET", "/v2/globalTag/a%00b", 400),
        ("GET", "/v2/globalTag/a%0d%0aX-A:1", 400),
        ("GET", "/v2/globalTag/%ff%fe", 400),
        ("GET", "/v2/globalTag/%2500", 400),
        ("GET", "/v2/globalTag/..%2f..%2fetc%2fpasswd", 404),
        ("GET", "/v2/globalTag/%252e%252e%252f", 404),
        ("GET", "/dbstore/../../etc/passwd", 404),
        ("GET", "/dbstore/%2e%2e/%2e%2e/secret", 404),
        ("GET", "/dbstore/a/dbstore_b_rev_1.root", 404),
        ("GET", "/dbstore/a/dbstore_a_rev_0.root", 404),
        ("GET", "/dbstore/a/dbstore_a_rev_99999999999999999999.root", 404),
        ("GET", "/dbstore/..%252f..%252fkey/dbstore_..%252f..%252fkey_rev_1.root", 404),
        ("GET", "/v2/payload/999999999999999999", 404),
        ("GET", "/v2/payload/99999999999999999999", 400),
        ("GET", "/v2/payload/-1", 404),
        ("GET", "/v2/payload/one", 400),
        ("GET", "/v2/iovPayloads", 400),
        ("GET", "/v2/iovPayloads?gtName=x&expNumber=1", 400),
        ("GET", "/v2/iovPayloads?gtName=x&expNumber=1&runNumber=2", 404),
        ("GET", "/v2/iovPayloads?gtName=x&expNumber=-1&runNumber=2", 400),
        ("GET", "/v2/iovPayloads?gtName=x&expNumber=1e3&runNumber=2", 400),
        ("GET", "/v2/iovPayloads?gtName=x&expNumber=99999999999999999&runNumber=2", 400),
        ("GET", "/v2/iovPayloads?gtName=%zz&expNumber=1&runNumber=2", 400),
        ("GET", "/v2/iovPayloads?gtName=%00&expNumber=1&runNumber=2", 400),
        ("GET", "/payloadiovs/?gtName=x&majorIOV=1&minorIOV=2&shape=dict", 404),
        ("GET", "/payloadiovs/?majorIOV=1&minorIOV=2", 400),
    ],
)
def test_every_wrong_place_says_so_in_json(limited: Server, method: str, path: str, status: int) -> None:
    with closing(connect(limited)) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        found, body = said(connection)
    is_problem(found, body)
    assert found == status, body


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v2/checkPayloads", b""),
        ("/v2/checkPayloads", b"{}"),
        ("/v2/checkPayloads", b"[1]"),
        ("/v2/checkPayloads", b'[{"name": 1, "checksum": "a"}]'),
        ("/v2/checkPayloads", b"[" * 100_000),
        ("/v2/checkPayloads", b"\xff\xfe"),
        ("/v2/checkPayloads", json.dumps([{"name": "a", "checksum": "b"}] * 1001).encode()),
        ("/v2/globalTag/DEV", b"[]"),
        ("/v2/globalTag/DEV", b"{}"),
        ("/v2/globalTag/DEV", b'{"name": null}'),
        ("/v2/globalTag/DEV", b'{"name": "a/b"}'),
        ("/v2/globalTag/DEV", b'{"name": "a\\u0000b"}'),
        ("/v2/globalTag/DEV", b'{"name": "x", "description": "a\\u0000b"}'),
        ("/v2/globalTag/DEV", b'{"name": "x", "description": 7}'),
        ("/v2/globalTag/NONE", b'{"name": "x"}'),
        ("/v2/globalTags/none", b""),
        ("/v2/globalTagPayload/1/payloadIov/1,1,1,1", b""),
        ("/v2/globalTagPayload/1,1/payloadIov/1,1,1", b""),
        ("/v2/globalTagPayload/1,1/payloadIov/a,1,1,1", b""),
        ("/v2/globalTagPayload/x/updateRunningPayloads", b"{}"),
        ("/v2/globalTagPayload/x/updateRunningPayloads", b'[{"operation": "DROP", "data": []}]'),
        ("/v2/globalTagPayload/x/updateRunningPayloads", b'[{"operation": "MODIFY", "data": [1, 2]}]'),
        ("/v2/globalTagPayload/x/updateRunningPayloads", b'[{"operation": "MODIFY", "data": [1, "2", 3]}]'),
        ("/v2/globalTagPayload/x/updateRunningPayloads", b'[{"operation": "CREATE", "data": [1, 0, 0, -1, 3]}]'),
    ],
)
def test_what_cannot_be_meant_is_400(limited: Server, path: str, body: bytes) -> None:
    answer = limited.session(limited.token()).post(limited.url + path, data=body, timeout=20)
    is_problem(answer.status_code, answer.json())
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", b"bytes"),
        ("application/json", b"{}"),
        ("multipart/mixed", JSON_PART + FILE_PART + b"--b--\r\n"),
        ("multipart/mixed; boundary=", JSON_PART + FILE_PART + b"--b--\r\n"),
        (f"multipart/mixed; boundary={'b' * 1000}", JSON_PART + FILE_PART + b"--b--\r\n"),
        ("multipart/mixed; boundary=other", JSON_PART + FILE_PART + b"--b--\r\n"),
        ("multipart/mixed; boundary=b", b""),
        ("multipart/mixed; boundary=b", b"--b--\r\n"),
        ("multipart/mixed; boundary=b", JSON_PART + b"--b--\r\n"),
        ("multipart/mixed; boundary=b", FILE_PART + b"--b--\r\n"),
        ("multipart/mixed; boundary=b", JSON_PART + FILE_PART),
        ("multipart/mixed; boundary=b", JSON_PART + FILE_PART + FILE_PART + b"--b--\r\n"),
        ("multipart/mixed; boundary=b", JSON_PART + JSON_PART + FILE_PART + b"--b--\r\n"),
        ("multipart/mixed; boundary=b", FILE_PART * 1000 + b"--b--\r\n"),
        ("multipart/mixed; boundary=b", b"--b\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/mixed; boundary=b", b"--b\r\n" + b"X-A: a\r\n" * 1000 + b"\r\nx\r\n--b--\r\n"),
        ("multipart/mixed; boundary=b", b"--b\r\nno header\r\n\r\nx\r\n--b--\r\n"),
        ("multipart/mixed; boundary=b", JSON_PART.replace(b'"checksum"', b'"check"') + FILE_PART + b"--b--\r\n"),
        ("multipart/mixed; boundary=b", JSON_PART.replace(b"{", b"[") + FILE_PART + b"--b--\r\n"),
        ("multipart/mixed; boundary=b", JSON_PART.replace(b"0" * 32, b"zz") + FILE_PART + b"--b--\r\n"),
        ("multipart/mixed; boundary=b", JSON_PART + FILE_PART + b"--b--\r\n"),  # another checksum
    ],
)
def test_malformed_uploads_are_refused_and_keep_nothing(limited: Server, content_type: str, body: bytes) -> None:
    headers = {"Content-Type": content_type}
    answer = limited.session(limited.token()).post(limited.url + UPLOAD, data=body, headers=headers, timeout=20)
    is_problem(answer.status_code, answer.json())
    assert answer.status_code in (400, 415)
    assert requests.get(f"{limited.url}/v2/payloads", timeout=20).json() == []
    assert is_clean(limited)


def test_more_than_the_limit_is_refused_at_once(limited: Server) -> None:
    with closing(post(limited, f"Content-Type: multipart/mixed; boundary=b\r\nContent-Length: {3 << 30}\r\n")) as sent:
        status, body = said(sent)
    assert (status, body["reason"]) == (413, "PayloadTooLarge")


def test_more_than_was_declared_to_nobody_is_refused_when_it_comes(limited: Server) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = "Content-Type: multipart/mixed; boundary=b\r\nTransfer-Encoding: chunked\r\n"
    with closing(post(limited, head, b"%x\r\n%s\r\n" % (len(FILE_PART), FILE_PART))) as sent:
        for _ in range(2 * LIMIT // 0x10000):
            try:
                sent.sendall(chunk)
            except OSError:
                break
        assert said(sent)[0] == 413
    assert is_clean(limited)


def test_a_client_that_sees_413_may_go_on_sending_and_still_reads_it(limited: Server) -> None:
    body = b"x" * (8 * LIMIT)
    headers = {"Content-Type": "multipart/mixed; boundary=b"}
    answer = limited.session(limited.token()).post(limited.url + UPLOAD, data=body, headers=headers, timeout=20)
    assert answer.json()["code"] == 413


@pytest.mark.parametrize("begun", [b"--", FILE_PART[:60], FILE_PART + JSON_PART])
def test_a_body_that_stops_coming_is_given_up(limited: Server, begun: bytes) -> None:
    head = f"Content-Type: multipart/mixed; boundary=b\r\nContent-Length: {LIMIT - 1}\r\n"
    with closing(post(limited, head, begun)) as sent:
        status, body = said(sent)
        assert (status, body["reason"]) == (408, "RequestTimeout")
    assert is_clean(limited)


def test_two_bytes_of_two_gigabytes_hold_nothing(server: Server) -> None:
    """With the limit as it is by default; the client then hangs up."""
    head = f"Content-Type: multipart/mixed; boundary=b\r\nContent-Length: {2 << 30}\r\n"
    with closing(post(server, head, b"--")) as sent:
        sent.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sent.recv(1)
    assert is_clean(server)


def test_clients_that_hang_up_leave_nothing_behind(limited: Server) -> None:
    head = f"Content-Type: multipart/mixed; boundary=b\r\nContent-Length: {LIMIT}\r\n"
    for size in (1, 1000, LIMIT // 2):
        for how in (b"", b"\1\0\0\0\0\0\0\0"):  # closed, or reset
            sent = post(limited, head, FILE_PART[:-2] + b"x" * size)
            if how:
                sent.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how)
            sent.close()
    assert is_clean(limited)
    assert requests.get(f"{limited.url}/v2/payloads", timeout=20).json() == []


@pytest.mark.parametrize(
    "token",
    ["", "none", "Bearer", "Basic YTpi", "Bearer a.b.c", "Bearer " + "a" * 50_000, "Bearer \u00e4"],
)
def test_what_is_no_token_is_401(limited: Server, token: str) -> None:
    for header in ("Authorization", "X-Authorization"):
        headers = {header: token.encode("latin-1")}
        answer = requests.post(f"{limited.url}/v2/globalTag/DEV", headers=headers, json={"name": "x"}, timeout=20)
        is_problem(answer.status_code, answer.json())
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")


def test_the_server_is_well_after_all_that(limited: Server) -> None:
    assert limited.session().get(f"{limited.url}/v2/globalTagStatus", timeout=20).status_code == 200
    assert len(limited.workers()) == 2
    log = limited.log.read_text(encoding="utf-8", errors="replace")
    assert "Traceback" not in log, log[log.index("Traceback") :][:8000]


def is_clean(server: Server) -> bool:
    """Whether no file of an upload is open or lies about, now or soon."""
    deadline = time.monotonic() + 10
    while left := _spools(server):
        if time.monotonic() > deadline:
            return not left
        time.sleep(0.05)
    return True


def _spools(server: Server) -> list[str]:
    found = [str(path) for path in Path(server.files).glob("incoming/*")]
    removed = [target for target in open_files(server) if "(deleted)" in target]
    return found + [t for t in removed if "spool" in t or "payloads" in t or "/tmp/#" in t]  # noqa: S108
