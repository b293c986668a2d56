"""The folder of a training, which belongs to one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import filelock

from smartbkg.errors import TrainingError

LOCK = ".training.lock"


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """Keep a training's folder for this process, from reading the data to the last file; made when it is missing.

    The claim ends with the process, however it ends.

    Raises:
        TrainingError: another training is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = filelock.FileLock(folder / LOCK, timeout=0)
        held.acquire()
    except filelock.Timeout as error:
        raise TrainingError(
            f"another training is at work in {folder}: wait until it has ended, or name another folder"
        ) from error
    try:
        yield
    finally:
        held.release()
