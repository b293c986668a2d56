"""A verified copy of a payload under a name of the user's: complete, or not there at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import BinaryIO

from conditions.errors import NotSaved, PayloadCorrupt
from conditions.payload import Payload

TAKEN = "it is there already; choose another place with -o, or replace it with --force"
CHUNK_BYTES = 1024 * 1024


def save_copy(payload: Payload, source: Path, target: Path, *, force: bool) -> None:
    """Copy `source` to `target` through a temporary file beside it, and compare the digest of what was copied."""
    if target.exists() and not force:
        raise NotSaved(target, TAKEN)
    if not target.parent.is_dir():
        raise NotSaved(target, f"there is no folder {target.parent}")
    try:
        _save(payload, source, target, force=force)
    except OSError as error:
        raise NotSaved(target, error.strerror or str(error)) from error


def _save(payload: Payload, source: Path, target: Path, *, force: bool) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as writer, source.open("rb") as reader:
            digest = _copy(reader, writer)
            writer.flush()
            os.fsync(writer.fileno())
        if digest != payload.sha256:
            raise PayloadCorrupt(payload.name, payload.revision, source, f"has sha256 {digest}, not {payload.sha256}")
        _give_name(temporary, target, force=force)
    finally:
        temporary.unlink(missing_ok=True)


def _copy(reader: BinaryIO, writer: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := reader.read(CHUNK_BYTES):
        digest.update(chunk)
        writer.write(chunk)
    return digest.hexdigest()


def _give_name(temporary: Path, target: Path, *, force: bool) -> None:
    """Give the finished file its name; without `force` in one step that fails when somebody else was faster."""
    temporary.chmod(0o666 & ~_umask())  # mkstemp's files are private, a download is a file like any other
    if force:
        temporary.replace(target)
        return
    try:
        target.hardlink_to(temporary)
    except FileExistsError as error:
        raise NotSaved(target, TAKEN) from error
    except OSError:  # a file system without hard links
        temporary.replace(target)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
