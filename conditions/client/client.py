"""The client: which payload holds for a run, and its verified file.

A client keeps the stack in force, so that a job names its tags once. It decides nothing: the source resolves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from conditions.client.transport import Source
from conditions.errors import NoPayloadForRun
from conditions.iov import Run
from conditions.payload import Payload
from conditions.resolve import Resolved, check_stack, require

log = logging.getLogger(__name__)


class Client:
    """Reads conditions from a source, by default with one stack of tags.

    Args:
        source: where the conditions are kept.
        stack: names of tags, the first one wins; each call may give another.
        allow_open: whether tags that can still change may be used.
    """

    def __init__(self, source: Source, stack: Sequence[str] | str = (), *, allow_open: bool = False) -> None:
        self.source = source
        self.stack = (stack,) if isinstance(stack, str) else tuple(stack)
        self.allow_open = allow_open
        self._said: set[str] = set()  # names of optional payloads whose absence was said

    def resolve(
        self, run: Run, names: Iterable[str] | None = None, *, stack: Sequence[str] | str | None = None
    ) -> dict[str, Resolved]:
        """The winners for a run by payload name; a name without one is not in the answer."""
        return self.resolve_many([run], names, stack=stack)[run]

    def resolve_many(
        self, runs: Iterable[Run], names: Iterable[str] | None = None, *, stack: Sequence[str] | str | None = None
    ) -> dict[Run, dict[str, Resolved]]:
        """The winners for several runs, read at once."""
        in_force = check_stack(self.stack if stack is None else stack)
        return self.source.resolve_many(in_force, runs, names, allow_open=self.allow_open)

    def get(self, name: str, run: Run, *, stack: Sequence[str] | str | None = None) -> Resolved:
        """The winner of a required payload.

        Raises:
            NoPayloadForRun: no tag of the stack has the payload for the run.
        """
        found = self.resolve(run, [name], stack=stack)
        require(found, [name], run, check_stack(self.stack if stack is None else stack))
        return found[name]

    def find(self, name: str, run: Run, *, stack: Sequence[str] | str | None = None) -> Resolved | None:
        """The winner of an optional payload, None when no tag of the stack has it for the run; that is said once."""
        in_force = check_stack(self.stack if stack is None else stack)
        found = self.resolve(run, [name], stack=in_force).get(name)
        if found is None and name not in self._said:
            self._said.add(name)
            log.warning("%s: it is optional", NoPayloadForRun(name, run, in_force))
        return found

    def path(self, payload: Payload | Resolved) -> Path:
        """A local file with the payload's bytes, size and digest verified; treat it as read-only."""
        return self.source.payload_path(payload.payload if isinstance(payload, Resolved) else payload)

    def close(self) -> None:
        """Let go of the source's connections."""
        self.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
