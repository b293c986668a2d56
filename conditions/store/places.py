"""Where payload bytes are kept: what a folder and a bucket must both be able to do.

`PayloadFiles` (files.py) keeps them in a folder, `BucketFiles` (bucket.py) in an S3-compatible bucket; both lay them
out alike, and nothing else in the store knows which of the two it has.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from conditions.payload import Payload

if TYPE_CHECKING:
    from conditions.store.streams import Source, StoredFile

BUCKET_SCHEME = "s3://"


class Place(Protocol):
    """One file or object; its text names it for people."""

    def __str__(self) -> str: ...


class Files(Protocol):
    """The payload bytes of one store."""

    @property
    def where(self) -> Path | str:
        """The folder, or the bucket's URL."""

    def keep(self, source: BinaryIO) -> StoredFile:
        """Write a stream's bytes under their digest; the caller holds `uploading` until a row speaks of them."""

    def keep_all(self, sources: Iterable[Source], accept: Callable[[int, StoredFile], None] = ...) -> list[StoredFile]:
        """Write the bytes of many sources; `accept` may refuse each before it gets its name."""

    def verified_path(self, payload: Payload) -> Path:
        """A local file with the payload's bytes, after size and digest were compared."""

    def verify(self, payload: Payload) -> None:
        """Read what is kept, and no copy of it, and compare size and digest."""

    def open_stream(self, payload: Payload, first: int = 0, last: int | None = None) -> BinaryIO:
        """A payload's bytes from `first` on, to be closed by the caller, not compared with the digest.

        `last`, the last byte that will be read, lets a bucket send no more than that; a folder may give more.
        """

    def presigned_url(self, sha256: str, expires_s: int) -> str | None:
        """A URL that gives the bytes to whoever asks, for a while; None where there is no such thing."""

    def uploading(self) -> AbstractContextManager[None]:
        """Keep repairs away from bytes that no row speaks of yet."""

    def checking(self) -> AbstractContextManager[None]:
        """Keep uploads away while bytes are compared with rows."""

    def claiming(self) -> AbstractContextManager[None]:
        """Keep others from giving the place to their store meanwhile."""

    def digests(self) -> Iterator[tuple[str, Place]]:
        """Everything that lies under a digest's name, in order."""

    def is_settled(self, place: Place) -> bool:
        """Whether nobody can be about to write a row for what lies there; asked while `checking`."""

    def leftovers(self) -> list[Place]:
        """What uploads that died have left; asked while `checking`."""

    def remove(self, place: Place) -> None:
        """Remove what lies there; somebody may have removed it already."""

    def read_owner(self) -> str | None:
        """What `store-id` says, None when there is none."""

    def write_owner(self, store_id: str) -> None:
        """Make `store-id` say whose all this is, unless somebody was quicker."""


def is_bucket(where: object) -> bool:
    """Whether a place for payload files names a bucket."""
    return isinstance(where, str) and where.startswith(BUCKET_SCHEME)


def files_at(where: str | os.PathLike[str]) -> Files:
    """The payload files at a place: a folder, or s3://BUCKET/PREFIX.

    Raises:
        BadInputError: the URL names no bucket.
    """
    if is_bucket(where):
        from conditions.store.bucket import BucketFiles

        return BucketFiles(str(where))
    from conditions.store.files import PayloadFiles

    return PayloadFiles(Path(where).expanduser().absolute())
