"""Objects of a bucket: bytes are put once they are known, compared with what arrived, and read on after a break."""

from __future__ import annotations

import hashlib
import io
import tempfile
import time
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, Any, BinaryIO, Final, cast

from conditions.errors import ConditionsError, StoreFull, StoreUnavailable
from conditions.store.files import NO_SPACE
from conditions.store.s3 import MISSING, Bucket
from conditions.store.streams import CHUNK_BYTES, Learning, StoredFile

MEMORY_BYTES: Final = 1 << 20  # of a payload that never sees a disk on its way
MULTIPART_FROM_BYTES: Final = 64 << 20
PART_BYTES: Final = 16 << 20  # 10,000 parts are the most there can be
READ_ATTEMPTS: Final = 4
FIRST_PAUSE_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Spooled:
    """Bytes on their way, with what was learnt about them."""

    stream: IO[bytes]
    stored: StoredFile


def spool(source: BinaryIO) -> Spooled:
    """A stream's bytes in memory or in a temporary file, so that they can be put again after a failure."""
    learning = Learning()
    stream = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115 - closed when its bytes are put
    try:
        for chunk in learning.through(source):
            stream.write(chunk)
        stream.flush()
    except OSError as error:
        stream.close()
        folder = tempfile.gettempdir()
        if error.errno in NO_SPACE:
            raise StoreFull(folder, learning.size_bytes) from error
        raise StoreUnavailable(folder, error.strerror or str(error)) from error
    except BaseException:
        stream.close()
        raise
    return Spooled(cast("IO[bytes]", stream), learning.stored())


def put(bucket: Bucket, key: str, spooled: Spooled) -> None:
    """Put bytes under a key, and compare what the bucket has then."""
    stored = spooled.stored
    with spooled.stream as stream:
        stream.seek(0)
        if stored.size_bytes < MULTIPART_FROM_BYTES:
            wanted = _base64(bytes.fromhex(stored.sha256))
            bucket.call(
                "put_object", key, Body=stream, ContentLength=stored.size_bytes, ChecksumSHA256=wanted,
                ContentType="application/octet-stream",
            )  # fmt: skip
        else:
            wanted = _put_parts(bucket, key, stream)
    _compare(bucket, key, stored, wanted)


def copy(bucket: Bucket, key: str, target: BinaryIO) -> bool:
    """Write an object's bytes into a stream, going on where the connection broke; False when it is not there."""
    done, attempt = 0, 1
    while True:
        try:
            body = body_of(bucket, key, done, None)
            if body is None:
                return False
            while chunk := bucket.read(body, CHUNK_BYTES):
                target.write(chunk)
                done += len(chunk)
        except StoreUnavailable:
            if attempt == READ_ATTEMPTS or not done:  # what cannot even begin was repeated already
                raise
            time.sleep(FIRST_PAUSE_S * 2**attempt)
            attempt += 1
        else:
            return True


def body_of(bucket: Bucket, key: str, first: int = 0, last: int | None = None) -> Any:
    """The stream of an object's bytes, None when there is none."""
    part = {} if not first and last is None else {"Range": f"bytes={first}-{'' if last is None else last}"}
    found = bucket.call("get_object", key, accept=MISSING, **part)
    return None if found is None else found["Body"]


class Body(io.RawIOBase):
    """An answer's body as a stream whose failures are ours."""

    def __init__(self, bucket: Bucket, body: Any) -> None:
        super().__init__()
        self._bucket, self._body = bucket, body

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes, 0 at the end."""
        chunk = self._bucket.read(self._body, len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        """Let go of the connection."""
        if not self.closed:
            self._body.close()
        super().close()


class Digest:
    """A stream that keeps nothing but size and digest."""

    def __init__(self) -> None:
        self.sha256, self.size_bytes = hashlib.sha256(), 0

    def write(self, chunk: bytes) -> int:
        """Take in the next bytes."""
        self.sha256.update(chunk)
        self.size_bytes += len(chunk)
        return len(chunk)


def _put_parts(bucket: Bucket, key: str, stream: IO[bytes]) -> str:
    """Put a large file in parts; it appears when all are there. Returns the checksum of the whole."""
    begun = bucket.call(
        "create_multipart_upload", key, ChecksumAlgorithm="SHA256", ContentType="application/octet-stream"
    )
    number, sums = begun["UploadId"], b""
    parts: list[dict[str, Any]] = []
    try:
        while chunk := stream.read(PART_BYTES):
            digest = hashlib.sha256(chunk).digest()
            fields = {"UploadId": number, "PartNumber": len(parts) + 1, "ChecksumSHA256": _base64(digest)}
            done = bucket.call("upload_part", key, Body=chunk, **fields)
            parts.append({"PartNumber": len(parts) + 1, "ETag": done["ETag"], "ChecksumSHA256": _base64(digest)})
            sums += digest
        bucket.call("complete_multipart_upload", key, UploadId=number, MultipartUpload={"Parts": parts})
    except BaseException:
        with suppress(ConditionsError):  # what stays is a leftover that a check finds
            bucket.call("abort_multipart_upload", key, accept=("NoSuchUpload", "404"), UploadId=number)
        raise
    return f"{_base64(hashlib.sha256(sums).digest())}-{len(parts)}"


def _compare(bucket: Bucket, key: str, stored: StoredFile, wanted: str) -> None:
    """Refuse bytes that arrived as others; a bucket that keeps no checksum is asked for the bytes."""
    found = bucket.call("head_object", key, accept=MISSING, ChecksumMode="ENABLED")
    if found is None:
        raise StoreUnavailable(bucket.shown(key), "it is not there after it was put")
    said = found.get("ChecksumSHA256")
    if found["ContentLength"] == stored.size_bytes and said is not None:
        same = said == (wanted if "-" in said else _base64(bytes.fromhex(stored.sha256)))
    else:
        sink = Digest()
        copy(bucket, key, cast(BinaryIO, sink))
        same = (sink.size_bytes, sink.sha256.hexdigest()) == (stored.size_bytes, stored.sha256)
    if not same:
        raise StoreUnavailable(bucket.shown(key), "it has other bytes than were put; do the upload again")


def _base64(digest: bytes) -> str:
    return b64encode(digest).decode()
