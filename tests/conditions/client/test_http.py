"""What a client does when a server, or what stands between, does not do as it should: against real sockets."""

from __future__ import annotations

import gzip
import io
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from conditions.client.cache import PayloadCache
from conditions.client.http import HttpClient, HttpConfig
from conditions.client.remote import RemoteStore
from conditions.errors import (
    BadAnswer,
    NotFoundError,
    ServerUnreachable,
    StoreBusy,
    StoreUnavailable,
    TagNotFound,
    TokenRefused,
)
from conditions.iov import Run
from conditions.wire import error_json

QUICK = HttpConfig(connect_timeout_s=5, read_timeout_s=5, attempts=4, backoff_s=0.001)
Step = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Played:
    """A server that plays one step a request, the last one for ever, and remembers who asked what."""

    url: str
    steps: list[Step]
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def client(self, config: HttpConfig = QUICK, token: str | None = None) -> HttpClient:
        return HttpClient(self.url, config, token)


def answer(code: int, body: Any = None, **headers: str) -> Step:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def step(request: BaseHTTPRequestHandler) -> None:
        request.send_response(code)
        given = {"Content_Type": "application/json", "Content_Length": str(len(data))} | headers
        for name, value in given.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(data)

    return step


def hang_up(request: BaseHTTPRequestHandler) -> None:
    request.close_connection = True
    request.connection.shutdown(socket.SHUT_RDWR)


