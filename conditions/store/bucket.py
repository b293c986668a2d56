"""Payload bytes in an S3-compatible bucket, laid out as in a folder.

    s3://bucket/prefix/ab/abcdef…        a payload's bytes, named by sha256
    s3://bucket/prefix/incoming/…        an upload is under way (`lease.py`)
    s3://bucket/prefix/store-id          the id of the database whose files these are; the first who writes it wins
    s3://bucket/prefix/.checking         files are being compared with rows

An upload is spooled to a local temporary file, put with its checksum, and what the bucket has then is compared by
size and checksum before a row speaks of it. Readers get a verified copy in the payload cache of their machine.

What no row speaks of is an orphan only when it was not written for ORPHAN_AGE_S: a process that was put to sleep in
its upload, and whose lease ran out meanwhile, finds its bytes when it wakes up. Every upload writes its bytes anew,
so those of an old orphan that is uploaded again are young.
"""

from __future__ import annotations

import io
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

from conditions.client.cache import PayloadCache
from conditions.errors import PayloadCorrupt, PayloadLost, StoreUnavailable
from conditions.payload import Payload
from conditions.store import lease, objects
from conditions.store.files import LOCK_TIMEOUT_S
from conditions.store.places import Place
from conditions.store.s3 import MISSING, REFUSED, Bucket, age_s
from conditions.store.streams import CHUNK_BYTES, Source, StoredFile, opened

ORPHAN_AGE_S: Final = 3600.0
PUTS_AT_ONCE: Final = 8
PENDING_PUTS: Final = 32
STORE_ID: Final = "store-id"
_NAMED: Final = re.compile(r"([0-9a-f]{2})/(\1[0-9a-f]{62})")


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """An object, or an upload in parts that was never finished."""

    url: str
    key: str
    age_s: float
    upload_id: str | None = None

    def __str__(self) -> str:
        return f"{self.url}/{self.key}" + (f"?uploadId={self.upload_id}" if self.upload_id else "")


