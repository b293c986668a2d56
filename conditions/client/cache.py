"""The payload cache of a machine: files under the names of their digests, shared by all its processes.

    <folder>/sha256/ab/abcdef…   a payload's bytes, read-only
    <folder>/md5/cd/cdef01…      the same file, for sources that know no sha256
    <folder>/locks/<digest>      held by the one process that fetches this payload
    <folder>/incoming/<digest>   what it has so far; what a killed process left there is written over

A file gets its name when its bytes are verified, and is verified again by every process before its first use, so a
cache that was damaged costs a download and never a result. Nothing is removed behind anybody's back: `clear` removes
what no job has asked for in a number of days.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

import filelock
import platformdirs

from conditions.errors import CacheBusy, CacheFull, CacheUnusable, PayloadCorrupt
from conditions.payload import Payload, check_payload

log = logging.getLogger(__name__)

LOCK_WAIT_S: Final = 120
CHUNK_BYTES: Final = 1024 * 1024
NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
DAY_S: Final = 86_400

Fetch = Callable[[BinaryIO], None]
"""Writes a payload's bytes into a stream, from its beginning."""


@dataclass(frozen=True)
class CacheFacts:
    """What a cache holds."""

    folder: Path
    n_files: int
    size_bytes: int


class PayloadCache:
    """Verified payload files of this machine; one download serves all its processes.

    Args:
        folder: where they are; None means `CONDITIONS_CACHE`, else the user's cache folder.
        lock_wait_s: how long to wait for another process that fetches the same payload.
    """

    def __init__(self, folder: Path | str | None = None, *, lock_wait_s: float = LOCK_WAIT_S) -> None:
        chosen = folder or os.environ.get("CONDITIONS_CACHE") or platformdirs.user_cache_path("conditions")
        self.folder = Path(chosen).expanduser().absolute()
        self.lock_wait_s = lock_wait_s
        self._writable: Path | None = None  # another folder, once this one has refused to be written
        self._verified: dict[Path, tuple[int, int, int]] = {}  # what this process has read and compared

    def path_of(self, payload: Payload, fetch: Fetch) -> Path:
        """The payload's file, verified, read-only; fetched if no process of this machine has done it yet.

        Raises:
            PayloadCorrupt: the bytes were fetched twice, and are not what the payload says.
            CacheError: the cache is full, locked for too long, or cannot be used.
        """
        found = self.find(payload)
        if found is not None:
            return found
        with self._locked(payload) as folder:
            # The process that held the lock before may have fetched it.
            return self.find(payload) or self._fetched(folder, payload, fetch)

    def find(self, payload: Payload) -> Path | None:
        """The payload's file if it is here and sound; None if it has to be fetched.

        Raises:
            BadInputError: what is said of the payload must not name files.
        """
        check_payload(payload)
        for folder in dict.fromkeys([self.folder, self._writable or self.folder]):
            for path in _names_of(folder, payload):
                if self._is_sound(path, payload):
                    return path
        return None

    def facts(self) -> CacheFacts:
        """What the cache holds; a file with two names counts once."""
        sizes = {(stat.st_dev, stat.st_ino): stat.st_size for _, stat in self._files()}
        return CacheFacts(self.folder, len(sizes), sum(sizes.values()))

    def clear(self, unused_days: float = 0, *, dry_run: bool = False) -> CacheFacts:
        """Remove the payloads that no process has asked for in so many days; says what was, or would be, removed.

        A process that holds the path of a payload, but has not opened it yet, would miss it: on a machine with
        running jobs give days.
        """
        before = time.time() - unused_days * DAY_S
        removed: dict[tuple[int, int], int] = {}
        for path, stat in list(self._files()):
            if stat.st_atime > before:
                continue
            removed[stat.st_dev, stat.st_ino] = stat.st_size
            if not dry_run:
                with _errors_of(self.folder):
                    path.unlink(missing_ok=True)
        return CacheFacts(self.folder, len(removed), sum(removed.values()))

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for kind in ("sha256", "md5"):
            for path in sorted((self.folder / kind).glob("*/*")):
                with suppress(FileNotFoundError):
                    yield path, path.stat()

    def _is_sound(self, path: Path, payload: Payload) -> bool:
        """Whether the file holds the payload's bytes; a damaged one is said and counts as absent."""
        try:
            stat = path.stat()
            seen = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            if self._verified.get(path) != seen:
                fault = _fault_of(path, payload)
                if fault is not None:
                    log.warning("%s in the payload cache is damaged, it is fetched anew: %s %s", payload, path, fault)
                    return False
                self._verified[path] = seen
        except OSError:  # not there, or not for us
            return False
        # The time of use, for `clear`; many file systems are mounted so that reading does not set it.
        with suppress(OSError):
            os.utime(path, ns=(time.time_ns(), stat.st_mtime_ns))
        return True

    def _fetched(self, folder: Path, payload: Payload, fetch: Fetch) -> Path:
        fault = ""
        for _ in range(2):  # a mismatch: once more, then it is an error
            incoming = folder / "incoming" / _key(payload)
            try:
                with _errors_of(folder):
                    incoming.unlink(missing_ok=True)
                    sink = _Sink(incoming.open("xb"), folder, payload.size_bytes)
                with sink, suppress(_TooMuch):
                    fetch(cast(BinaryIO, sink))
                found = sink.fault(payload)
                if found is None:
                    return self._named(folder, incoming, sink)
                fault = found
            finally:
                with suppress(OSError):
                    incoming.unlink(missing_ok=True)
        raise PayloadCorrupt(payload.name, payload.revision, "what was fetched, twice,", fault)

    def _named(self, folder: Path, incoming: Path, sink: _Sink) -> Path:
        """Give verified bytes their names."""
        sha256, md5 = sink.sha256.hexdigest(), sink.md5.hexdigest()
        path, second = _place(folder, "sha256", sha256), _place(folder, "md5", md5)
        with _errors_of(folder):
            for name in (path, second):
                name.parent.mkdir(parents=True, exist_ok=True)
            incoming.chmod(0o444)
            stat = incoming.stat()
            incoming.replace(path)
            with suppress(OSError):  # a file system without hard links: who knows the md5 alone fetches again
                second.unlink(missing_ok=True)
                second.hardlink_to(path)
        self._verified[path] = self._verified[second] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
        return path if path.exists() else second

    @contextmanager
    def _locked(self, payload: Payload) -> Iterator[Path]:
        """The folder to write into, with the right to fetch this payload."""
        folder = self._prepared()
        lock = folder / "locks" / _key(payload)
        held = filelock.FileLock(lock, timeout=self.lock_wait_s)
        try:
            with _errors_of(folder):
                held.acquire()
        except filelock.Timeout as error:
            raise CacheBusy(lock, self.lock_wait_s) from error
        try:
            yield folder
        finally:
            held.release()

    def _prepared(self) -> Path:
        """The cache's folder; where that cannot be written, one for temporary files, which is said once."""
        if self._writable is None:
            try:
                self._writable = _made(self.folder)
            except OSError as error:
                if error.errno not in (*NOT_WRITABLE, errno.ENOTDIR, errno.EEXIST):
                    with _errors_of(self.folder):
                        raise
                self._writable = _temporary_cache(self.folder)
                reason = error.strerror or str(error)
                log.warning("payload cache %s: %s; using %s instead", self.folder, reason, self._writable)
        return self._writable


