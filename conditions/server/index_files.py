"""Indexes as files, mapped into memory: compiled once for all workers, whose memory then is shared.

A file holds a line that says what it is, the length of its header, the header as JSON, and one array after another. It
gets its name when it is complete. The folder belongs to one run of one server, and to one user.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np

from conditions.resolve import TagFacts
from conditions.server.index import TagIndex
from conditions.tags import TagState

MAGIC: Final = b"conditions index 1\n"
_ALIGNMENT: Final = 64  # bytes of a line of the processor's memory
_LENGTH: Final = 8


class BadIndexFile(Exception):
    """A file that is no complete index of this program."""


def index_path(folder: Path, tag_id: int, content_revision: int) -> Path:
    """Where the index of a tag's content is kept."""
    return folder / f"{tag_id}-{content_revision}.index"


def save_index(index: TagIndex, folder: Path) -> Path:
    """Write an index under its name, and take away those of the tag's earlier content."""
    path = index_path(folder, index.facts.id, index.facts.content_revision)
    handle, name = tempfile.mkstemp(prefix="new-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            arrays = index.arrays()
            header = json.dumps(_header(index)).encode()
            file.write(MAGIC + len(header).to_bytes(_LENGTH, "little") + header)
            for array in arrays.values():
                file.write(b"\0" * (-file.tell() % _ALIGNMENT))
                file.write(array.tobytes() if array.nbytes < 1 << 20 else array.data)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    for other in folder.glob(f"{index.facts.id}-*.index"):
        if other != path:
            other.unlink(missing_ok=True)  # who has it in memory keeps it
    return path


def load_index(path: Path) -> TagIndex:
    """The index in a file; its arrays are read when they are looked at.

    Raises:
        BadIndexFile: it is damaged or another program's.
        OSError: it cannot be read.
    """
    with path.open("rb") as file, contextlib.suppress(ValueError):
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        try:
            return _index_in(memory)
        except (ValueError, KeyError, TypeError) as error:
            raise BadIndexFile(f"{path}: {error}") from error
    raise BadIndexFile(f"{path}: it is empty")


def _header(index: TagIndex) -> dict[str, Any]:
    """Everything of an index but its arrays, and what the arrays are."""
    facts = index.facts
    arrays = {name: [_kind(array.dtype), len(array)] for name, array in index.arrays().items()}
    return {
        "store_id": index.store_id,
        "facts": [facts.name, facts.state.value, facts.content_revision, facts.digest, facts.id],
        "names": index.names,
        "people": index.people,
        "largest": index.largest,
        "arrays": arrays,
    }


def _index_in(memory: mmap.mmap) -> TagIndex:
    """The index in a mapped file."""
    if memory[: len(MAGIC)] != MAGIC:
        raise ValueError("it is no index of this program")
    start = len(MAGIC) + _LENGTH
    end = start + int.from_bytes(memory[len(MAGIC) : start], "little")
    header = json.loads(memory[start:end])
    arrays: dict[str, Any] = {}
    for name, (kind, length) in header["arrays"].items():
        dtype = np.dtype(kind if isinstance(kind, str) else [(field, each) for field, each in kind])
        end += -end % _ALIGNMENT
        arrays[name] = np.frombuffer(memory, dtype, length, end) if length else np.empty(0, dtype)
        end += arrays[name].nbytes
    name, state, revision, digest, number = header["facts"]
    facts = TagFacts(name, TagState(state), revision, digest, number)
    return TagIndex(header["store_id"], facts, header["names"], header["people"], header["largest"], **arrays)


def _kind(dtype: np.dtype[Any]) -> str | list[list[str]]:
    """A type as JSON."""
    if dtype.names is None:
        return dtype.str
    return [[name, dtype[name].str] for name in dtype.names]
