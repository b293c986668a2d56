"""Conditions from a server: over `/v1`, or over Belle II's wire where the server has no `/v1`.

An answer says for which runs it holds, and the server is asked again only past them. Answers from tags that cannot
change any more (PUBLISHED, or at a content revision) are kept for good; the others are shown to the server by their
ETag before they are used again, so that nothing is stale and nothing is sent twice.
"""

from __future__ import annotations

import threading
from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from operator import attrgetter
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import requests

from conditions.client.belle2_source import Belle2Source, shake_hands
from conditions.client.cache import PayloadCache
from conditions.client.http import IMPATIENT, HttpClient, HttpConfig, answers_of, shown_url
from conditions.client.remote import RemoteStore
from conditions.errors import BadAnswer, NotFoundError
from conditions.iov import Run
from conditions.payload import Payload
from conditions.resolve import Held, Resolved, TagFacts, check_stack, parse_stack
from conditions.tags import TagState
from conditions.wire import held_from

MOST_NAMES: Final = 100  # in a URL; who wants more gets all and takes what it wants
KEPT_ANSWERS: Final = 10_000
FEW_RUNS: Final = 20  # asked for one by one


class ServerSource(Protocol):
    """A server in one of the two languages."""

    def resolve_many(
        self, stack: Sequence[str], runs: Iterable[Run], names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> dict[Run, dict[str, Resolved]]:
        """The winners for each run."""
        ...

    def resolve_held(
        self, stack: Sequence[str], run: Run, names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> Held:
        """The winners for a run, and the runs they hold for."""
        ...

    def tag_facts(self, stack: Sequence[str]) -> tuple[TagFacts, ...]:
        """State and content of the tags."""
        ...

    def payload_path(self, payload: Payload) -> Path:
        """The payload's verified file."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class HttpSource:
    """A server as a source; which language it speaks is found out when it is first asked.

    Args:
        url: where the service is, without `/v1` or `/v2`.
        cache: where payload files are kept.
        patient: whether to wait for a server that is being restarted; somebody else can be asked otherwise.
    """

    def __init__(self, url: str, cache: PayloadCache, *, patient: bool = True) -> None:
        self._base_url = url.rstrip("/").removesuffix("/v1").removesuffix("/v2")
        self._config = HttpConfig() if patient else IMPATIENT
        self._cache = cache
        self._spoken: ServerSource | None = None
        self.url = shown_url(self._base_url)

    def resolve_many(
        self, stack: Sequence[str], runs: Iterable[Run], names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> dict[Run, dict[str, Resolved]]:
        """The winners for each run, by payload name; all names when none are given."""
        return self._server().resolve_many(stack, runs, names, allow_open=allow_open)

    def resolve_held(
        self, stack: Sequence[str], run: Run, names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> Held:
        """The winners for a run, and the runs around it for which they are certainly the same."""
        return self._server().resolve_held(stack, run, names, allow_open=allow_open)

    def tag_facts(self, stack: Sequence[str]) -> tuple[TagFacts, ...]:
        """State and content of the tags."""
        return self._server().tag_facts(stack)

    def payload_path(self, payload: Payload) -> Path:
        """A local file with the payload's bytes, verified; a server is not asked for what the cache has."""
        found = self._cache.find(payload)
        return self._server().payload_path(payload) if found is None else found

    def close(self) -> None:
        """Let go of the connections."""
        if self._spoken is not None:
            self._spoken.close()

    def _server(self) -> ServerSource:
        if self._spoken is None:
            http = HttpClient(self._base_url, self._config)
            try:
                http.respond("HEAD", "v1/openapi.json").close()
                http.close()
                self._spoken = V1Source(self._base_url, self._cache, self._config)
            except (BadAnswer, NotFoundError):
                shake_hands(http)
                self._spoken = Belle2Source(http, self._cache)
        return self._spoken


_Question: TypeAlias = tuple[tuple[str, str], ...]  # the parameters of a request


@dataclass(frozen=True)
class _Kept:
    """An answer, and how to ask whether it is still the same."""

    held: Held
    etag: str | None
    params: _Question
    fixed: bool  # made from tags that cannot change


_first_key = attrgetter("held.holds.first_key")


class V1Source(RemoteStore):
    """A server that speaks `/v1`, asked again only past what its answers hold for."""

    def __init__(self, url: str, cache: PayloadCache, config: HttpConfig) -> None:
        super().__init__(url, cache, config)
        self._kept: dict[_Question, list[_Kept]] = {}
        self._n_kept = 0
        self._lock = threading.Lock()

    def resolve_many(
        self,
        stack: Sequence[str] | str,
        runs: Iterable[Run],
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
        as_of: datetime | None = None,
    ) -> dict[Run, dict[str, Resolved]]:
        """The winners for each run; few runs may be answered already, and by a server whose database is away.

        Tags that may change are asked for all runs at once, so that all answers are of one moment.
        """
        asked = list(runs)
        wanted = names if names is None or isinstance(names, str) else list(names)
        few = as_of is None and 0 < len(asked) <= FEW_RUNS
        if few and (len(asked) == 1 or self._is_published(stack)):
            return {run: dict(self.resolve_held(stack, run, wanted, allow_open=allow_open).answer) for run in asked}
        return super().resolve_many(stack, asked, wanted, allow_open=allow_open, as_of=as_of)

    def resolve_held(
        self,
        stack: Sequence[str] | str,
        run: Run,
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
        as_of: datetime | None = None,
    ) -> Held:
        """The winners for a run and the runs they hold for; a kept answer where there is one."""
        if as_of is not None:
            return super().resolve_held(stack, run, names, allow_open=allow_open, as_of=as_of)
        wanted = None if names is None else [names] if isinstance(names, str) else sorted(set(names))
        asked = wanted if wanted is None or len(wanted) <= MOST_NAMES else None
        question = [("tag", entry) for entry in check_stack(stack)]
        question += [("name", name) for name in asked or ()] + ([("allow_open", "1")] if allow_open else [])
        with self._named():
            held = self._held(tuple(question), check_stack(stack), run)
        if asked == wanted:
            return held
        return replace(held, answer={name: won for name, won in held.answer.items() if name in set(wanted or ())})

    def _is_published(self, stack: Sequence[str] | str) -> bool:
        """Whether all tags are, as they are and not as they were: a server says so without its database."""
        entries = check_stack(stack)
        if any(ref.content_revision is not None for ref in parse_stack(entries)):
            return False
        return all(facts.state is TagState.PUBLISHED for facts in self.tag_facts(entries))

    def _held(self, question: _Question, stack: Sequence[str], run: Run) -> Held:
        kept = self._find(question, run)
        if kept is not None:
            held = kept.held if kept.fixed else self._asked_again(question, stack, kept)
            if held.holds.contains(run):
                return held  # what has changed may hold for fewer runs than before
        params = (*question, ("run", f"{run.exp},{run.run}"))
        response = self._http.respond("GET", "v1/resolve", params=list(params))
        held = self._keep(question, stack, params, response).held
        if not held.holds.contains(run):  # as a cache in front says that takes one question for another
            raise BadAnswer(self.url, f"asked for {run}, it answers what holds for {held.holds}")
        return held

    def _asked_again(self, question: _Question, stack: Sequence[str], kept: _Kept) -> Held:
        """The answer that is kept, or what has taken its place."""
        # The question of the run that was asked first: its answer is the one that the ETag is of.
        headers = {} if kept.etag is None else {"If-None-Match": kept.etag}
        response = self._http.respond("GET", "v1/resolve", params=list(kept.params), headers=headers)
        if response.status_code == requests.codes.not_modified:
            return kept.held
        return self._keep(question, stack, kept.params, response, kept).held

    def _find(self, question: _Question, run: Run) -> _Kept | None:
        with self._lock:
            kept = self._kept.get(question, [])
            position = bisect_right(kept, run.key, key=_first_key) - 1
            return kept[position] if position >= 0 and kept[position].held.holds.contains(run) else None

    def _keep(
        self,
        question: _Question,
        stack: Sequence[str],
        params: _Question,
        response: requests.Response,
        old: _Kept | None = None,
    ) -> _Kept:
        given = self._http.json_of(response)
        with answers_of(self._http.url):
            held = held_from(given)
        new = _Kept(held, response.headers.get("ETag"), params, _is_fixed(stack, held))
        with self._lock:
            if self._n_kept >= KEPT_ANSWERS:
                self._kept.clear()
                self._n_kept = 0
            kept = [each for each in self._kept.get(question, ()) if each is not old]
            insort(kept, new, key=_first_key)
            self._kept[question] = kept
            self._n_kept += 1
        return new


def _is_fixed(stack: Sequence[str], held: Held) -> bool:
    """Whether the answer was made from content that cannot change."""
    refs = parse_stack(stack)
    return len(refs) == len(held.tags) and all(
        ref.content_revision is not None or facts.state is TagState.PUBLISHED
        for ref, facts in zip(refs, held.tags, strict=True)
    )
