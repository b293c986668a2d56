"""Whose payload folder is it? The folder says so in `store-id`, and only that store writes or removes there.

Two databases with one folder would each take the other's files for orphans. So a database has an id, which it got
when its schema was made, and a folder becomes its own with the first upload. Reading a payload needs no id: its
digest says whether the bytes are right.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from conditions.errors import FilesNotOurs, StoreFull, StoreUnavailable
from conditions.payload import Payload
from conditions.store.files import INCOMING_PREFIX, NO_SPACE, PayloadFiles, flush_folder

STORE_ID_FILE: Final = "store-id"
_STORE_ID: Final = re.compile(r"[0-9a-f]{32}")
_LONGEST_BYTES: Final = 100  # a file with more is not ours


class Owner:
    """One store's claim to a payload folder."""

    def __init__(self, files: PayloadFiles, store_id: str, read_payloads: Callable[[], Sequence[Payload]]) -> None:
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
        found = _read_id(self.files.folder / STORE_ID_FILE)
        if found not in (None, self.store_id):
            raise FilesNotOurs(self.files.folder, found, self.store_id)
        return found is not None

    def claim(self) -> None:
        """Make a folder that is nobody's this store's; the caller holds its lock and knows that it may."""
        with self.files.claiming():
            if not self.owns():
                _write_id(self.files.folder, self.store_id)

    def _adopt(self) -> None:
        """Claim the folder for an upload, unless files lie there that this store does not know."""
        with self.files.claiming():
            if self.owns():  # somebody else's upload was quicker
                return
            there = {digest for digest, _ in self.files.digests()}
            unknown = there - {payload.sha256 for payload in self.read_payloads()} if there else there
            if unknown:
                reason = f"this store does not know {len(unknown)} of the {len(there)} payload files in it"
                raise FilesNotOurs(self.files.folder, None, self.store_id, reason)
            _write_id(self.files.folder, self.store_id)


def _read_id(path: Path) -> str | None:
    """The id that a folder carries, None when it carries none."""
    try:
        with path.open("rb") as stream:
            text = stream.read(_LONGEST_BYTES).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnavailable(path, error.strerror or str(error)) from error
    if _STORE_ID.fullmatch(text) is None:
        raise StoreUnavailable(path, f"{text!r} is no store id; write there that of the store whose files lie beside")
    return text


def _write_id(folder: Path, store_id: str) -> None:
    """Make a folder carry an id: all of it or nothing, also when the power goes."""
    temporary: Path | None = None
    try:
        incoming = folder / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=incoming, prefix=INCOMING_PREFIX)
        temporary = Path(name)
        with os.fdopen(handle, "wb") as target:
            target.write(f"{store_id}\n".encode())
            target.flush()
            os.fchmod(target.fileno(), 0o444)
            os.fsync(target.fileno())
        temporary.replace(folder / STORE_ID_FILE)
        flush_folder(folder)
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StoreFull(folder) from error
        raise StoreUnavailable(folder, error.strerror or str(error)) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