class BucketFiles:
    """The payload bucket of one store; nothing is asked of it before it is used."""

    def __init__(self, url: str, lock_timeout_s: float = LOCK_TIMEOUT_S, cache: PayloadCache | None = None) -> None:
        self.bucket, self.lock_timeout_s = Bucket(url), lock_timeout_s
        self._cache = cache or PayloadCache()
        self._local = threading.local()

    @property
    def where(self) -> str:
        """The bucket's URL with the prefix."""
        return self.bucket.url

    def keep(self, source: BinaryIO) -> StoredFile:
        """Write a stream's bytes; the caller holds `uploading` until a row speaks of them.

        Raises:
            StoreFull: no space here or there.
            BadSource: the stream cannot be read.
            StoreUnavailable: the bucket cannot be written, or has other bytes than it was given.
        """
        spooled = objects.spool(source)
        self._put(spooled)
        self._check_leases()
        return spooled.stored

    def keep_all(
        self, sources: Iterable[Source], accept: Callable[[int, StoredFile], None] = lambda _position, _stored: None
    ) -> list[StoredFile]:
        """Write the bytes of many sources, a few at the same time; raises as `keep`.

        Args:
            sources: paths, which are opened one after the other, or streams.
            accept: is shown what was learnt about each, with its position, before it is put; what it raises ends it
                all, and this one and those to come are not kept.
        """
        kept: list[StoredFile] = []
        pending: deque[tuple[Future[None], objects.Spooled]] = deque()
        with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
            try:
                for source in sources:
                    with opened(source) as stream:
                        spooled = objects.spool(stream)
                    kept.append(spooled.stored)
                    _accepted(accept, len(kept) - 1, spooled)
                    pending.append((pool.submit(self._put, spooled), spooled))
                    if len(pending) == PENDING_PUTS:
                        pending.popleft()[0].result()
                while pending:
                    pending.popleft()[0].result()
            except BaseException:
                for future, waiting in pending:
                    if future.cancel():
                        waiting.stream.close()
                raise
        self._check_leases()
        return kept

    def verified_path(self, payload: Payload) -> Path:
        """A copy of the payload in this machine's cache, after its size and digest were compared.

        Raises:
            PayloadLost: the bucket has no such object.
            PayloadCorrupt: it holds other bytes.
            StoreUnavailable, CacheError: the bucket, or the cache, cannot serve.
        """
        try:
            return self._cache.path_of(payload, lambda target: self._copy(payload, target))
        except PayloadCorrupt as error:
            place = self.bucket.shown(_key(payload.sha256))
            raise PayloadCorrupt(payload.name, payload.revision, place, error.reason) from error

    def verify(self, payload: Payload) -> None:
        """Read the object, and no copy of it, and compare size and digest; raises as `verified_path`."""
        sink = objects.Digest()
        self._copy(payload, cast(BinaryIO, sink))
        fault = None
        if sink.size_bytes != payload.size_bytes:
            fault = f"has {sink.size_bytes} bytes instead of {payload.size_bytes}"
        elif sink.sha256.hexdigest() != payload.sha256:
            fault = f"has sha256 {sink.sha256.hexdigest()} instead of {payload.sha256}"
        if fault is not None:
            place = self.bucket.shown(_key(payload.sha256))
            raise PayloadCorrupt(payload.name, payload.revision, place, fault)

    def open_stream(self, payload: Payload, first: int = 0, last: int | None = None) -> BinaryIO:
        """The bytes of an object from `first` to `last`, as they come, not compared with the digest.

        Raises:
            PayloadLost: there is no such object.
        """
        key = _key(payload.sha256)
        body = objects.body_of(self.bucket, key, first, last)
        if body is None:
            raise PayloadLost(payload.name, payload.revision, self.bucket.shown(key))
        return cast(BinaryIO, io.BufferedReader(objects.Body(self.bucket, body), CHUNK_BYTES))

    def presigned_url(self, sha256: str, expires_s: int) -> str:
        """A URL that gives the bytes to whoever has it, for so many seconds."""
        return self.bucket.presigned(_key(sha256), expires_s)

    @contextmanager
    def uploading(self) -> Iterator[None]:
        """Keep repairs, on any machine, away from objects that no row speaks of yet."""
        with lease.upload_lease(self.bucket, self.lock_timeout_s) as held:
            leases = self._leases()
            leases.append(held)
            try:
                yield
            finally:
                leases.remove(held)

    @contextmanager
    def checking(self) -> Iterator[None]:
        """Keep uploads, on any machine, away while objects are compared with rows."""
        with lease.check_lease(self.bucket, self.lock_timeout_s):
            yield

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Nothing to hold: of several who write `store-id`, the bucket takes the first."""
        yield

    def digests(self) -> Iterator[tuple[str, BucketPlace]]:
        """Every object under a digest's name, in order; whatever else lies under the prefix is not ours."""
        for page in self.bucket.pages("list_objects_v2"):
            for found in page.get("Contents", ()):
                key = found["Key"].removeprefix(self.bucket.prefix)
                named = _NAMED.fullmatch(key)
                if named is not None:
                    yield named[2], BucketPlace(self.where, key, age_s(page, found["LastModified"]))

    def is_settled(self, place: Place) -> bool:
        """Whether it was written so long ago that no upload can still mean it."""
        return not isinstance(place, BucketPlace) or place.age_s >= ORPHAN_AGE_S

    def leftovers(self) -> list[Place]:
        """Marks of uploads that died, and the parts they have left."""
        found: list[Place] = []
        for page in self.bucket.pages("list_objects_v2", lease.MARKERS):
            for each in page.get("Contents", ()):
                age = age_s(page, each["LastModified"])
                if age >= lease.LEASE_S:
                    found.append(BucketPlace(self.where, each["Key"].removeprefix(self.bucket.prefix), age))
        for page in self.bucket.pages("list_multipart_uploads"):
            for each in page.get("Uploads", ()):
                age = age_s(page, each["Initiated"])
                if age >= ORPHAN_AGE_S:
                    key = each["Key"].removeprefix(self.bucket.prefix)
                    found.append(BucketPlace(self.where, key, age, each["UploadId"]))
        return found

    def remove(self, place: Place) -> None:
        """Remove an object, or the parts of one that was never finished."""
        if not isinstance(place, BucketPlace):
            raise TypeError(f"{place} is not in a bucket")
        if place.upload_id is None:
            self.bucket.call("delete_object", place.key)
        else:
            accept = ("NoSuchUpload", "404")
            self.bucket.call("abort_multipart_upload", place.key, accept=accept, UploadId=place.upload_id)

    def read_owner(self) -> str | None:
        """What `store-id` says, None when there is none."""
        found = self.bucket.call("get_object", STORE_ID, accept=MISSING)
        return None if found is None else self.bucket.read(found["Body"], 100).decode("ascii", "replace").strip()

    def write_owner(self, store_id: str) -> None:
        """Write `store-id` unless there is one."""
        self.bucket.call("put_object", STORE_ID, accept=REFUSED, Body=f"{store_id}\n".encode(), IfNoneMatch="*")

    def _leases(self) -> list[lease.Lease]:
        """Those that this thread holds."""
        found: list[lease.Lease] | None = getattr(self._local, "leases", None)
        if found is None:
            found = self._local.leases = []
        return found

    def _check_leases(self) -> None:
        """Refuse to go on when a repair may have taken this upload for dead."""
        if any(held.is_lost for held in self._leases()):
            raise StoreUnavailable(self.where, "the bucket could not be reached for too long; do the upload again")

    def _put(self, spooled: objects.Spooled) -> None:
        """Put bytes under their digest."""
        objects.put(self.bucket, _key(spooled.stored.sha256), spooled)

    def _copy(self, payload: Payload, target: BinaryIO) -> None:
        """Write an object's bytes into a stream."""
        if not objects.copy(self.bucket, _key(payload.sha256), target):
            raise PayloadLost(payload.name, payload.revision, self.bucket.shown(_key(payload.sha256)))


def _accepted(accept: Callable[[int, StoredFile], None], position: int, spooled: objects.Spooled) -> None:
    """Show what was learnt; bytes that are refused are forgotten."""
    try:
        accept(position, spooled.stored)
    except BaseException:
        spooled.stream.close()
        raise


def _key(sha256: str) -> str:
    return f"{sha256[:2]}/{sha256}"
