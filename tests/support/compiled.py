"""Asking a server until it answers from compiled tags, and tags worth compiling."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any

import requests

from conditions.iov import IntervalOfValidity
from conditions.store.session import Store
from support.server import Server
from support.stores import upload_text

TIMEOUT_S = 60.0
IN_A_ROW = 100  # answers over new connections; one worker may take many in a row while the other compiles


def ask(server: Server, path: str, query: Mapping[str, Any], **more: Any) -> requests.Response:
    """One question over a connection of its own, which any worker may get."""
    return requests.get(f"{server.url}/{path}", params=dict(query), timeout=30, **more)


def until_compiled(server: Server, tag: str) -> None:
    """Ask until both workers answer without SQL, which is seen by the ETag."""
    deadline, in_a_row = time.monotonic() + TIMEOUT_S, 0
    while in_a_row < IN_A_ROW:
        assert time.monotonic() < deadline, f"{tag} was never compiled: {server.log.read_text()[-2000:]}"
        found = ask(server, "v2/iovPayloads", {"gtName": tag, "expNumber": 1, "runNumber": 1})
        assert found.status_code == 200, found.text
        in_a_row = in_a_row + 1 if "etag" in found.headers else 0
        if not in_a_row:
            time.sleep(0.02)


def fill_at_random(store: Store, tag: str, rows: int, seed: int) -> None:
    """An OPEN tag with overlaps, gaps, open ends and ends of experiments."""
    draw = random.Random(seed)  # noqa: S311
    store.create_tag(tag)
    stem = tag.replace(":", "_")
    payloads = [upload_text(store, f"{stem}.{name}", f"{name} {text}") for name in range(6) for text in range(4)]
    entries = []
    for _ in range(rows):
        exp, run = draw.randrange(4), draw.randrange(30)
        ends = [(-1, -1), (exp + draw.randrange(2), -1), (exp, run + draw.randrange(20)), (exp + 1, draw.randrange(30))]
        entries.append((draw.choice(payloads), IntervalOfValidity.from_tuple(exp, run, *draw.choice(ends))))
    store.add_iovs(tag, entries)
