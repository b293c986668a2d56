"""Locks between machines that share nothing but a bucket: small objects that their holders keep renewing.

    incoming/upload-…   an upload is under way
    .checking           files are being compared with rows

An upload writes its own object first and looks for a check then; a check writes its object first and looks for
uploads then. A bucket shows at once what was written, so one of the two sees the other. An object that was not
renewed for LEASE_S belongs to a process that died. Ages are measured by the bucket's clock.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from conditions.errors import ConditionsError, StoreBusy
from conditions.store.s3 import REFUSED, Bucket, age_s

LEASE_S: Final = 60.0
RENEWALS: Final = 4  # so often in the life of a lease
RETRY_S: Final = 0.1
MARKERS: Final = "incoming/upload-"
CHECKING: Final = ".checking"


class Lease:
    """An object that is renewed as long as its holder lives."""

    def __init__(self, bucket: Bucket, key: str, token: bytes) -> None:
        self.bucket, self.key, self.token = bucket, key, token
        self._renewed = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"lease {key}", daemon=True)

    @property
    def is_lost(self) -> bool:
        """Whether others may take its holder for dead."""
        return time.monotonic() - self._renewed >= LEASE_S

    def start(self) -> None:
        """Begin to renew; the object is there already."""
        self._thread.start()

    def end(self) -> None:
        """Take the object away; one that cannot be reached grows old by itself."""
        self._ended.set()
        self._thread.join()
        with suppress(ConditionsError):
            self.bucket.call("delete_object", self.key)

    def _renew(self) -> None:
        while not self._ended.wait(LEASE_S / RENEWALS):
            now = time.monotonic()
            with suppress(ConditionsError):  # the next one may succeed; is_lost tells when none did
                self.bucket.call("put_object", self.key, Body=self.token)
                self._renewed = now


@contextmanager
def upload_lease(bucket: Bucket, timeout_s: float) -> Iterator[Lease]:
    """Say that an upload is under way, when nobody checks.

    Raises:
        StoreBusy: a check has been under way for too long.
    """
    deadline = time.monotonic() + timeout_s
    token = uuid.uuid4().hex
    lease = Lease(bucket, MARKERS + token, token.encode())
    while True:
        bucket.call("put_object", lease.key, Body=lease.token)
        lease._renewed = time.monotonic()
        if not is_alive(bucket, CHECKING):
            break
        bucket.call("delete_object", lease.key)  # the check must not wait for who waits for it
        if time.monotonic() >= deadline:
            raise StoreBusy(bucket.url, f"its files are being checked, for {timeout_s:g} s already")
        time.sleep(RETRY_S)
    lease.start()
    try:
        yield lease
    finally:
        lease.end()


@contextmanager
def check_lease(bucket: Bucket, timeout_s: float) -> Iterator[Lease]:
    """Keep uploads and other checks away; waits for those under way.

    Raises:
        StoreBusy: they take too long.
    """
    deadline = time.monotonic() + timeout_s
    token = uuid.uuid4().hex.encode()
    while not _take(bucket, token):
        if time.monotonic() >= deadline:
            raise StoreBusy(bucket.url, f"another check is under way, for {timeout_s:g} s already")
        time.sleep(RETRY_S)
    lease = Lease(bucket, CHECKING, token)
    lease.start()
    try:
        while live_uploads(bucket):
            if time.monotonic() >= deadline:
                raise StoreBusy(bucket.url, f"uploads are under way, for {timeout_s:g} s already")
            time.sleep(RETRY_S)
        yield lease
    finally:
        lease.end()


def is_alive(bucket: Bucket, key: str) -> bool:
    """Whether the object is there, and was renewed of late."""
    found = bucket.call("head_object", key, accept=("404", "NoSuchKey"))
    return found is not None and age_s(found, found["LastModified"]) < LEASE_S


def live_uploads(bucket: Bucket) -> list[str]:
    """The uploads that are under way."""
    return [
        each["Key"]
        for page in bucket.pages("list_objects_v2", MARKERS)
        for each in page.get("Contents", ())
        if age_s(page, each["LastModified"]) < LEASE_S
    ]


def _take(bucket: Bucket, token: bytes) -> bool:
    """Write the object of a check if there is none, or one whose holder died; only one of several can."""
    there = bucket.call("head_object", CHECKING, accept=("404", "NoSuchKey"))
    if there is not None and age_s(there, there["LastModified"]) < LEASE_S:
        return False
    condition = {"IfNoneMatch": "*"} if there is None else {"IfMatch": there["ETag"]}
    if bucket.call("put_object", CHECKING, accept=(*REFUSED, "NoSuchKey", "404"), Body=token, **condition) is None:
        return False
    found = bucket.call("get_object", CHECKING, accept=("NoSuchKey", "404"))
    return found is not None and bucket.read(found["Body"], 100) == token
