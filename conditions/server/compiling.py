"""A process that compiles one tag's index: a worker stays small and goes on answering meanwhile.

`python -m conditions.server.compiling FOLDER TAG_NUMBER`, with the database in `CONDITIONS_URL`; writes the path of the
index to stdout. Several workers may ask for the same tag: one compiles, the others find what it made.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

from filelock import FileLock

from conditions.errors import ConditionsError, StoreError

NICENESS: Final = 10  # answers come first
TIMEOUT_S: Final = 600  # some 10^8 rows
_THREADS: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # numpy makes none for what is done here


def compile_tag(store: str | None, folder: Path, tag_id: int) -> Path:
    """Compile the present content of a tag in a process of its own, and wait for it.

    Raises:
        StoreError: the process failed, with what it said last.
    """
    environment = os.environ | _THREADS | ({"CONDITIONS_URL": store} if store else {})
    command = [sys.executable, "-m", "conditions.server.compiling", str(folder), str(tag_id)]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StoreError(f"tag {tag_id} cannot be compiled: {error}") from error
    if done.returncode != 0 or not done.stdout.strip():
        raise StoreError(f"tag {tag_id} cannot be compiled: {done.stderr.strip()[-500:] or done.returncode}")
    return Path(done.stdout.strip())


def main(arguments: list[str]) -> int:
    """Compile, or find that somebody did."""
    folder, tag_id = Path(arguments[0]), int(arguments[1])
    os.nice(NICENESS)
    from conditions.server.index import compile_index
    from conditions.server.index_files import index_path, save_index
    from conditions.store.session import open_store

    try:
        with FileLock(folder / f"{tag_id}.lock"), open_store(user="server") as store:
            watch = store.watch_tags()
            facts = watch.facts_of([tag_id]).get(tag_id)
            watch.close()
            path = None if facts is None else index_path(folder, tag_id, facts.content_revision)
            if path is None or not path.exists():
                path = save_index(compile_index(store.tag_rows(tag_id)), folder)
            sys.stdout.write(f"{path}\n")
    except (ConditionsError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
