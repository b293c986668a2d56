"""Whose payload folder is it? The folder says so in `store-id`, and only that store writes or removes there.

Two databases with one folder would each take the other's files for orphans. So a database has an id, which it got
when its schema was made, and a folder becomes its own with the first upload. Reading a payload needs no id: its
digest says whether the bytes are right.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from conditions.errors import FilesNotOurs, StoreUnavailable
from conditions.payload import Payload
from conditions.store.places import Files

_STORE_ID: Final = re.compile(r"[0-9a-f]{32}")


class Owner:
    """One store's claim to a payload folder."""

    def __init__(self, files: Files, store_id: str, read_payloads: Callable[[], Sequence[Payload]]) -> None:
        self.files, self.store_id, self.read_payloads = files, store_id, read_payloads

    @contextmanager
    def uploading(self) -> Iterator[None]:
        """Hold the folder for an upload; one that is nobody's becomes this store's, if all files there are its own.

        Raises:
            FilesNotOurs: the folder is another store's, or holds files that this one does not know.
        """
        self.owns()  # in another store's folder not even a lock is made
        with self.files.uploading():
            if not self.owns():
                self._adopt()
            yield

    @contextmanager
    def checking(self) -> Iterator[None]:
        """Hold the folder while files are compared with rows.

        Raises:
            FilesNotOurs: the folder is another store's.
        """
        self.owns()
        with self.files.checking():
            self.owns()
            yield

    def owns(self) -> bool:
        """Whether the folder is this store's; False when it is nobody's yet.

        Raises:
            FilesNotOurs: it is another store's.
            StoreUnavailable: what it says cannot be read.
        """
        found = self.files.read_owner()
        if found is None:
            return False
        if _STORE_ID.fullmatch(found) is None:
            advice = "write there that of the store whose files lie beside"
            raise StoreUnavailable(f"{self.files.where}/store-id", f"{found!r} is no store id; {advice}")
        if found != self.store_id:
            raise FilesNotOurs(self.files.where, found, self.store_id)
        return True

    def claim(self) -> None:
        """Make a folder that is nobody's this store's; the caller holds its lock and knows that it may."""
        with self.files.claiming():
            if not self.owns():
                self._write()

    def _adopt(self) -> None:
        """Claim the folder for an upload, unless files lie there that this store does not know."""
        with self.files.claiming():
            if self.owns():  # somebody else's upload was quicker
                return
            there = {digest for digest, _ in self.files.digests()}
            unknown = there - {payload.sha256 for payload in self.read_payloads()} if there else there
            if unknown and not self.owns():  # in a bucket, this store's own upload may have been quicker even now
                reason = f"this store does not know {len(unknown)} of the {len(there)} payload files in it"
                raise FilesNotOurs(self.files.where, None, self.store_id, reason)
            self._write()

    def _write(self) -> None:
        """Say whose the place is; in a bucket another store may have been quicker all the same."""
        self.files.write_owner(self.store_id)
        if not self.owns():
            raise StoreUnavailable(f"{self.files.where}/store-id", "it is not there after it was written")
