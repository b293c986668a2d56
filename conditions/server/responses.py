"""Answers: JSON at once, or piece by piece for lists that would not fit in memory."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from conditions.server.problems import json_bytes
from conditions.server.service import Service

JSON = "application/json"
FRESH_S = 60  # winners of PUBLISHED tags are good that long without asking, for a tag that turns INVALID is refused
FOR_A_WHILE = {"Cache-Control": f"public, max-age={FRESH_S}"}
ASK_AGAIN = {"Cache-Control": "no-cache"}  # what a database was asked for may be another thing the next time


def json_response(value: Any, status: int = 200) -> Response:
    """An answer of one JSON value."""
    return Response(json_bytes(value), status, ASK_AGAIN, media_type=JSON)


def no_content() -> Response:
    """Done, with nothing to say; clients want exactly this status when there is no body."""
    return Response(status_code=204)


async def json_stream(service: Service, request: Request, chunks: Iterator[bytes]) -> Response:
    """An answer of pieces that are made while it is sent.

    What fails before the second piece is an error with a status; later the connection is cut, which clients notice.
    """
    source = _Chunks(chunks)
    await service.streams.acquire()
    try:
        first, second = await service.run(source.next), await service.run(source.next)
    except BaseException:
        _end(service, source)
        raise
    if second is None:
        _end(service, source)
        return Response(first or b"", headers=ASK_AGAIN, media_type=JSON)
    return _Stream(service, source, [] if request.method == "HEAD" else [first or b"", second])


class _Stream(StreamingResponse):
    """The pieces that are there, and those that an iterator still makes; it is let go of however the answer ends."""

    def __init__(self, service: Service, source: _Chunks, begin: list[bytes]) -> None:
        super().__init__(self._pieces(begin), headers=ASK_AGAIN, media_type=JSON)
        self._service, self._source = service, source

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them, also to a client that leaves before the first."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            _end(self._service, self._source)

    async def _pieces(self, begin: list[bytes]) -> AsyncIterator[bytes]:
        for each in begin:
            yield each
        piece: bytes | None
        while begin:
            piece = await self._service.run(self._source.next)
            if piece is None:
                return
            yield piece


class _Chunks:
    """An iterator that several threads may take from, one after the other, and that can be ended meanwhile."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._lock = threading.Lock()

    def next(self) -> bytes | None:
        """The next piece, None after the last."""
        with self._lock:
            return next(self._chunks, None)

    def close(self) -> None:
        """Let go of what the iterator holds."""
        with self._lock:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()


def _end(service: Service, source: _Chunks) -> None:
    """Let go of an iterator in one of the threads, without waiting for that."""
    service.streams.release()
    service.threads.submit(source.close)
