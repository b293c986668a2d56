"""What every answer of the server has, whatever was asked."""

from __future__ import annotations

import pytest
import requests

from support.server import Server

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
