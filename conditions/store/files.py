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
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from conditions.errors import BadSource, PayloadCorrupt, PayloadLost, StoreBusy, StoreFull, StoreUnavailable
from conditions.payload import Payload

CHUNK_BYTES: Final = 1 << 20
LOCK_TIMEOUT_S: Final = 60.0
LOCK_RETRY_S: Final = 0.05
INCOMING_PREFIX: Final = "upload-"
FLUSHES_AT_ONCE: Final = 8  # a disk that flushes for several at once is asked by several
PENDING_FILES: Final = 64  # open at the same time
Source: TypeAlias = str | os.PathLike[str] | BinaryIO
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # a quota or a limit of the process is a full disk, too


@dataclass(frozen=True, slots=True)
class StoredFile:
    """What was learnt about bytes while they were written."""

    sha256: str
    md5: str
    size_bytes: int


class _Learning:
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


@dataclass(frozen=True, slots=True)
class _Pending:
    """A file with a temporary name that is being flushed."""

    handle: int
    path: Path
    flushed: Future[None] | None = None

    def forget(self) -> None:
        """Close it, and remove what still has the temporary name."""
        with suppress(OSError):
            os.close(self.handle)
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


class PayloadFiles:
    """The payload folder of one store; it is made when the first file comes."""

    def __init__(self, folder: Path, lock_timeout_s: float = LOCK_TIMEOUT_S) -> None:
        self.folder = folder
        self.lock_timeout_s = lock_timeout_s

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
        learning = _Learning()
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
        learning = _Learning()
        try:
            with ThreadPoolExecutor(FLUSHES_AT_ONCE) as pool:
                for source in sources:
                    learning = _Learning()
                    with opened(source) as stream:
                        pending.append(self._write(stream, learning))
                    kept.append(learning.stored())
                    accept(len(kept) - 1, kept[-1])
                    pending[-1] = replace(pending[-1], flushed=pool.submit(os.fsync, pending[-1].handle))
                    if len(pending) == PENDING_FILES:
                        folders.add(self._finish(pending, kept))
                while pending:
                    folders.add(self._finish(pending, kept))
            for folder in folders if kept else ():
                flush_folder(folder)
        except OSError as error:
            if error.errno in NO_SPACE:
                raise StoreFull(self.folder, learning.size_bytes) from error
            raise StoreUnavailable(self.folder, error.strerror or str(error)) from error
        finally:
            for each in pending:
                each.forget()
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

    def leftovers(self) -> list[Path]:
        """Files that were being written; while `checking`, those of uploads that died."""
        return sorted((self.folder / "incoming").glob(f"{INCOMING_PREFIX}*"))

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

    def _write(self, source: BinaryIO, learning: _Learning) -> _Pending:
        """Write a stream's bytes under a temporary name; they are not flushed yet."""
        incoming = self.folder / "incoming"
        incoming.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=incoming, prefix=INCOMING_PREFIX)
        pending = _Pending(handle, Path(name))
        try:
            with os.fdopen(handle, "wb", closefd=False) as target:
                for chunk in learning.through(source):
                    target.write(chunk)
            os.fchmod(handle, 0o444)
        except BaseException:
            pending.forget()
            raise
        return pending

    def _finish(self, pending: deque[_Pending], kept: Sequence[StoredFile]) -> Path:
        """Wait for the first of the files that are being flushed and give it its name; returns the folder."""
        first = pending[0]
        if first.flushed is not None:
            first.flushed.result()
        folder = self._give_name(first.path, kept[-len(pending)])
        pending.popleft().forget()
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


def flush_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(source: BinaryIO) -> bytes:
    """The next bytes of a stream."""
    try:
        chunk = source.read(CHUNK_BYTES)
    except (OSError, ValueError) as error:
        raise BadSource(getattr(source, "name", "the stream"), str(error)) from error
    if not isinstance(chunk, bytes | bytearray | memoryview | None):
        raise BadSource(getattr(source, "name", "the stream"), "it gives text, not bytes; open it in binary mode")
    return chunk or b""


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