def half(body: bytes, n_bytes: int) -> Step:
    def step(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        request.wfile.write(body[:n_bytes])
        request.wfile.flush()
        hang_up(request)

    return step


@pytest.fixture
def play() -> Iterator[Callable[..., Played]]:
    servers: list[ThreadingHTTPServer] = []

    def started(*steps: Step) -> Played:
        played = Played("", list(steps))

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                played.seen.append((self.command, self.path, dict(self.headers), body))
                step = played.steps.pop(0) if len(played.steps) > 1 else played.steps[0]
                step(self)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        played.url = f"http://127.0.0.1:{server.server_port}"
        return played

    yield started
    for server in servers:
        server.shutdown()
        server.server_close()


OK = answer(200, {"ok": True})
BUSY = answer(503, error_json(StoreBusy("the store", "too many writers"), 503))
GONE = answer(503, error_json(StoreUnavailable("the store", "it restarts"), 503))


def test_a_read_is_repeated_after_a_broken_connection_and_after_5xx(play: Any) -> None:
    server = play(hang_up, answer(502, b"<html>", Content_Type="text/html"), GONE, OK)
    with_client = server.client()
    assert with_client.get("/v1/tags", {"limit": 3}) == {"ok": True}
    assert [path for _, path, _, _ in server.seen] == ["/v1/tags?limit=3"] * 4
    with_client.close()


def test_a_read_that_never_succeeds_ends_with_what_the_server_said(play: Any) -> None:
    server = play(GONE)
    client = server.client()
    with pytest.raises(StoreUnavailable, match="it restarts"):
        client.get("/v1/tags")
    assert len(server.seen) == QUICK.attempts
    client.close()


def test_a_change_that_may_have_been_made_is_not_repeated(play: Any) -> None:
    server = play(hang_up, OK)
    client = server.client()
    with pytest.raises(ServerUnreachable, match="look before you repeat it") as caught:
        client.send("POST", "/v1/tags", {"name": "a"}, repeatable=False)
    assert caught.value.maybe_done
    assert len(server.seen) == 1
    client.close()


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_a_page_of_a_gateway_leaves_open_whether_a_change_was_made(play: Any, code: int) -> None:
    server = play(answer(code, b"<html>timeout</html>", Content_Type="text/html"), OK)
    client = server.client()
    with pytest.raises(ServerUnreachable, match="look before you repeat it"):
        client.send("POST", "/v1/tags", {"name": "a"}, repeatable=False)
    assert len(server.seen) == 1
    client.close()


@pytest.mark.parametrize("refusal", [BUSY, answer(429, {"code": 429, "reason": "TooMany", "message": "slow down"})])
def test_a_change_that_was_not_begun_is_repeated(play: Any, refusal: Step) -> None:
    server = play(refusal, OK)
    client = server.client()
    assert client.send("POST", "/v1/tags", {"name": "a"}, repeatable=False) == {"ok": True}
    assert len(server.seen) == 2
    client.close()


def test_a_change_that_may_be_made_twice_is_repeated_with_its_body(play: Any) -> None:
    server = play(hang_up, GONE, OK)
    client = server.client()
    response = client.respond("POST", "/v1/batch", body=lambda: _Sized([b"one", b"two"]), change=True)
    assert response.json() == {"ok": True}
    assert [body for *_, body in server.seen] == [b"onetwo"] * 3
    client.close()


class _Sized:
    """A body that knows its length, so that it is not sent in chunks."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.chunks)

    def __len__(self) -> int:
        return sum(len(chunk) for chunk in self.chunks)


def test_an_unreachable_server_is_named_with_the_reason() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client = HttpClient(f"http://me:secret@127.0.0.1:{port}/", QUICK)
    with pytest.raises(ServerUnreachable, match="refused") as caught:
        client.send("POST", "/v1/tags", {}, repeatable=False)
    assert str(caught.value).startswith(f"cannot reach http://127.0.0.1:{port}: Failed to establish a new connection: ")
    assert not caught.value.maybe_done  # nothing was ever sent
    assert "secret" not in str(caught.value)
    client.close()


@pytest.mark.parametrize("url", ["http://", "http:///v1", "http://a b/", "http://me:secret@[::1/"])
def test_a_url_that_is_none_is_said(url: str) -> None:
    with pytest.raises((BadAnswer, ServerUnreachable)) as caught:
        HttpClient(url, QUICK).get("/v1/tags")
    assert "secret" not in str(caught.value)


def test_a_page_of_a_proxy_is_named_for_what_it_is(play: Any) -> None:
    page = b"<html><body>Access\n denied</body></html>"
    for code in (200, 403):
        client = play(answer(code, page, Content_Type="text/html; charset=utf-8")).client()
        with pytest.raises(BadAnswer, match=rf"{code} .* with text/html instead of JSON: '<html><body>Access denied"):
            client.get("/v1/tags")
        client.close()


def test_an_answer_that_leaves_out_a_run_is_none(play: Any, tmp_path: Path) -> None:
    said = {"tags": [], "payloads": [], "answers": [{"run": "7:1", "payloads": []}, {"run": "9:9", "payloads": []}]}
    server = play(answer(200, said))
    with RemoteStore(server.url, PayloadCache(tmp_path), QUICK) as store:
        assert store.resolve_many("t", [Run(7, 1)]) == {Run(7, 1): {}}
        with pytest.raises(BadAnswer, match="asked for 2 runs, it says nothing of 7:2"):
            store.resolve_many("t", [Run(7, 1), Run(7, 2)])


def test_an_error_comes_back_as_the_class_that_it_was(play: Any) -> None:
    client = play(answer(404, error_json(TagNotFound("mc61", ["mc16"]), 404))).client()
    with pytest.raises(TagNotFound, match="did you mean 'mc16'") as caught:
        client.get("/v1/tags/mc61")
    assert (caught.value.name, caught.value.near) == ("mc61", ("mc16",))
    client.close()


def test_an_error_nobody_here_knows_is_of_the_right_branch(play: Any) -> None:
    client = play(answer(404, {"code": 404, "reason": "NewKind", "message": "no such thing"})).client()
    with pytest.raises(NotFoundError, match="no such thing"):
        client.get("/v1/tags/mc61")
    client.close()


def test_a_download_that_breaks_is_taken_up_where_it_broke(play: Any) -> None:
    body = os.urandom(100_000)
    rest = answer(206, body[60_000:], Content_Type="application/octet-stream")
    server = play(half(body, 60_000), rest)
    client, sink = server.client(), io.BytesIO()
    client.fetch("/v1/files/abc", sink)
    assert sink.getvalue() == body
    assert server.seen[1][2]["Range"] == "bytes=60000-"
    client.close()


def test_a_download_from_a_server_without_ranges_begins_again_and_is_whole(play: Any) -> None:
    body = os.urandom(300_000)
    server = play(half(body, 270_000), answer(200, body, Content_Type="application/octet-stream"))
    client, sink = server.client(), io.BytesIO()
    client.fetch("/v1/files/abc", sink)
    assert sink.getvalue() == body
    client.close()


def test_a_download_that_never_goes_on_ends(play: Any) -> None:
    server = play(half(b"x" * 100, 0))
    client = server.client()
    with pytest.raises(ServerUnreachable):
        client.fetch("/v1/files/abc", io.BytesIO())
    assert len(server.seen) == QUICK.attempts
    client.close()


def test_the_token_is_shown_for_changes_only(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDITIONS_TOKEN", "a.b.c\n")
    server = play(OK)
    client = server.client()
    client.get("/v1/tags")
    client.send("POST", "/v1/tags", {}, repeatable=False)
    assert ["Authorization" in headers for _, _, headers, _ in server.seen] == [False, True]
    assert server.seen[1][2]["Authorization"] == "Bearer a.b.c"
    client.close()


def test_a_token_file_is_read_again_when_it_was_renewed(
    play: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    monkeypatch.setenv("CONDITIONS_TOKEN_FILE", str(path))
    server = play(OK)
    client = server.client()
    for token in ("first", "second"):
        path.write_text(f"{token}\n")
        client.send("POST", "/v1/tags", {}, repeatable=False)
    assert [headers["Authorization"] for _, _, headers, _ in server.seen] == ["Bearer first", "Bearer second"]
    client.close()


@pytest.mark.parametrize("token", ["abc\r\nX-Other: secret", "abc secret", "abcß-secret", "abc\0secret"])
@pytest.mark.parametrize("where", ["variable", "file", "argument"])
def test_a_token_that_no_header_holds_is_refused_and_not_told(
    play: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, where: str
) -> None:
    (tmp_path / "token").write_bytes(token.encode())
    if where == "variable" and "\0" not in token:
        monkeypatch.setenv("CONDITIONS_TOKEN", token)
    monkeypatch.setenv("CONDITIONS_TOKEN_FILE", str(tmp_path / "token"))
    server = play(OK)
    client = server.client(token=token if where == "argument" else None)
    with pytest.raises(TokenRefused) as caught:
        client.send("POST", "/v1/tags", {}, repeatable=False)
    assert "abc" not in str(caught.value)
    assert "secret" not in str(caught.value)
    assert server.seen == []
    client.close()


@pytest.mark.parametrize(("mode", "warnings"), [(0o600, 0), (0o640, 1)])
def test_a_token_file_that_others_can_read_is_warned_of_once(
    play: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    mode: int,
    warnings: int,
) -> None:
    (tmp_path / "token").write_text("abc.def.ghi")
    (tmp_path / "token").chmod(mode)
    monkeypatch.setenv("CONDITIONS_TOKEN_FILE", str(tmp_path / "token"))
    client = play(OK, OK).client()
    for _ in range(2):
        client.send("POST", "/v1/tags", {}, repeatable=False)
    assert [f"chmod 600 {tmp_path}/token" in text for text in caplog.messages] == [True] * warnings
    client.close()


@pytest.mark.parametrize("code", [200, 404])
def test_an_answer_that_unpacks_to_all_memory_is_refused(play: Any, code: int) -> None:
    bomb = gzip.compress(b"[" + b" " * 3_000_000)
    client = play(answer(code, bomb, Content_Encoding="gzip")).client(replace(QUICK, largest_answer_bytes=1_000_000))
    with pytest.raises(BadAnswer, match="larger than 1,000,000 bytes"):
        client.get("/v1/tags")
    client.close()


def test_a_read_that_is_sent_on_shows_no_passwords_of_netrc(
    play: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    other = play(OK)
    server = play(answer(302, b"", Location=f"{other.url}/there"))
    client = server.client()
    assert client.get("/v1/tags") == {"ok": True}
    assert "Authorization" not in other.seen[0][2]
    client.close()


def test_passwords_of_netrc_are_not_sent(play: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = play(OK)
    client = server.client()
    client.get("/v1/tags")
    assert "Authorization" not in server.seen[0][2]
    client.close()


def test_the_proxy_of_the_environment_is_asked(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    proxy, other = play(OK), play(OK)
    monkeypatch.setenv("HTTP_PROXY", other.url)
    monkeypatch.setenv("BELLE2_CONDB_PROXY", proxy.url)
    client = HttpClient("http://conditions.invalid/base/", QUICK)
    assert client.get("/v1/tags") == {"ok": True}
    assert (proxy.seen[0][1], other.seen) == ("http://conditions.invalid/base/v1/tags", [])
    monkeypatch.setenv("BELLE2_CONDB_PROXY", "")
    direct = play(OK)
    assert direct.client().get("/v1/tags") == {"ok": True}
    assert other.seen == []
    client.close()


def test_a_change_is_not_sent_on_to_another_url(play: Any) -> None:
    server = play(answer(301, b"", Location="https://elsewhere.example/v1/tags"))
    client = server.client(token="t")
    with pytest.raises(BadAnswer, match=r"https://elsewhere\.example/v1/tags: use that URL"):
        client.send("POST", "/v1/tags", {}, repeatable=False)
    client.close()


@pytest.mark.parametrize("to", ["http://[::1", "file:///etc/passwd", "/again"])
def test_where_an_answer_sends_on_to_must_be_a_url(play: Any, to: str) -> None:
    client = play(answer(302, b"", Location=to)).client()
    with pytest.raises((BadAnswer, ServerUnreachable)):
        client.get("/v1/tags")
    with pytest.raises(BadAnswer):
        client.send("POST", "/v1/tags", {}, repeatable=False)
    client.close()


def test_the_wait_that_a_server_asks_for_is_kept(play: Any) -> None:
    said = error_json(StoreBusy("the store", "too many writers"), 503)
    waits = ("0", "Mon, 01 Jan 2024 00:00:00 GMT")
    server = play(*(answer(503, said, Retry_After=wait) for wait in waits), OK)
    client = server.client()
    assert client.get("/v1/tags") == {"ok": True}
    client.close()


def test_a_child_of_a_fork_has_connections_of_its_own(play: Any) -> None:
    server = play(OK)
    client = server.client()
    client.get("/v1/tags")
    child = os.fork()
    if child == 0:
        os._exit(0 if client.get("/v1/tags") == {"ok": True} else 1)
    assert client.get("/v1/tags") == {"ok": True}
    assert os.waitpid(child, 0)[1] == 0
    client.close()
