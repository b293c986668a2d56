"""A verified copy of a payload under a name of the user's: complete, or not there at all."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO

from conditions.errors import NotSaved, PayloadCorrupt
from conditions.offline.atomic import complete_file
from conditions.payload import Payload

CHUNK_BYTES = 1024 * 1024


def save_copy(payload: Payload, source: Path, target: Path, *, force: bool) -> None:
    """Copy `source` to `target` through a temporary file beside it, and compare the digest of what was copied."""
    if not target.parent.is_dir():
        raise NotSaved(target, f"there is no folder {target.parent}")
    with complete_file(target, replace=force) as temporary:
        with temporary.open("wb") as writer, source.open("rb") as reader:
            digest = _copy(reader, writer)
        if digest != payload.sha256:
            raise PayloadCorrupt(payload.name, payload.revision, source, f"has sha256 {digest}, not {payload.sha256}")


def _copy(reader: BinaryIO, writer: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := reader.read(CHUNK_BYTES):
        digest.update(chunk)
        writer.write(chunk)
    return digest.hexdigest()
