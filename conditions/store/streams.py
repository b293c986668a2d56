"""What comes to be kept: paths and streams, and what is learnt about bytes while they pass."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from conditions.errors import BadSource

CHUNK_BYTES: Final = 1 << 20
Source: TypeAlias = str | os.PathLike[str] | BinaryIO


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What was learnt about bytes while they were written."""

    sha256: str
    md5: str
    size_bytes: int


class Learning:
    """What is learnt about bytes while they pass."""

    def __init__(self) -> None:
        self._sha256, self._md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self.size_bytes = 0

    def through(self, source: BinaryIO) -> Iterator[bytes]:
        """The bytes of a stream, piece by piece."""
        while chunk := _read(source):
            yield chunk
            self._sha256.update(chunk)
            self._md5.update(chunk)
            self.size_bytes += len(chunk)

    def stored(self) -> StoredFile:
        """The facts about all bytes that have passed."""
        return StoredFile(self._sha256.hexdigest(), self._md5.hexdigest(), self.size_bytes)


@contextmanager
def opened(source: Source) -> Iterator[BinaryIO]:
    """A stream from a path or from a stream; one that was given stays open.

    Raises:
        BadSource: the file cannot be opened.
    """
    if not isinstance(source, str | os.PathLike):
        yield source
        return
    try:
        stream = Path(source).open("rb")  # noqa: SIM115 - closed below, and only opening may fail here
    except OSError as error:
        raise BadSource(source, error.strerror or str(error)) from error
    with stream:
        yield stream


def _read(source: BinaryIO) -> bytes:
    """The next bytes of a stream."""
    try:
        chunk = source.read(CHUNK_BYTES)
    except (OSError, ValueError) as error:
        raise BadSource(getattr(source, "name", "the stream"), str(error)) from error
    if not isinstance(chunk, bytes | bytearray | memoryview | None):
        raise BadSource(getattr(source, "name", "the stream"), "it gives text, not bytes; open it in binary mode")
    return chunk or b""
