"""Files that appear whole or not at all: a temporary file beside the target, flushed to disk, then renamed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def appearing(path: Path | str) -> Iterator[Path]:
    """A temporary file to write to, which takes the name `path` when the block ends without an error.

    Whoever reads `path`, or survives a kill -9, finds what was there before or the complete new file.

    Raises:
        FileNotFoundError: the folder is not there.
        IsADirectoryError: `path` is a folder.
        FileExistsError: `path` is a device or a pipe, which renaming would replace by a file.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} for {path.name}")
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a file to write")
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{path} is a device or a pipe, not a file to write")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as stream:
            os.fsync(stream.fileno())
        # mkstemp makes files for the owner alone; the finished file has the usual rights.
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def refuse_to_overwrite(inputs: Iterable[Path | str], output: Path | str) -> None:
    """Make sure that a result does not replace what it is made of.

    Raises:
        FileExistsError: `output` is one of the inputs, under whatever name.
    """
    for path in map(Path, inputs):
        if path.exists() and Path(output).exists() and path.samefile(output):
            raise FileExistsError(f"{output} is an input of this step: give the result another name")


def write_atomically(path: Path | str, content: bytes) -> None:
    """Put `content` under `path`, whole or not at all."""
    with appearing(path) as temporary:
        temporary.write_bytes(content)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
