"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from conditions.errors import NotSaved

TAKEN = "it is there already; choose another place (-o), or replace it (--force)"


@contextmanager
def complete_file(target: Path, *, replace: bool, flush: bool = True) -> Iterator[Path]:
    """A temporary file beside `target` that gets its name in the end; an error leaves nothing.

    Args:
        target: the file.
        replace: whether it takes the place of one that is there.
        flush: wait until it is on the disk, so that not even a power cut leaves half of it under its name.

    Raises:
        NotSaved: the place is taken and `replace` is off, or cannot be written.
    """
    if not replace and target.exists():
        raise NotSaved(target, TAKEN)
    try:
        handle, name = tempfile.mkstemp(prefix=f".{target.name[:100]}.", suffix=".part", dir=target.parent)
    except OSError as error:
        raise NotSaved(target, error.strerror or str(error)) from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        if flush:
            _flush(temporary, os.O_RDWR)
        temporary.chmod(0o666 & ~_umask())  # mkstemp's files are private, this is a file like any other
        _give_name(temporary, target, replace=replace)
        if flush:
            _flush(target.parent, os.O_RDONLY)
    except OSError as error:
        raise NotSaved(target, error.strerror or str(error)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _give_name(temporary: Path, target: Path, *, replace: bool) -> None:
    """Name the finished file; without `replace` in one step that fails when somebody else was faster."""
    if replace:
        temporary.replace(target)
        return
    try:
        target.hardlink_to(temporary)
    except FileExistsError as error:
        raise NotSaved(target, TAKEN) from error
    except OSError:  # a file system without hard links
        temporary.replace(target)


def _flush(path: Path, flags: int) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
