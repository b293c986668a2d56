"""Clients of the bulk endpoint that hang up, or go on for ever, in the middle of their bodies."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from conditions.store.session import Store
from support.server import Server, open_files

DOCUMENT = b'{"tag": "%s", "create": true, "payloads": [{"name": "%s"}], "iovs": [{"name": "%s", "iov": "0,0,-1,-1"}]}'
PART = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
DECLARED_BYTES = 2 << 30
RESET = b"\1\0\0\0\0\0\0\0"


@pytest.mark.parametrize("how", [b"", RESET], ids=["closed", "reset"])
@pytest.mark.parametrize("sent_bytes", [2, 300, 3_000_000])
def test_a_client_that_hangs_up_in_a_batch_leaves_nothing(
    spoilt: Server, behind: Store, sent_bytes: int, how: bytes
) -> None:
    name = spoilt.unique("hung").encode()
    body = PART % (b"batch", DOCUMENT % (name, name, name)) + PART % (b"payload", b"x" * 4_000_000)
    with closing(begun(spoilt, body[:sent_bytes])) as connection:
        if how:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, how)
    deadline = time.monotonic() + 30
    while left := open_uploads(spoilt):
        assert time.monotonic() < deadline, left
        time.sleep(0.02)
    assert behind.find_tag(name.decode()) is None
    assert behind.list_payloads(pattern=name.decode()) == []
    assert behind.check().leftovers == ()


def begun(server: Server, body: bytes) -> socket.socket:
    """A connection on which a batch of 2 GB was announced, and so much of it sent."""
    where = urlsplit(server.url)
    connection = socket.create_connection((str(where.hostname), int(where.port or 0)), timeout=60)
    head = f"POST /v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token()}\r\n"
    head += f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {DECLARED_BYTES - 1}\r\n\r\n"
    connection.sendall(head.encode() + body)
    return connection


def open_uploads(server: Server) -> list[str]:
    """Files of uploads that a worker holds, or that lie about."""
    found = [str(path) for path in Path(server.files).glob("incoming/*")]
    return found + [target for target in open_files(server) if target.startswith(str(server.files))]
