"""What a client needs from the place where conditions are kept: the seam that other transports fill."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from conditions.iov import Run
from conditions.payload import Payload
from conditions.resolve import Resolved


class Source(Protocol):
    """Somebody who resolves and hands out verified files; a store is one."""

    def resolve_many(
        self,
        stack: Sequence[str],
        runs: Iterable[Run],
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
    ) -> dict[Run, dict[str, Resolved]]:
        """The winners for each run, by payload name; all names when none are given."""
        ...

    def payload_path(self, payload: Payload) -> Path:
        """A local file with the payload's bytes, size and digest verified."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
