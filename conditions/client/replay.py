"""A recorded job again: every answer from its record, every file by its digest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from conditions.client.cache import PayloadCache
from conditions.client.record import JobRecord, Lookup, differences
from conditions.client.transport import Source, file_from
from conditions.errors import NotRecorded
from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import Held, Resolved, TagFacts


class ReplaySource:
    """Answers what the recorded job was told, and nothing else; tags are not looked at.

    Files come from the cache of this machine, else from `source`, whatever it says about tags now: the digests in the
    record decide. Without a source, what the cache does not have cannot be had.
    """

    def __init__(self, record: JobRecord, source: Source | None, cache: PayloadCache) -> None:
        self.record, self._source, self._cache = record, source, cache

    def resolve_many(
        self,
        stack: Sequence[str],
        runs: Iterable[Run],
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,  # noqa: ARG002 - the recorded job was allowed what it was told
    ) -> dict[Run, dict[str, Resolved]]:
        """What the job was told; NotRecorded for what it never asked."""
        wanted = None if names is None else list(names)
        return {run: self._recorded(tuple(stack), run, wanted) for run in runs}

    def resolve_held(
        self, stack: Sequence[str], run: Run, names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> Held:
        """What the job was told for one run, with the tags as they were then."""
        answer = self.resolve_many(stack, [run], names, allow_open=allow_open)[run]
        return Held(answer, IntervalOfValidity.of_run(run), self.tag_facts(stack))

    def tag_facts(self, stack: Sequence[str]) -> tuple[TagFacts, ...]:
        """The tags as they were."""
        wanted = {entry.partition("@")[0] for entry in stack}
        return tuple(facts for facts in self.record.tags if facts.name in wanted)

    def payload_path(self, payload: Payload) -> Path:
        """The file with the recorded digests; PayloadCorrupt when there are only others."""
        found = self._cache.find(payload)
        if found is not None:
            return found
        if self._source is None:
            raise NotRecorded(f"the file of {payload}, which this machine's cache does not have", self.record.origin)
        return file_from(self._source, payload)

    def differences(self) -> list[str]:
        """What the source, asked today, answers otherwise than the record; nothing without a source."""
        return [] if self._source is None else differences(self.record, self._source)

    @property
    def url(self) -> str:
        """Which record it is, for messages."""
        return f"record {self.record.origin}"

    def close(self) -> None:
        """Let go of the source."""
        if self._source is not None:
            self._source.close()

    def _recorded(self, stack: tuple[str, ...], run: Run, names: list[str] | None) -> dict[str, Resolved]:
        """The answer to this question, or its part of a larger one's."""
        asked = None if names is None else tuple(sorted(set(names)))
        told: dict[str, Resolved] = {}
        missing = set(asked or ())
        for lookup, found in self.record.lookups.items():
            if lookup.run != run or lookup.stack != stack:
                continue
            answer = {won.payload.name: won for won in found}
            if lookup.names is None or lookup == Lookup(run, stack, asked):
                return answer if asked is None else {name: answer[name] for name in asked if name in answer}
            told.update(answer)
            missing -= set(lookup.names)
        if asked is None or missing:
            what = "all payloads" if asked is None else ", ".join(map(repr, sorted(missing)))
            raise NotRecorded(f"{what} for {run} in {', '.join(stack)}", self.record.origin)
        return {name: told[name] for name in asked if name in told}
