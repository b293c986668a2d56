"""What a client needs from the place where conditions are kept: the seam that stores, servers and snapshots fill."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import Held, Resolved, TagFacts


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


@runtime_checkable
class Holding(Protocol):
    """A source that says for which runs an answer holds, and from which content of the tags it was made."""

    def resolve_held(
        self, stack: Sequence[str], run: Run, names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> Held:
        """The winners for a run, and the runs around it for which they are certainly the same."""
        ...


@runtime_checkable
class Factual(Protocol):
    """A source that knows state and content of its tags."""

    def tag_facts(self, stack: Sequence[str]) -> tuple[TagFacts, ...]:
        """What decides whether an answer from these tags still holds."""
        ...


@runtime_checkable
class Finding(Protocol):
    """A source that finds payloads by name and md5."""

    def find_payloads(self, wanted: Iterable[tuple[str, str]]) -> list[Payload]:
        """The payloads there are of these names and md5."""
        ...


def held_of(
    source: Source, stack: Sequence[str], run: Run, names: Iterable[str] | None, *, allow_open: bool = False
) -> Held:
    """The winners for a run; from a source that does not say for how long, they hold for this run only."""
    if isinstance(source, Holding):
        return source.resolve_held(stack, run, names, allow_open=allow_open)
    answer = source.resolve_many(stack, [run], names, allow_open=allow_open)[run]
    return Held(answer, IntervalOfValidity.of_run(run), facts_of(source, stack))


def facts_of(source: Source, stack: Sequence[str]) -> tuple[TagFacts, ...]:
    """State and content of the tags; nothing from a source that does not know them."""
    return source.tag_facts(stack) if isinstance(source, Factual) else ()


def file_from(source: Source, payload: Payload) -> Path:
    """The payload's file from a source that may know more about the payload than where it was resolved."""
    if not payload.sha256 and isinstance(source, Finding):
        for found in source.find_payloads([(payload.name, payload.md5)]):
            return source.payload_path(found)
    return source.payload_path(payload)
