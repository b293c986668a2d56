"""Bodies of several parts, in any pieces, with any bytes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from conditions.errors import BadInputError, ConditionsError
from conditions.server.multipart import Parts, spool_folder
from conditions.server.problems import RequestRefused
from conditions.server.spool import IN_MEMORY_BYTES

BOUNDARY = b"3d6b6a416f9b5"
MIXED = "multipart/mixed; boundary=3d6b6a416f9b5"


@pytest.fixture(scope="module")
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def body_of(*parts: tuple[str, bytes]) -> bytes:
    said = b"".join(
        b'--%s\r\nContent-Disposition: form-data; name="%s"; filename="/home/x"\r\nContent-Type: a/b\r\n\r\n%s\r\n'
        % (BOUNDARY, name.encode(), content)
        for name, content in parts
    )
    return said + b"--" + BOUNDARY + b"--\r\n"


def read(
    threads: ThreadPoolExecutor,
    pieces: list[bytes],
    content_type: str = MIXED,
    *,
    hang_up: bool = False,
    limit: int = 64,
) -> list[tuple[str, str, bytes]]:
    """Names, types and contents of all parts of a body that comes in these pieces."""
    messages: list[Message] = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"} if hang_up else {"type": "http.request", "body": b""})

    async def receive() -> Message:
        return messages.pop(0)

    async def run() -> list[tuple[str, str, bytes]]:
        scope = {"type": "http", "method": "POST", "headers": [(b"content-type", content_type.encode())]}
        async with Parts(Request(scope, receive), threads, max_parts=limit) as parts:
            return [(part.name, part.content_type, parts.stream(part).read()) for part in parts.all]

    return asyncio.run(run())


@given(st.lists(st.binary(max_size=300), max_size=4), st.integers(1, 400))
@settings(deadline=None, max_examples=60)
def test_any_bytes_in_any_pieces_come_back(contents: list[bytes], size: int) -> None:
    named = [(f"part {number}", content) for number, content in enumerate(contents) if BOUNDARY not in content]
    body = body_of(*named)
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    with ThreadPoolExecutor(1) as pool:
        found = read(pool, pieces)
    assert found == [(name, "a/b", content) for name, content in named]


@pytest.mark.parametrize("preamble", [b"\r\n", b"for people\r\n", b"--3d6b6a416f9b\r\n" * 9])
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_what_comes_before_the_first_boundary_is_skipped(
    threads: ThreadPoolExecutor, preamble: bytes, size: int
) -> None:
    body = preamble + body_of(("a", b"1"), ("b", b"2"))
    pieces = [body[place : place + size] for place in range(0, len(body), size)]
    assert read(threads, pieces) == [("a", "a/b", b"1"), ("b", "a/b", b"2")]


def test_a_boundary_is_not_looked_for_without_end(threads: ThreadPoolExecutor) -> None:
    pieces = [b"x" * 1024] * 1_000
    with pytest.raises(BadInputError, match="boundary"):  # and not that the client went away in the end
        read(threads, pieces, hang_up=True)


def test_what_looks_like_a_boundary_is_content(threads: ThreadPoolExecutor) -> None:
    content = b"\r\n--3d6b6a416f9b\r\n--\r\n-\r\n--3d6b6a416f9bX--\r\n" * 3
    assert read(threads, [body_of(("a", content))])[0][2] == content


def test_many_bytes_go_to_disk_and_come_back(threads: ThreadPoolExecutor) -> None:
    contents = [bytes([number]) * (IN_MEMORY_BYTES // 2 + number) for number in range(5)]
    body = body_of(*((str(number), content) for number, content in enumerate(contents)))
    pieces = [body[place : place + 65_536] for place in range(0, len(body), 65_536)]
    assert [content for _, _, content in read(threads, pieces)] == contents


@given(st.binary(max_size=400), st.booleans())
@settings(deadline=None, max_examples=100)
def test_nothing_that_is_sent_raises_anything_but_a_refusal(junk: bytes, hang_up: bool) -> None:
    with ThreadPoolExecutor(1) as pool:
        for body in (junk, b"--" + BOUNDARY + b"\r\n" + junk, body_of(("a", b"x"))[: len(junk)] + junk):
            try:
                read(pool, [body], hang_up=hang_up)
            except ConditionsError:
                continue


@pytest.mark.parametrize("cut", [1, 10, 30, 80, -1, -3, -10])
def test_a_body_that_ends_too_early_is_refused(threads: ThreadPoolExecutor, cut: int) -> None:
    body = body_of(("a", b"x" * 100), ("b", b"y" * 100)).rstrip(b"\r\n")[:cut]
    with pytest.raises(BadInputError):
        read(threads, [body])
    with pytest.raises(RequestRefused, match="went away"):
        read(threads, [body], hang_up=True)


def test_too_many_parts_are_refused(threads: ThreadPoolExecutor) -> None:
    parts = [("a", b"x")] * 5
    assert len(read(threads, [body_of(*parts)], limit=5)) == 5
    with pytest.raises(BadInputError, match="more than 4"):
        read(threads, [body_of(*parts)], limit=4)


@pytest.mark.parametrize("content_type", ["", "text/html", "multipart/digest; boundary=b", "application/json"])
def test_other_types_are_refused(threads: ThreadPoolExecutor, content_type: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        read(threads, [b"{}"], content_type)
    assert refused.value.status == 415


def test_uploads_wait_in_the_first_folder_that_takes_files(tmp_path: Path) -> None:
    assert spool_folder(None, tmp_path / "missing", tmp_path) == tmp_path
    assert spool_folder("s3://bucket", None) is None