class _TooMuch(Exception):
    """More bytes came than the payload has: who sends without an end must not fill the disk."""


class _Sink:
    """A file that is written, with the digests of what it got; errors of the disk are errors of the cache."""

    def __init__(self, stream: BinaryIO, folder: Path, wanted_bytes: int) -> None:
        self._stream, self._folder, self._wanted_bytes = stream, folder, wanted_bytes
        self.sha256, self.md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
        self.size_bytes = 0

    def write(self, chunk: bytes) -> int:
        self.sha256.update(chunk)
        self.md5.update(chunk)
        self.size_bytes += len(chunk)
        if 0 <= self._wanted_bytes < self.size_bytes:
            raise _TooMuch
        with _errors_of(self._folder):
            return self._stream.write(chunk)

    def fault(self, payload: Payload) -> str | None:
        """Why these are not the payload's bytes; None when they are."""
        return _difference(payload, self.size_bytes, self.sha256.hexdigest(), self.md5.hexdigest())

    def __enter__(self) -> _Sink:
        return self

    def __exit__(self, *_: object) -> None:
        with _errors_of(self._folder):
            self._stream.close()


def _names_of(folder: Path, payload: Payload) -> list[Path]:
    """Where the payload's bytes may lie."""
    digests = (("sha256", payload.sha256), ("md5", payload.md5))
    return [_place(folder, kind, digest) for kind, digest in digests if digest]


def _place(folder: Path, kind: str, digest: str) -> Path:
    return folder / kind / digest[:2] / digest


def _key(payload: Payload) -> str:
    """The name of a payload's lock: the md5, since every source knows that one."""
    return payload.md5 or payload.sha256


def _fault_of(path: Path, payload: Payload) -> str | None:
    """What is wrong with a file; None when it holds the payload's bytes."""
    sha256, md5, size_bytes = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            sha256.update(chunk)
            if not payload.sha256:  # one digest is enough for a file whose digests were compared when it came
                md5.update(chunk)
            size_bytes += len(chunk)
    return _difference(payload, size_bytes, sha256.hexdigest(), payload.md5 if payload.sha256 else md5.hexdigest())


def _difference(payload: Payload, size_bytes: int, sha256: str, md5: str) -> str | None:
    if payload.size_bytes >= 0 and size_bytes != payload.size_bytes:
        return f"has {size_bytes} bytes instead of {payload.size_bytes}"
    for word, found, wanted in (("sha256", sha256, payload.sha256), ("md5", md5, payload.md5)):
        if wanted and found != wanted:
            return f"has {word} {found} instead of {wanted}"
    return None


def _made(folder: Path) -> Path:
    """The folder with the two folders that a fetch needs, and the proof that files can be made in them."""
    for part in ("locks", "incoming"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=folder / "incoming"):
        pass
    return folder


def _temporary_cache(instead_of: Path) -> Path:
    """A cache in the folder for temporary files, shared by this user's processes and nobody else's."""
    user = os.getuid()
    shared = Path(tempfile.gettempdir()) / f"conditions-cache-{user}"
    with _errors_of(instead_of):
        shared.mkdir(mode=0o700, exist_ok=True)
        stat = shared.lstat()
        mine = stat.st_uid == user and stat.st_mode & 0o077 == 0 and shared.is_dir() and not shared.is_symlink()
        # Somebody else may have made one of that name, to put files of theirs into it.
        return _made(shared if mine else Path(tempfile.mkdtemp(prefix="conditions-cache-")))


@contextmanager
def _errors_of(folder: Path) -> Iterator[None]:
    """Turn what the operating system says about the cache into our errors."""
    try:
        yield
    except OSError as error:
        if isinstance(error, filelock.Timeout):
            raise
        if error.errno in NO_SPACE:
            raise CacheFull(folder) from error
        raise CacheUnusable(folder, error.strerror or str(error)) from error
