"""The client: which payload holds for a run, and its verified file.

A client keeps the stack in force, so that a job names its tags once, and the record of what it was told. It decides
nothing: testing payloads go first, then the source resolves. Files are looked for in the locations first.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from conditions.client.bundled import WithBundled
from conditions.client.chain import Chain
from conditions.client.record import JobRecord
from conditions.client.replay import ReplaySource
from conditions.client.transport import Source, facts_of, file_from, held_of
from conditions.errors import BadInputError, NoPayloadForRun
from conditions.iov import Run
from conditions.payload import Payload
from conditions.resolve import Resolved, TagFacts, check_stack, require

log = logging.getLogger(__name__)


class Testing(Protocol):
    """Payloads that are being tried out: they win over all tags."""

    def resolve(self, run: Run, names: Iterable[str] | None = None) -> Mapping[str, Resolved]:
        """The winners for a run."""
        ...

    def holds(self, payload: Payload) -> bool:
        """Whether the payload is one of these."""
        ...

    def payload_path(self, payload: Payload) -> Path:
        """Its verified file."""
        ...


class Files(Protocol):
    """Places where payload files are looked for before the source is asked."""

    def find(self, payload: Payload) -> Path | None:
        """The payload's verified file, None when it is in none of them."""
        ...


@dataclass(frozen=True)
class ClientConfig:
    """What surrounds a client.

    Attributes:
        testing: testing payloads in order; the first one that has a name for the run wins over all tags.
        files: where payload files are looked for first.
        record: whether the client keeps a record of what it was told.
        record_to: where the record is written when the client is closed; None for nowhere.
    """

    testing: Sequence[Testing] = ()
    files: Files | None = None
    record: bool = False
    record_to: str | os.PathLike[str] | None = None


