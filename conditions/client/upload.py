"""A batch as the body of a request: its JSON, then the payloads' bytes, read while they are sent.

The body is made anew for each attempt and never held in memory. The md5 of every payload goes with the JSON, so that
bytes that were damaged on the way are refused. A stream can be read only once, so it is put into a temporary file
first.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final

from conditions.batch import Batch
from conditions.errors import BadSource, StoreFull, WrongChecksum
from conditions.wire_batch import batch_json

CHUNK_BYTES: Final = 256 * 1024
_EOL: Final = b"\r\n"


@dataclass(frozen=True)
class Upload:
    """A batch that is ready to be sent, as often as it takes."""

    head: bytes
    files: tuple[tuple[Path, int], ...]  # with their sizes
    boundary: str

    @property
    def content_type(self) -> str:
        """The type of the body."""
        return f"multipart/form-data; boundary={self.boundary}"

    def body(self) -> Body:
        """The body from its beginning."""
        return Body(self)


class Body:
    """The bytes of an upload; the length is known before, so that a server can refuse it before it is sent."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload
        boundary = upload.boundary.encode()
        self._end = b"--" + boundary + b"--" + _EOL
        self._part_head = b'--%s\r\nContent-Disposition: form-data; name="payload"; filename="payload"\r\n' % boundary
        self._part_head += b"Content-Type: application/octet-stream\r\n\r\n"

    def __len__(self) -> int:
        sizes = sum(len(self._part_head) + size + len(_EOL) for _, size in self._upload.files)
        return len(self._upload.head) + sizes + len(self._end)

    def __iter__(self) -> Iterator[bytes]:
        yield self._upload.head
        for path, size in self._upload.files:
            yield self._part_head
            left = size
            with _readable(path) as stream:
                while chunk := stream.read(min(CHUNK_BYTES, left + 1)):
                    left -= len(chunk)
                    if left < 0:
                        break
                    yield chunk
            if left:
                raise BadSource(path, "it has changed while it was sent")
            yield _EOL
        yield self._end


@contextmanager
def prepared(batch: Batch) -> Iterator[Upload]:
    """A batch with its streams in temporary files and the md5 of all payloads.

    Raises:
        BadSource: a file cannot be read.
        WrongChecksum: a file is not what the batch says.
    """
    with ExitStack() as held:
        sources = [_as_file(payload.source, held) for payload in batch.payloads]
        payloads, files = [], []
        for payload, path in zip(batch.payloads, sources, strict=True):
            md5, size = _digest(path)
            if payload.md5 is not None and payload.md5.lower() != md5:
                raise WrongChecksum(payload.name, md5, payload.md5)
            payloads.append(replace(payload, md5=md5))
            files.append((path, size))
        document = json.dumps(batch_json(replace(batch, payloads=tuple(payloads))), allow_nan=False)
        boundary = uuid.uuid4().hex
        yield Upload(_head(document, boundary), tuple(files), boundary)


def _head(document: str, boundary: str) -> bytes:
    said = f'--{boundary}\r\nContent-Disposition: form-data; name="batch"\r\nContent-Type: application/json\r\n\r\n'
    return said.encode() + document.encode() + _EOL


def _as_file(source: Path | BinaryIO, held: ExitStack) -> Path:
    """A file with the bytes of a source."""
    if isinstance(source, str | os.PathLike):
        return Path(source)
    copy = held.enter_context(tempfile.NamedTemporaryFile(prefix="conditions-upload-"))  # noqa: SIM115
    try:
        while chunk := source.read(CHUNK_BYTES):
            copy.write(chunk)
        copy.flush()
    except (OSError, ValueError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise StoreFull(tempfile.gettempdir()) from error
        raise BadSource(getattr(source, "name", "the stream"), str(error)) from error
    return Path(copy.name)


def _digest(path: Path) -> tuple[str, int]:
    """md5 and size of a file."""
    md5, size = hashlib.md5(usedforsecurity=False), 0
    with _readable(path) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            md5.update(chunk)
            size += len(chunk)
    return md5.hexdigest(), size


@contextmanager
def _readable(path: Path) -> Iterator[BinaryIO]:
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise BadSource(path, error.strerror or str(error)) from error
