"""Payload folders: files of payloads under names that say which payload they are.

    hashed  {first two digits of the md5}/{name}_r{revision}.root
    flat    dbstore_{name}_rev_{revision}.root

The ending is `.root` whatever the file is. Names promise nothing: a file counts when its bytes have the payload's md5
(its sha256 and size too, where they are known).
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from conditions.errors import NotSaved, PayloadCorrupt, PayloadNotHere
from conditions.offline.atomic import complete_file
from conditions.payload import Payload, check_payload_name

log = logging.getLogger(__name__)

CHUNK_BYTES = 1024 * 1024


class Layout(StrEnum):
    """How files are named in a payload folder."""

    HASHED = "hashed"
    FLAT = "flat"

    def path_of(self, payload: Payload) -> Path:
        """Where a payload lies, from the folder on."""
        check_payload_name(payload.name)
        if self is Layout.FLAT:
            return Path(flat_name(payload.name, payload.revision))
        return Path(payload.md5[:2], f"{payload.name}_r{payload.revision}.root")


class PayloadFolder:
    """A folder with payload files in either layout."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path).expanduser()

    def find(self, payload: Payload) -> Path | None:
        """The payload's file, its bytes compared; None when there is none. Another file of its name is skipped."""
        for layout in Layout:
            path = self.path / layout.path_of(payload)
            try:
                fault = fault_of(path, payload)
            except FileNotFoundError:
                continue
            except OSError as error:
                fault = f"cannot be read: {error.strerror or error}"
            if fault is None:
                return path
            log.warning("%s is skipped: %s %s", payload, path, fault)
        return None

    def has(self, payload: Payload, layout: Layout = Layout.HASHED) -> bool:
        """Whether the payload's bytes lie under its name in this layout."""
        try:
            return fault_of(self.path / layout.path_of(payload), payload) is None
        except OSError:
            return False

    def keep(self, payload: Payload, source: Path, layout: Layout = Layout.HASHED) -> Path:
        """Copy a payload's bytes into the folder, in place of others that may lie under its name.

        Raises:
            PayloadCorrupt: `source` holds other bytes; nothing was written.
            NotSaved: the folder cannot be written.
        """
        path = self.path / layout.path_of(payload)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                log.warning("%s had other bytes in %s, which is written anew", payload, path)
        except OSError as error:
            raise NotSaved(path, error.strerror or str(error)) from error
        # Who reads compares the bytes, so what a power cut leaves does no harm: there is no wait for the disk.
        with complete_file(path, replace=True, flush=False) as temporary:
            fault = _copy(payload, source, temporary)
            if fault is not None:
                raise PayloadCorrupt(payload.name, payload.revision, source, fault)
        return path


def find_payload(folders: Iterable[PayloadFolder], payload: Payload) -> Path:
    """The payload's file from the first folder that has it.

    Raises:
        PayloadNotHere: none has it.
    """
    searched = list(folders)
    for folder in searched:
        if (found := folder.find(payload)) is not None:
            return found
    raise PayloadNotHere(payload.name, payload.revision, payload.md5, [folder.path for folder in searched])


def flat_name(name: str, revision: int | str) -> str:
    """The name of a file beside its like; while a payload is tried out, its revision may be digits of its md5."""
    return f"dbstore_{name}_rev_{revision}.root"


def fault_of(path: Path, payload: Payload) -> str | None:
    """What is wrong with a payload's file, None when it holds the payload's bytes; OSError when it cannot be read."""
    with path.open("rb") as stream:
        size_bytes = os.fstat(stream.fileno()).st_size
        if payload.size_bytes >= 0 and size_bytes != payload.size_bytes:
            return _other_size(payload, size_bytes)
        return _fault(payload, size_bytes, hashlib.file_digest(stream, lambda: _digest_of(payload)).hexdigest())


def _copy(payload: Payload, source: Path, target: Path) -> str | None:
    """Copy a file; what is wrong with the bytes that were copied, None when they are the payload's."""
    try:
        reader = source.open("rb")
    except OSError as error:
        raise PayloadCorrupt(payload.name, payload.revision, source, error.strerror or str(error)) from error
    digest, size_bytes = _digest_of(payload), 0
    with reader, target.open("wb") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            writer.write(chunk)
            digest.update(chunk)
            size_bytes += len(chunk)
    return _fault(payload, size_bytes, digest.hexdigest())


def _digest_of(payload: Payload) -> hashlib._Hash:
    """The best digest that is known of a payload, to be computed."""
    return hashlib.sha256() if payload.sha256 else hashlib.md5(usedforsecurity=False)


def _fault(payload: Payload, size_bytes: int, digest: str) -> str | None:
    if payload.size_bytes not in (-1, size_bytes):
        return _other_size(payload, size_bytes)
    kind, wanted = ("sha256", payload.sha256) if payload.sha256 else ("md5", payload.md5)
    return None if digest == wanted else f"has {kind} {digest} instead of {wanted}"


def _other_size(payload: Payload, size_bytes: int) -> str:
    return f"has {size_bytes} bytes instead of {payload.size_bytes}"