class Client:
    """Reads conditions from a source, by default with one stack of tags.

    Args:
        source: where the conditions are kept.
        stack: names of tags, the first one wins; each call may give another.
        allow_open: whether tags that can still change may be used.
        config: testing payloads, payload locations, where the record goes.
    """

    def __init__(
        self,
        source: Source,
        stack: Sequence[str] | str = (),
        *,
        allow_open: bool = False,
        config: ClientConfig = ClientConfig(),
    ) -> None:
        self.source, self.config = source, config
        self.stack = tuple(stack.split() if isinstance(stack, str) else stack)
        self.allow_open = allow_open
        self._record = JobRecord() if config.record or config.record_to is not None else None
        self._said: set[str] = set()  # names of optional payloads whose absence was said
        self._facts: dict[str, TagFacts] = {}

    @property
    def tags(self) -> Mapping[str, TagFacts]:
        """State and content of each tag, by its entry in the stack, as the latest answer was made from it."""
        return dict(self._facts)

    @property
    def record(self) -> JobRecord:
        """What was asked and answered so far; BadInputError when this client was not to keep it."""
        if self._record is None:
            raise BadInputError("this client keeps no record: open it with record=True, or record=PATH")
        self._record.providers = list(self.providers)
        if isinstance(self.source, Chain | WithBundled):
            self._record.passed_over = [(each.provider.name, each.reason) for each in self.source.passed_over]
        return self._record

    @property
    def providers(self) -> tuple[str, ...]:
        """Who has answered so far, in order."""
        if isinstance(self.source, Chain | WithBundled):
            return tuple(self.source.used)
        return (str(getattr(self.source, "url", type(self.source).__name__)),)

    def resolve(
        self, run: Run, names: Iterable[str] | None = None, *, stack: Sequence[str] | str | None = None
    ) -> dict[str, Resolved]:
        """The winners for a run by payload name; a name without one is not in the answer."""
        in_force, wanted = self._in_force(stack), _names(names)
        held = held_of(self.source, in_force, run, wanted, allow_open=self.allow_open)
        return self._noted(in_force, {run: dict(held.answer)}, wanted, held.tags)[run]

    def resolve_optional(self, run: Run, names: Iterable[str], tag: str) -> dict[str, Resolved]:
        """What a tag gives that the job can do without; no provider is left because it lacks this tag.

        Raises:
            TagNotFound, TagNotUsable, NotRecorded: there is no such tag here, or it may not be used.
        """
        stack, wanted = check_stack((tag,)), _names(names)
        if isinstance(self.source, Chain | WithBundled):
            held = self.source.resolve_optional(stack, run, wanted, allow_open=self.allow_open)
        else:
            held = held_of(self.source, stack, run, wanted, allow_open=self.allow_open)
        return self._noted(stack, {run: dict(held.answer)}, wanted, held.tags)[run]

    def resolve_many(
        self, runs: Iterable[Run], names: Iterable[str] | None = None, *, stack: Sequence[str] | str | None = None
    ) -> dict[Run, dict[str, Resolved]]:
        """The winners for several runs, read at once."""
        in_force, wanted = self._in_force(stack), _names(names)
        found = self.source.resolve_many(in_force, runs, wanted, allow_open=self.allow_open)
        return self._noted(in_force, found, wanted, facts_of(self.source, in_force))

    def get(self, name: str, run: Run, *, stack: Sequence[str] | str | None = None) -> Resolved:
        """The winner of a required payload.

        Raises:
            NoPayloadForRun: no tag of the stack has the payload for the run.
        """
        found = self.resolve(run, [name], stack=stack)
        require(found, [name], run, self._in_force(stack))
        return found[name]

    def find(self, name: str, run: Run, *, stack: Sequence[str] | str | None = None) -> Resolved | None:
        """The winner of an optional payload, None when no tag of the stack has it for the run; that is said once."""
        in_force = self._in_force(stack)
        found = self.resolve(run, [name], stack=in_force).get(name)
        if found is None:
            self._say_once(name, f"{NoPayloadForRun(name, run, in_force)}: it is optional")
        return found

    def path(self, payload: Payload | Resolved) -> Path:
        """A local file with the payload's bytes, size and digest verified; treat it as read-only."""
        wanted = payload.payload if isinstance(payload, Resolved) else payload
        path = self._file(wanted)
        if not wanted.sha256 and self._record is not None:
            with path.open("rb") as stream:
                digest = hashlib.file_digest(stream, "sha256").hexdigest()
            self._record.note_file(wanted, digest, path.stat().st_size)
        return path

    def differences(self) -> list[str]:
        """What the providers answer today otherwise than the record that is replayed, a line each."""
        if not isinstance(self.source, ReplaySource):
            raise BadInputError("this client replays nothing: open it with replay=RECORD")
        return self.source.differences()

    def close(self) -> None:
        """Write the record, if somebody wants it, and let go of the source's connections.

        A job that failed leaves a record that says so, and none when it was told nothing.
        """
        try:
            if self.config.record_to is not None and (self.record.lookups or self.record.failure is None):
                self.record.write(Path(self.config.record_to))
        finally:
            self.source.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None and self._record is not None:
            self._record.failure = f"{type(error).__name__}: {error}"
        self.close()

    def _in_force(self, stack: Sequence[str] | str | None) -> tuple[str, ...]:
        return check_stack(self.stack if stack is None else stack)

    def _noted(
        self,
        stack: tuple[str, ...],
        found: dict[Run, dict[str, Resolved]],
        names: Sequence[str] | None,
        tags: Sequence[TagFacts],
    ) -> dict[Run, dict[str, Resolved]]:
        """The answers with testing payloads on top, kept in the record."""
        for entry, facts in zip(stack, tags, strict=False):
            before, self._facts[entry] = self._facts.get(entry, facts), facts
            known = before.known_revision is not None and facts.known_revision is not None
            if known and before.content_revision != facts.content_revision:
                log.warning(
                    "tag %s, which is %s, has changed while it is used: content revision %d before, %d now",
                    *(facts.name, facts.state, before.content_revision, facts.content_revision),
                )
        for run, answer in found.items():
            for testing in reversed(self.config.testing):
                answer.update(testing.resolve(run, names))
            if self._record is not None:
                self._record.note(stack, run, names, answer, tags)
        return found

    def _file(self, payload: Payload) -> Path:
        for testing in self.config.testing:
            if testing.holds(payload):
                return testing.payload_path(payload)
        found = None if self.config.files is None else self.config.files.find(payload)
        return file_from(self.source, payload) if found is None else found

    def _say_once(self, about: str, text: str) -> None:
        if about not in self._said:
            log.warning("%s", text)
        self._said.add(about)


def _names(names: Iterable[str] | None) -> list[str] | None:
    """The names that are asked for; one name alone is a list of one."""
    return [names] if isinstance(names, str) else None if names is None else list(names)
