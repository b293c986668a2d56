"""Columns that are written batch by batch and read one at a time: what is large lies on disk, not in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray


class Spool:
    """Columns of equal or different lengths in a temporary folder, gone at the end of the `with` block.

    A column has the type of its first part; names may be anything.
    """

    def __init__(self) -> None:
        self._held = ExitStack()
        self._kinds: dict[str, np.dtype[Any]] = {}
        self._streams: dict[str, BinaryIO] = {}

    def __enter__(self) -> Self:
        self._folder = Path(self._held.enter_context(tempfile.TemporaryDirectory(prefix="smartbkg-evaluation-")))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()

    def __contains__(self, name: str) -> bool:
        return name in self._kinds

    def declare(self, names: Iterable[str], kind: Any) -> None:
        """Make columns that are there even if nothing is ever appended."""
        for name in names:
            if name not in self._kinds:
                self._kinds[name] = np.dtype(kind)
                stream = (self._folder / str(len(self._kinds))).open("w+b")
                self._streams[name] = self._held.enter_context(stream)

    def append(self, columns: Mapping[str, NDArray[Any]]) -> None:
        """Go on with these columns."""
        for name, values in columns.items():
            self.declare([name], values.dtype)
            self._streams[name].write(np.ascontiguousarray(values, dtype=self._kinds[name]).tobytes())

    def column(self, name: str) -> NDArray[Any]:
        """All of a column so far."""
        stream = self._streams[name]
        stream.flush()
        return np.fromfile(stream.name, dtype=self._kinds[name])
