"""The folder in which the workers of one server share compiled tags; it goes with the server."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "conditions-indexes-"


@contextmanager
def index_folder(parent: str | os.PathLike[str] | None) -> Iterator[Path]:
    """A new folder for the time of the context.

    A server that was killed leaves its folder: those that no living process holds are removed first.

    Args:
        parent: where it is made; None: among temporary files.

    Raises:
        OSError: it cannot be made.
    """
    place = Path(tempfile.gettempdir() if parent is None else parent)
    _remove_left_behind(place)
    handle = None
    while handle is None:
        folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
        handle = _hold(folder)  # None: a server that started at the same moment took it for a leftover
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


def _hold(folder: Path) -> int | None:
    """Lock a folder for this process and its children: a handle, or None when it is held by others or gone."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    with suppress(BlockingIOError):  # held by a living server
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if folder.exists():
            return handle
    os.close(handle)
    return None


def _remove_left_behind(place: Path) -> None:
    """Remove the folders of this user's servers that ended without doing it."""
    for folder in place.glob(f"{PREFIX}*"):
        handle = _hold(folder) if _is_own(folder) else None
        if handle is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(handle)


def _is_own(folder: Path) -> bool:
    """Whether a folder is this user's, and still there."""
    with suppress(FileNotFoundError):
        return folder.lstat().st_uid == os.geteuid()
    return False
