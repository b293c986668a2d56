"""Bodies of several parts, read as they come; none is ever whole in memory.

The parser is python-multipart's low-level one, which knows neither `form-data` nor `mixed`: both are read here.
"""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from conditions.errors import BadInputError
from conditions.server.problems import RequestRefused
from conditions.server.spool import IN_MEMORY_BYTES, Spool

MAX_PARTS: Final = 64
MAX_PART_HEADERS: Final = 32
MAX_BOUNDARY: Final = 200  # RFC 2046 allows 70
MAX_PREAMBLE: Final = 64 * 1024  # what stands before the first boundary is for people, and is skipped
_NO_BOUNDARY: Final = "the boundary that the body's type names is not at its begin"
_KINDS: Final = ("multipart/mixed", "multipart/form-data", "multipart/related")


@dataclass(slots=True)
class Part:
    """One part: its name and type as it says them, and where its bytes lie."""

    begin: int
    name: str = ""
    content_type: str = ""
    size_bytes: int = 0


class Parts:
    """The parts of a request's body; `async with` reads them, and removes them at the end.

    Args:
        request: whose body is read.
        executor: threads for writing to disk.
        folder: where many bytes lie meanwhile; None: where temporary files do.
        max_parts: how many there may be.
    """

    def __init__(
        self, request: Request, executor: Executor, folder: Path | None = None, max_parts: int = MAX_PARTS
    ) -> None:
        self._request, self._executor, self._max_parts = request, executor, max_parts
        self._spool = Spool(folder)
        self._parts: list[Part] = []
        self._place = 0
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._complete = False

    async def __aenter__(self) -> Parts:
        try:
            await self._read()
        except BaseException:
            self._spool.close()
            raise
        return self

    async def __aexit__(self, *_error: object) -> None:
        self._spool.close()

    @property
    def all(self) -> list[Part]:
        """The parts in the order they came in."""
        return self._parts

    def stream(self, part: Part) -> BinaryIO:
        """The bytes of a part, from the beginning."""
        return cast(BinaryIO, self._spool.part(part.begin, part.size_bytes))

    def content(self, part: Part, limit: int) -> bytes:
        """All bytes of a part that must not have more than so many."""
        if part.size_bytes > limit:
            raise BadInputError(f"the part {part.name[:40]!r} has {part.size_bytes} bytes, at most {limit} are taken")
        return self.stream(part).read()

    async def _read(self) -> None:
        """Read the whole body.

        Raises:
            BadInputError: it is not of several parts, its boundary is wrong, or it ends too early.
            RequestRefused: it is of another type, or the client went away.
        """
        boundary = _boundary(self._request.headers.get("content-type", ""))
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_begin,
                "on_part_data": self._on_data,
                "on_header_begin": self._on_header_begin,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._on_header_end,
                "on_end": self._on_end,
            },
            max_header_count=MAX_PART_HEADERS,
        )
        preamble: bytes | None = b""
        try:
            async for piece in self._request.stream():
                if preamble is None:
                    parser.write(piece)
                else:
                    preamble += piece
                    begin = _first_boundary(preamble, boundary)
                    if begin is not None:
                        parser.write(preamble[begin:])
                        preamble = None
                if self._waiting_bytes >= IN_MEMORY_BYTES // 4:
                    await self._flush()
        except FormParserError as error:
            raise BadInputError(f"the parts of the body cannot be read: {error}") from error
        except ClientDisconnect as error:
            raise RequestRefused(400, "the client went away before the end of the body") from error
        if preamble is not None:
            raise BadInputError(_NO_BOUNDARY)
        if not self._complete:
            raise BadInputError("the body ends before its last boundary")
        await self._flush()

    async def _flush(self) -> None:
        """Write what has come, in a thread once it goes to disk."""
        waiting, self._waiting, self._waiting_bytes = self._waiting, [], 0
        if self._spool.is_small:
            self._spool.append(waiting)
            return
        call = asyncio.get_running_loop().run_in_executor(self._executor, self._spool.append, waiting)
        await asyncio.shield(call)

    def _on_begin(self) -> None:
        if len(self._parts) >= self._max_parts:
            raise BadInputError(f"the body has more than {self._max_parts} parts")
        self._parts.append(Part(self._place))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._waiting.append(data[start:end])
        self._waiting_bytes += end - start
        self._place += end - start
        self._parts[-1].size_bytes += end - start

    def _on_header_begin(self) -> None:
        self._header = (bytearray(), bytearray())

    def _on_header_end(self) -> None:
        name, value = (bytes(each) for each in self._header)
        if name.lower() == b"content-disposition":
            # `filename` is a path on the client's machine; nobody here wants to know it.
            self._parts[-1].name = parse_options_header(value)[1].get(b"name", b"").decode("utf-8", "replace")
        elif name.lower() == b"content-type":
            self._parts[-1].content_type = parse_options_header(value)[0].decode("latin-1").lower()

    def _on_end(self) -> None:
        self._complete = True


def spool_folder(*folders: str | os.PathLike[str] | None) -> Path | None:
    """The first of the folders in which files can be made, None when there is none."""
    for folder in folders:
        if folder is not None and Path(folder).is_dir() and os.access(folder, os.W_OK):
            return Path(folder)
    return None


def _first_boundary(body: bytes, boundary: bytes) -> int | None:
    """Where the first boundary stands, at the beginning of a line; None when it has not come yet."""
    if body.startswith(b"--" + boundary):
        return 0
    found = body.find(b"\r\n--" + boundary)
    if found < 0 and len(body) > MAX_PREAMBLE:
        raise BadInputError(_NO_BOUNDARY)
    return None if found < 0 else found + 2


def _boundary(content_type: str) -> bytes:
    """The boundary that a request's type names."""
    kind, options = parse_options_header(content_type)
    if kind.decode("latin-1").lower() not in _KINDS:
        raise RequestRefused(415, f"the body is {content_type[:80]!r}, but must be multipart/mixed or form-data")
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= MAX_BOUNDARY:
        raise BadInputError("the type of the body names no boundary, or one that is too long")
    return boundary
