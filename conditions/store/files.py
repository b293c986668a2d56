"""The payload folder: bytes under the name of their digest.

    <folder>/ab/abcdef…      a payload's bytes, read-only, named by sha256
    <folder>/incoming/…      what is being written, under a name that begins with upload-
    <folder>/store-id        the id of the database whose files these are, written before the first of them
    <folder>/.lock           held shared by uploads, exclusively while orphans are looked for
    <folder>/.claim          held, inside the other one, by who looks whether store-id is to be written

Bytes are complete, flushed and under their final name before a row of the database speaks of them. A crash at any
point leaves at most a file nobody speaks of, never a row without its file.

A folder belongs to one database (`owner.py`): uploads and checks refuse one whose store-id is another's. One without
store-id, made by hand or restored in part, is adopted by an upload if this database knows every file in it, and by a
repair if every payload of this database is in it; otherwise nothing in it is touched. Reading asks for no id.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from conditions.errors import PayloadCorrupt, PayloadLost, StoreBusy, StoreFull, StoreUnavailable
from conditions.payload import Payload
from conditions.store.places import Place
from conditions.store.streams import Learning, Source, StoredFile, opened

LOCK_TIMEOUT_S: Final = 60.0
LOCK_RETRY_S: Final = 0.05
INCOMING_PREFIX: Final = "upload-"
STORE_ID_FILE: Final = "store-id"
FLUSHES_AT_ONCE: Final = 8  # a disk that flushes for several at once is asked by several
PENDING_FILES: Final = 64  # open at the same time
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a quota or a limit of the process is a full disk, too


@dataclass(frozen=True, slots=True)
class _Written:
    """A file with all its bytes and a temporary name."""

    handle: int
    path: Path

    def forget(self) -> None:
        """Close it, and remove what still has the temporary name."""
        with suppress(OSError):
            os.close(self.handle)
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A file that is being flushed."""

    written: _Written
    stored: StoredFile
    flushed: Future[None]


