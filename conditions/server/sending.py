"""Sending a payload's bytes: ranges, ETag, and a check of the file at a cost that a server can bear.

The digest of a file is compared when it is sent for the first time, and again after anything that the file system
says of it has changed (inode, size, times). What a disk hides even from that, clients find: they always compare.
"""

from __future__ import annotations

import os
import re
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from conditions.payload import Payload
from conditions.server.etags import is_known
from conditions.server.problems import RequestRefused
from conditions.store.session import Store

PIECE_BYTES: Final = 1 << 20
REMEMBERED: Final = 20_000  # files that are known to be sound, 200 bytes each
LINK_S: Final = 3600  # how long a link into a bucket is good; a large file on a slow line may begin that late
BYTES: Final = "application/octet-stream"
FOR_EVER: Final = "public, max-age=31536000, immutable"
_RANGE: Final = re.compile(r"bytes=(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))", re.IGNORECASE)
_LOCKS: Final = 32  # of two requests for the same unknown file one compares, the other waits
T = TypeVar("T")
Signature = tuple[int, ...]


class Runs(Protocol):
    """Whoever calls functions that block."""

    async def run(self, function: Callable[..., T], *args: Any) -> T:
        """The function's value."""
        ...


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of a file: from where, how many; `part` when they are not all."""

    begin: int
    count: int
    part: bool = False


class PayloadBytes:
    """Answers with the bytes of payloads, for all routes that have some.

    Args:
        store: where the payloads are.
        runs: calls what blocks.
        redirect: send clients to a bucket, when the payloads lie in one, rather than pass its bytes on.
    """

    def __init__(self, store: Store, runs: Runs, *, redirect: bool = True) -> None:
        self._store, self._runs, self._redirect = store, runs, redirect
        self._in_folder: bool | None = None  # nobody has looked yet
        self._sound: OrderedDict[str, tuple[Path, Signature]] = OrderedDict()
        self._locks = [threading.Lock() for _ in range(_LOCKS)]

    async def response(self, request: Request, payload: Payload) -> Response:
        """The bytes, those of the range that was asked for, or the word that the client has them already."""
        etag = f'"{payload.sha256}"'
        method = request.scope.get("asked_method", request.method)
        headers = {"ETag": etag, "Cache-Control": FOR_EVER, "Accept-Ranges": "bytes"}
        if is_known(request.headers.get("if-none-match"), etag):
            return Response(status_code=304, headers=headers)
        if not self._in_folder:
            url = await self._runs.run(self._store.payload_url, payload, LINK_S)
            self._in_folder = url is None
            if url is not None and self._redirect and method == "GET":  # a link is good for one method
                return RedirectResponse(url, 302, {"Cache-Control": f"private, max-age={LINK_S // 2}"})
        span = span_of(request.headers, payload.size_bytes, etag) if method == "GET" else _whole(payload)
        headers |= {"Content-Length": str(span.count), "X-Content-Type-Options": "nosniff"}
        if span.part:
            headers["Content-Range"] = f"bytes {span.begin}-{span.begin + span.count - 1}/{payload.size_bytes}"
        first = 0 if method == "HEAD" else min(span.count, PIECE_BYTES)
        stream, piece = await self._runs.run(self._open, payload, span, first)
        if stream is None:
            body = Response(piece, 206 if span.part else 200, media_type=BYTES)
            body.headers.update(headers)
            return body
        return StreamingResponse(self._pieces(stream, piece, span), 206 if span.part else 200, headers, BYTES)

    async def _pieces(self, stream: BinaryIO, piece: bytes, span: Span) -> AsyncIterator[bytes]:
        """A stream's bytes, a piece at a time; one that ends early cuts the connection, which clients notice."""
        try:
            left = span.count
            while piece:
                yield piece
                left -= len(piece)
                piece = await self._runs.run(stream.read, min(PIECE_BYTES, left)) if left else b""
        finally:
            stream.close()

    def _open(self, payload: Payload, span: Span, first: int) -> tuple[BinaryIO | None, bytes]:
        """The first bytes, with the stream of the others unless no more are wanted."""
        if self._in_folder:
            stream: BinaryIO = os.fdopen(self._open_sound(payload), "rb", 0)
            stream.seek(span.begin)
        else:
            stream = self._store.open_payload(payload, span.begin, span.begin + span.count - 1)
        try:
            piece = stream.read(first)
        except BaseException:
            stream.close()
            raise
        if first in (0, span.count):
            stream.close()
            return None, piece
        return stream, piece

    def _open_sound(self, payload: Payload) -> int:
        """An open file whose bytes were compared with the payload's digest.

        Raises:
            PayloadLost, PayloadCorrupt: there is no file, or it holds other bytes.
        """
        handle = self._open_known(payload.sha256)
        if handle is not None:
            return handle
        with self._locks[int(payload.sha256[:8], 16) % _LOCKS]:
            handle = self._open_known(payload.sha256)
            if handle is not None:
                return handle
            path = self._store.payload_path(payload)
            handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self._sound[payload.sha256] = path, _signature(handle)
            while len(self._sound) > REMEMBERED:
                self._sound.popitem(last=False)
            return handle

    def _open_known(self, sha256: str) -> int | None:
        """The open file of bytes that were compared before, None when there is none or it has changed."""
        known = self._sound.get(sha256)
        if known is None:
            return None
        try:
            handle = os.open(known[0], os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        if _signature(handle) == known[1]:
            return handle
        os.close(handle)
        return None


def span_of(headers: Mapping[str, str], size_bytes: int, etag: str) -> Span:
    """The bytes that a request asks for; several ranges, or one that cannot be read, ask for everything.

    Raises:
        RequestRefused: none of the bytes exist.
    """
    found = _RANGE.fullmatch(headers.get("range", "").strip())
    if found is None or headers.get("if-range", etag) != etag:
        return Span(0, size_bytes)
    first, last, tail = found.groups()
    if tail is not None:
        begin, end = max(0, size_bytes - int(tail)), size_bytes
    else:
        begin, end = int(first), size_bytes if last is None else min(int(last) + 1, size_bytes)
    if begin >= end:
        if last is not None and tail is None and int(last) < int(first):
            return Span(0, size_bytes)  # written the wrong way round: as if it were not there
        raise RequestRefused(416, f"the file has {size_bytes} bytes", {"Content-Range": f"bytes */{size_bytes}"})
    return Span(begin, end - begin, part=True)


def _whole(payload: Payload) -> Span:
    return Span(0, payload.size_bytes)


def _signature(handle: int) -> Signature:
    """What the file system says of an open file."""
    found = os.fstat(handle)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
