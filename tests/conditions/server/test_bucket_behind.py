"""A server whose payloads lie in a bucket: clients are sent there, or get the bytes passed on."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from conditions.cli import main
from conditions.client.http import HttpConfig
from conditions.client.remote import RemoteStore
from conditions.errors import StoreUnavailable
from conditions.store.session import open_store
from support.bucket import BucketServer
from support.server import Server, running_server

BYTES = b"weights" * 100_000


@pytest.fixture(params=["redirected", "streamed"])
def server(request: pytest.FixtureRequest, sqlite_url: str, bucket_server: BucketServer, bucket_url: str,
           tmp_path: Path) -> Iterator[Server]:  # fmt: skip
    """A server that sends clients to the bucket, and one that does not."""
    options = [] if request.param == "redirected" else ["--stream"]
    environment = {
        **bucket_server.environment,
        "CONDITIONS_CACHE": str(tmp_path / "server-cache"),
        "AWS_MAX_ATTEMPTS": "1",
    }
    with running_server(sqlite_url, bucket_url, workers=1, options=options, environment=environment) as running:
        yield running


def test_bytes_go_in_and_come_out(server: Server, bucket_url: str) -> None:
    store = RemoteStore(server.url, token=server.token())
    payload = store.upload("GATGAPgen.pth", io.BytesIO(BYTES))
    with open_store(server.store_url, bucket_url) as direct:
        direct.verify(direct.get_payload("GATGAPgen.pth"))
    assert store.payload_path(payload).read_bytes() == BYTES
    session = server.session()
    url = f"{server.url}/v1/files/{payload.sha256}"
    assert session.get(url).content == BYTES
    head = session.head(url, allow_redirects=True)
    assert (head.status_code, head.headers["Content-Length"]) == (200, str(len(BYTES)))
    part = session.get(url, headers={"Range": "bytes=7-20"})
    assert (part.status_code, part.content) == (206, BYTES[7:21])


def test_two_payloads_are_compared_through_a_server(server: Server) -> None:
    store = RemoteStore(server.url, token=server.token())
    for text in (b'{"gain": 1.5}', b'{"gain": 1.8}'):
        store.upload("gains.json", io.BytesIO(text))
    done = CliRunner().invoke(main, ["--store", server.url, "payload", "diff", "gains.json"], catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert "~ .gain  1.5  1.8  +0.3 (+20 %)" in done.stdout


def test_a_bucket_gone_for_a_while_is_an_error_and_comes_back(server: Server, bucket_server: BucketServer) -> None:
    session = server.session()
    store = RemoteStore(server.url, token=server.token(), config=HttpConfig(attempts=1))
    payload = store.upload("a", io.BytesIO(BYTES))
    bucket_server.stop_front()
    try:
        with pytest.raises(StoreUnavailable, match="payload files cannot be reached"):
            store.upload("b", io.BytesIO(b"x"))
        assert session.get(f"{server.url}/v1/tags").status_code == 200  # what needs no bucket goes on
    finally:
        assert bucket_server.start_front()
    assert session.get(f"{server.url}/v1/files/{payload.sha256}").content == BYTES
    assert store.upload("b", io.BytesIO(b"x")).revision == 1
