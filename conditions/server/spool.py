"""Where the bytes of an upload lie while they are being received: in memory while they are few, then in one file.

The file has no name, so it goes with the request, or with the process, however these end.
"""

from __future__ import annotations

import io
import os
import tempfile
from pathlib import Path
from typing import IO, Final

from conditions.errors import StoreFull, StoreUnavailable
from conditions.store.files import NO_SPACE

IN_MEMORY_BYTES: Final = 1 << 20  # most payloads and all JSON are smaller


class Spool:
    """Bytes that are appended, and read as slices.

    Args:
        folder: where the file is made; None: where temporary files are.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._memory: bytearray | None = bytearray()
        self._file: IO[bytes] | None = None
        self.size_bytes = 0

    @property
    def is_small(self) -> bool:
        """Whether the bytes are in memory yet, so that nobody has to wait for a disk."""
        return self._memory is not None and len(self._memory) <= IN_MEMORY_BYTES

    def append(self, pieces: list[bytes]) -> None:
        """Write more bytes.

        Raises:
            StoreFull: there is no space for them.
        """
        try:
            if self._memory is not None:
                self._memory.extend(b"".join(pieces))
                if len(self._memory) > IN_MEMORY_BYTES:
                    self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed by close()
                    pieces, self._memory = [bytes(self._memory)], None
            if self._file is not None:
                for piece in pieces:
                    self._file.write(piece)
                self._file.flush()
        except OSError as error:
            if error.errno in NO_SPACE:
                raise StoreFull("the folder for uploads") from error
            raise StoreUnavailable("the folder for uploads", error.strerror or str(error)) from error

    def part(self, begin: int, size_bytes: int) -> Slice:
        """So many of the bytes as a stream."""
        return Slice(self, begin, size_bytes)

    def read_at(self, place: int, count: int) -> bytes:
        """Bytes from anywhere; several threads may read."""
        if self._memory is not None:
            return bytes(self._memory[place : place + count])
        if self._file is None:
            raise ValueError("the upload was removed already")
        return os.pread(self._file.fileno(), count, place)

    def close(self) -> None:
        """Remove everything."""
        if self._file is not None:
            self._file.close()
        self._file = self._memory = None


class Slice(io.RawIOBase):
    """A stream of a part of a spool."""

    def __init__(self, spool: Spool, begin: int, size_bytes: int) -> None:
        super().__init__()
        self._spool, self._begin, self.size_bytes, self._place = spool, begin, size_bytes, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place of the slice."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self.size_bytes}[whence]
        self._place = max(0, base + offset)
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes, all of them without a size."""
        left = max(0, self.size_bytes - self._place)
        count = left if size is None or size < 0 else min(size, left)
        found = self._spool.read_at(self._begin + self._place, count)
        self._place += len(found)
        return found

    def readinto(self, buffer: memoryview | bytearray) -> int:  # type: ignore[override]
        """The next bytes, into a buffer."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)
