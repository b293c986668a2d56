"""Arrays of a training set in a folder: written part by part, mapped from disk when they are read.

So data may be larger than memory, and a resumed training does not build them again. No torch.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from smartbkg.atomic import write_atomically
from smartbkg.errors import BadEvent
from smartbkg.events import EventBatch, read_batches
from smartbkg.features import Features
from smartbkg.parquet import count_rows, read_metadata

INDEX = "index.json"
Kinds = Mapping[str, DTypeLike]


def write_arrays(folder: Path, kinds: Kinds, parts: Iterable[Mapping[str, NDArray[Any]]], salt: str) -> str:
    """Write the arrays of all parts, one after the other, to one file a name.

    Args:
        folder: made when it is missing; its index goes away, since from here on it holds something else.
        kinds: name -> type on disk.
        parts: arrays of each name; first axes are joined.
        salt: part of the digest.

    Returns:
        sha256 of the content.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / INDEX).unlink(missing_ok=True)
    digest = hashlib.sha256(salt.encode())
    with ExitStack() as stack:
        streams = {name: stack.enter_context((folder / name).open("wb")) for name in kinds}
        for part in parts:
            for name, kind in kinds.items():
                raw = np.ascontiguousarray(part[name], dtype=kind).tobytes()
                streams[name].write(raw)
                digest.update(raw)
        for stream in streams.values():
            stream.flush()
            os.fsync(stream.fileno())  # a power cut must not leave an index beside data that never reached the disk
    return digest.hexdigest()


def write_index(folder: Path, values: Mapping[str, Any]) -> None:
    """Say what the folder holds. It comes last: a folder without index is half done, and is built again."""
    write_atomically(folder / INDEX, json.dumps(values).encode())


def read_index(folder: Path) -> dict[str, Any]:
    """What the folder holds; nothing when nobody can tell, and it is built again."""
    try:
        values = json.loads((folder / INDEX).read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}


def mapped(path: Path, kind: DTypeLike) -> NDArray[Any]:
    """The array in a file, mapped; an empty file cannot be mapped and is read."""
    return np.memmap(path, dtype=kind, mode="r") if path.stat().st_size else np.empty(0, dtype=kind)


def naming_file(build: Callable[[EventBatch], Features], batch: EventBatch, source: Path | str) -> Features:
    """What `build` makes of a batch; an event that has no features names its file.

    Raises:
        BadEvent
    """
    try:
        return build(batch)
    except BadEvent as error:
        raise BadEvent(f"{source}: {error}") from error


def identity_of(paths: Sequence[Path | str]) -> list[list[str | int]]:
    """What tells that files are still the same: their place, size and time.

    Raises:
        FileNotFoundError
    """
    found: list[list[str | int]] = []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"no file {path}")
        state = path.stat()
        found.append([str(path.resolve()), state.st_size, state.st_mtime_ns])
    return found


def refuse_filtered(path: Path | str) -> None:
    """Refuse an event file that a filter has left events out of: fractions that pass are those of all events.

    Raises:
        BadEvent
    """
    for step in read_metadata(path).get("provenance", []):
        n_events, n_kept = step.get("n_events"), step.get("n_kept")
        if step.get("step") == "filter" and n_kept != n_events != count_rows(path):
            raise BadEvent(
                f"{path} holds what a filter has chosen ({n_kept} of {n_events} events kept): retentions and "
                f"speed-ups are those of all events, give the file from before the filter"
            )


def event_batches(
    paths: Iterable[Path | str], progress: Callable[[int], None] | None = None
) -> Iterator[tuple[Path | str, EventBatch]]:
    """Batches of all event files, each with its file; `progress` is told the number of events done.

    Raises:
        BadEvent: as `refuse_filtered`.
        EventDataError: as the files' readers.
    """
    done = 0
    for path in paths:
        refuse_filtered(path)
        for batch in read_batches(path):
            yield path, batch
            done += len(batch)
            if progress is not None:
                progress(done)