class PayloadFiles:
    """The payload folder of one store; it is made when the first file comes."""

    def __init__(self, folder: Path, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self.folder = folder
        self.lock_timeout_s = lock_timeout_s

    @property
    def where(self) -> Path:
        """The folder."""
        return self.folder

    def path_of(self, sha256: str) -> Path:
        """Where the bytes of a digest lie, or would."""
        return self.folder / sha256[:2] / sha256

    def keep(self, source: BinaryIO) -> StoredFile:
        """Write a stream's bytes; the caller holds `uploading` until a row speaks of them.

        Raises:
            StoreFull: no space; nothing is left behind.
            BadSource: the stream cannot be read.
            StoreUnavailable: the folder cannot be written.
        """
        learning = Learning()
        temporary: Path | None = None
        try:
            incoming = self.folder / "incoming"
            incoming.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=incoming, prefix=INCOMING_PREFIX)
            temporary = Path(name)
            with os.fdopen(handle, "wb") as target:
                for chunk in learning.through(source):
                    target.write(chunk)
                target.flush()
                os.fchmod(target.fileno(), 0o444)
                os.fsync(target.fileno())
            stored = learning.stored()
            folder = self._give_name(temporary, stored)
            for each in (folder, self.folder, self.folder.parent):
                flush_folder(each)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise StoreFull(self.folder, learning.size_bytes) from error
            raise StoreUnavailable(self.folder, error.strerror or str(error)) from error
        finally:
            if temporary is not None:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
        return stored

    def keep_all(
        self, sources: Iterable[Source], accept: Callable[[int, StoredFile], None] = lambda _position, _stored: None
    ) -> list[StoredFile]:
        """Write the bytes of many sources, as `keep` does for one; a few are flushed at the same time.

        Files get their names as they come, and the folders are flushed once, after the last.

        Args:
            sources: paths, which are opened one after the other, or streams.
            accept: is shown what was learnt about each, with its position, before the file gets its name; what it
                raises ends it all, and this file and those to come are not kept.

        Raises:
            StoreFull, BadSource, StoreUnavailable: as `keep`.
        """
        kept: list[StoredFile] = []
        folders: set[Path] = {self.folder, self.folder.parent}
        pending: deque[_Pending] = deque()
        learning = Learning()
        try:
            with ThreadPoolExecutor(FLUSHES_AT_ONCE) as pool:
                for position, source in enumerate(sources):
                    learning = Learning()
                    with opened(source) as stream:
                        written = self._write(stream, learning)
                    pending.append(_Pending(written, learning.stored(), pool.submit(os.fsync, written.handle)))
                    kept.append(pending[-1].stored)
                    accept(position, kept[-1])
                    if len(pending) == PENDING_FILES:
                        folders.add(self._finish(pending))
                while pending:
                    folders.add(self._finish(pending))
            for folder in folders if kept else ():
                flush_folder(folder)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise StoreFull(self.folder, learning.size_bytes) from error
            raise StoreUnavailable(self.folder, error.strerror or str(error)) from error
        finally:
            for each in pending:
                each.written.forget()
        return kept

    def verified_path(self, payload: Payload) -> Path:
        """The file of a payload, after its size and digest were compared.

        Raises:
            PayloadLost: there is no file.
            PayloadCorrupt: it holds other bytes.
        """
        path = self.path_of(payload.sha256)
        try:
            fault = _fault_of(path, payload.size_bytes, payload.sha256)
        except FileNotFoundError as error:
            raise PayloadLost(payload.name, payload.revision, path) from error
        except OSError as error:
            raise StoreUnavailable(path, error.strerror or str(error)) from error
        if fault is not None:
            raise PayloadCorrupt(payload.name, payload.revision, path, fault)
        return path

    def verify(self, payload: Payload) -> None:
        """Compare a payload's file with what is known about it; raises as `verified_path`."""
        self.verified_path(payload)

    def open_stream(self, payload: Payload, first: int = 0, last: int | None = None) -> BinaryIO:  # noqa: ARG002
        """A payload's bytes from `first` to the end, not compared with the digest.

        Raises:
            PayloadLost: there is no file.
        """
        path = self.path_of(payload.sha256)
        try:
            stream = path.open("rb")
            stream.seek(first)
        except FileNotFoundError as error:
            raise PayloadLost(payload.name, payload.revision, path) from error
        except OSError as error:
            raise StoreUnavailable(path, error.strerror or str(error)) from error
        return stream

    def presigned_url(self, sha256: str, expires_s: int) -> None:
        """None: a folder serves nobody."""

    @contextmanager
    def uploading(self) -> Iterator[None]:
        """Keep repairs away from files that no row speaks of yet."""
        with self._locked(fcntl.LOCK_SH, "its files are being checked"):
            yield

    @contextmanager
    def checking(self) -> Iterator[None]:
        """Keep uploads away while files are compared with rows."""
        with self._locked(fcntl.LOCK_EX, "uploads are under way"):
            yield

    @contextmanager
    def claiming(self) -> Iterator[None]:
        """Keep others from giving the folder to their store meanwhile; held for a moment only."""
        with self._locked(fcntl.LOCK_EX, "another process makes it its store's own", ".claim"):
            yield

    def digests(self) -> Iterator[tuple[str, Path]]:
        """Every file under a digest's name, in order; whatever else lies in the folder is not ours."""
        for path in sorted(self.folder.glob("??/*")):
            if _DIGEST.fullmatch(path.name) and path.parent.name == path.name[:2]:
                yield path.name, path

    def is_settled(self, place: Place) -> bool:  # noqa: ARG002
        """While `checking`, nobody is about to write a row for any file."""
        return True

    def leftovers(self) -> list[Place]:
        """Files that were being written; while `checking`, those of uploads that died."""
        return [*sorted((self.folder / "incoming").glob(f"{INCOMING_PREFIX}*"))]

    def remove(self, place: Place) -> None:
        """Remove one file; somebody may have removed it already."""
        remove_path(Path(str(place)))

    def read_owner(self) -> str | None:
        """What `store-id` says, None when there is none."""
        path = self.folder / STORE_ID_FILE
        try:
            with path.open("rb") as stream:
                return stream.read(100).decode("ascii", "replace").strip()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreUnavailable(path, error.strerror or str(error)) from error

    def write_owner(self, store_id: str) -> None:
        """Make the folder carry an id: all of it or nothing, also when the power goes."""
        temporary: Path | None = None
        try:
            incoming = self.folder / "incoming"
            incoming.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=incoming, prefix=INCOMING_PREFIX)
            temporary = Path(name)
            with os.fdopen(handle, "wb") as target:
                target.write(f"{store_id}\n".encode())
                target.flush()
                os.fchmod(target.fileno(), 0o444)
                os.fsync(target.fileno())
            temporary.replace(self.folder / STORE_ID_FILE)
            flush_folder(self.folder)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise StoreFull(self.folder) from error
            raise StoreUnavailable(self.folder, error.strerror or str(error)) from error
        finally:
            if temporary is not None:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)

    def _give_name(self, temporary: Path, stored: StoredFile) -> Path:
        """Put complete bytes under their digest; a sound file that is there already stays. Returns the folder."""
        path = self.path_of(stored.sha256)
        path.parent.mkdir(exist_ok=True)
        try:
            sound = _fault_of(path, stored.size_bytes, stored.sha256) is None
        except FileNotFoundError:
            sound = False
        if not sound:  # new, or damaged since: the same bytes mend it
            temporary.replace(path)
        return path.parent

    def _write(self, source: BinaryIO, learning: Learning) -> _Written:
        """Write a stream's bytes under a temporary name; they are not flushed yet."""
        incoming = self.folder / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=incoming, prefix=INCOMING_PREFIX)
        written = _Written(handle, Path(name))
        try:
            with os.fdopen(handle, "wb", closefd=False) as target:
                for chunk in learning.through(source):
                    target.write(chunk)
            os.fchmod(handle, 0o444)
        except BaseException:
            written.forget()
            raise
        return written

    def _finish(self, pending: deque[_Pending]) -> Path:
        """Wait for the first of the files that are being flushed and give it its name; returns the folder."""
        pending[0].flushed.result()
        folder = self._give_name(pending[0].written.path, pending[0].stored)
        pending.popleft().written.forget()
        return folder

    @contextmanager
    def _locked(self, kind: int, reason: str, name: str = ".lock") -> Iterator[None]:
        """Hold a lock of the folder; it goes with the process, whatever ends that."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise StoreFull(self.folder) from error
            raise StoreUnavailable(self.folder, error.strerror or str(error)) from error
        try:
            deadline = time.monotonic() + self.lock_timeout_s
            while not _try_lock(handle, kind):
                if time.monotonic() >= deadline:
                    raise StoreBusy(self.folder, f"{reason}, for {self.lock_timeout_s:g} s already")
                time.sleep(LOCK_RETRY_S)
            yield
        finally:
            # Said aloud: a child that was forked meanwhile has the file open, too, and closing would leave it locked.
            fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)


def remove_path(path: Path) -> None:
    """Remove one file or folder; somebody may have removed it already."""
    try:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreUnavailable(path, error.strerror or str(error)) from error


def flush_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _fault_of(path: Path, size_bytes: int, sha256: str) -> str | None:
    """What is wrong with a file, None when it holds the bytes it should."""
    with path.open("rb") as stream:
        found = os.fstat(stream.fileno()).st_size
        if found != size_bytes:
            return f"has {found} bytes instead of {size_bytes}"
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return None if digest == sha256 else f"has sha256 {digest} instead of {sha256}"


def _try_lock(handle: int, kind: int) -> bool:
    """Take the lock if it is free."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
