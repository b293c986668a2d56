"""Answers: JSON at once, or piece by piece for lists that would not fit in memory."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from conditions.server.problems import json_bytes
from conditions.server.service import Service

JSON = "application/json"


def json_response(value: Any, status: int = 200) -> Response:
    """An answer of one JSON value."""
    return Response(json_bytes(value), status, media_type=JSON)


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
        if request.method == "HEAD" or second is None:
            _end(service, source)
            return Response(first or b"", media_type=JSON)
    except BaseException:
        _end(service, source)
        raise

    async def pieces() -> AsyncIterator[bytes]:
        try:
            yield first or b""
            piece: bytes | None = second
            while piece is not None:
                yield piece
                piece = await service.run(source.next)
        finally:
            _end(service, source)

    return StreamingResponse(pieces(), media_type=JSON)


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
