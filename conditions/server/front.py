"""The layer before the application that answers lookups of compiled tags itself, from ready bytes and without SQL.

It takes the plain question only: GET or HEAD, one existing tag, one run; from a stack of several tags, when none of
them can change any more; and what state tags are in. Everything else - another word in the query,
an unknown tag, a number that is none, a tag that is not compiled yet, a database that is away - goes on to the
application, so that every error and every rule stands in one place.

A tag that cannot change any more costs no query. One that can costs the one of `revisions.py`, and is answered here
only from an index of exactly the content that this query found.

What may be kept by a cache in between: the rows of a published tag for ever, for they never change. Winners of a
published tag for `FRESH_S` seconds, for a tag that turns INVALID is refused from then on. Nothing else without asking:
the ETag makes that cheap.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import unquote

import numpy as np
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conditions.errors import ConditionsError
from conditions.iov import MAX_NUMBER, Run
from conditions.payload import check_payload_name
from conditions.resolve import TagFacts
from conditions.server.answers import Answer, Answers
from conditions.server.arguments import tag_name
from conditions.server.etags import is_known
from conditions.server.library import Library
from conditions.server.responses import FRESH_S
from conditions.server.revisions import Revisions
from conditions.server.service import Service
from conditions.server.stacks import facts_said, stacked
from conditions.tags import TagState

FOR_EVER: Final = b"public, max-age=31536000, immutable"
FOR_A_WHILE: Final = b"public, max-age=%d" % FRESH_S
ASK_AGAIN: Final = b"no-cache"
MOST_TAGS: Final = 100  # of a stack
MOST_NAMES: Final = 1_000
_JSON: Final = (b"content-type", b"application/json")
_VARY: Final = (b"vary", b"Host")
Headers: TypeAlias = list[tuple[bytes, bytes]]


class Front:
    """Answers what it knows, and passes on everything else."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        settings = service.settings
        self._app, self._service = app, service
        self.revisions = Revisions(service.store)
        folder = None if settings.indexes is None else Path(settings.indexes)
        self.library = Library(service.store.address(), folder, settings.index_bytes, settings.answer_bytes)
        self.n_answered = 0
        self._questions: Mapping[str, Callable[[Scope], Awaitable[_Reply | None]]] = {
            "/v2/iovPayloads": self._covering,
            "/v2/iovPayloads/": self._covering,
            "/payloadiovs": self._hsf,
            "/payloadiovs/": self._hsf,
            "/v2/payloadiovs": self._hsf,
            "/v2/payloadiovs/": self._hsf,
            "/v1/resolve": self._resolve,
            "/v1/facts": self._facts,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        if scope["type"] == "http":
            question = self._questions.get(scope["path"])
            if question is not None and scope["method"] in ("GET", "HEAD"):
                reply = await question(scope)
                if reply is not None:
                    self.n_answered += 1
                    await reply.send(scope, send)
                    return
        elif scope["type"] == "lifespan":
            await self._app(scope, receive, self._ending(send))
            return
        await self._app(scope, receive, send)

    def close(self) -> None:
        """Let go of indexes and connections."""
        self.revisions.close()
        self.library.close()

    async def _covering(self, scope: Scope) -> _Reply | None:
        """Every row that covers a run, for Belle II clients; also of an INVALID tag: they ask for its state."""
        asked = _asked(scope["query_string"], b"gtName", b"expNumber", b"runNumber")
        found = None if asked is None else await self._find(asked[0])
        key = None if asked is None else _key(asked[1], asked[2])
        if found is None or key is None:
            return None
        facts, answers = found
        answer = answers.covering(answers.index.segment_at(key), self._service.base_url(scope))
        return None if answer is None else _Reply(answer, _kept(facts, FOR_EVER))

    async def _hsf(self, scope: Scope) -> _Reply | None:
        """The winners for a run, for HSF-style readers."""
        raw = scope["query_string"].removesuffix(b"&shape=dict")
        asked = _asked(raw, b"gtName", b"majorIOV", b"minorIOV")
        found = None if asked is None else await self._find(asked[0])
        key = None if asked is None else _key(asked[1], asked[2])
        if found is None or key is None or found[0].state is TagState.INVALID:
            return None
        facts, answers = found
        answer = answers.hsf(answers.index.segment_at(key))
        return None if answer is None else _Reply(answer, _kept(facts, FOR_A_WHILE))

    async def _resolve(self, scope: Scope) -> _Reply | None:
        """The winners for a run from a stack of tags, all or by name."""
        asked = _stack_asked(scope["query_string"])
        if asked is None:
            return None
        if len(asked.tags) > 1:
            return await self._stack(asked)
        found = await self._find(asked.tags[0])
        if found is None:
            return None
        facts, answers = found
        if facts.state is TagState.INVALID or (facts.state is TagState.OPEN and not asked.allow_open):
            return None
        index, names = answers.index, None
        if asked.names:
            if not asked.names <= set(index.names):
                return await self._stack(asked)
            names = sorted(np.searchsorted(index.names, list(asked.names)).tolist())
        answer = answers.resolved(index.segment_at(asked.run.key), asked.run, facts, names)
        return None if answer is None else _Reply(answer, _kept(facts, FOR_A_WHILE))

    async def _stack(self, asked: _Asked) -> _Reply | None:
        """The winners from tags that cannot change any more, also for names that none of them has."""
        tags = await self._all_now(asked.tags)
        if tags is None or any(facts.state is not TagState.PUBLISHED for facts in tags):
            return None
        found = [(facts, answers) for facts in tags if (answers := self.library.find(facts)) is not None]
        if len(found) < len(tags):
            return None
        answer = await asyncio.to_thread(stacked, found, asked.run, asked.names)
        return _Reply(answer, FOR_A_WHILE)

    async def _facts(self, scope: Scope) -> _Reply | None:
        """State and content of tags; those that cannot change any more are known without the database."""
        pairs = [pair.partition(b"=") for pair in scope["query_string"].split(b"&")]
        if len(pairs) > MOST_TAGS or any(name != b"tag" or not _is_plain(value) for name, _, value in pairs):
            return None
        tags = await self._all_now([value for _, _, value in pairs])
        return None if tags is None else _Reply(facts_said(tags), ASK_AGAIN)

    async def _all_now(self, raw: Sequence[bytes]) -> list[TagFacts] | None:
        """The tags that values of a query name, as they are now; None unless all are there, each once."""
        tags = [facts for facts in await asyncio.gather(*map(self._now, raw)) if facts is not None]
        return tags if len({facts.id for facts in tags}) == len(raw) else None

    async def _find(self, raw: bytes) -> tuple[TagFacts, Answers] | None:
        """The tag that a value of a query names, as it is now, and its answers."""
        facts = await self._now(raw)
        answers = None if facts is None else self.library.find(facts)
        return None if facts is None or answers is None else (facts, answers)

    async def _now(self, raw: bytes) -> TagFacts | None:
        """The tag that a value of a query names, as it is now."""
        try:
            name = tag_name(unquote(raw.decode("latin-1"))) if b"%" in raw else raw.decode("latin-1")
            return self.revisions.fixed.get(name) or await self.revisions.facts(name)
        except ConditionsError:
            return None

    def _ending(self, send: Send) -> Send:
        """Close when the application has."""

        async def passed_on(message: Message) -> None:
            if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
                self.close()
            await send(message)

        return passed_on


class _Reply:
    """An answer on its way to the client."""

    __slots__ = ("_answer", "_kept")

    def __init__(self, answer: Answer, kept: bytes) -> None:
        self._answer, self._kept = answer, kept

    async def send(self, scope: Scope, send: Send) -> None:
        """Say it, or that the client has it already."""
        etag = self._answer.etag
        headers = [(b"etag", etag), (b"cache-control", self._kept), _VARY]
        if _is_known(scope["headers"], etag):
            await send({"type": "http.response.start", "status": 304, "headers": headers})
            await send({"type": "http.response.body", "body": b""})
            return
        body = self._answer.body()
        headers += [_JSON, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


class _Asked:
    """A question to `/v1/resolve`."""

    __slots__ = ("allow_open", "names", "run", "tags")

    def __init__(self, tags: list[bytes], run: Run, names: set[str], allow_open: bool) -> None:
        self.tags, self.run, self.names, self.allow_open = tags, run, names, allow_open


def _asked(raw: bytes, *wanted: bytes) -> list[bytes] | None:
    """The values of a query that holds exactly these names, as they stand there."""
    pairs: dict[bytes, bytes] = {}
    for pair in raw.split(b"&"):
        name, _, value = pair.partition(b"=")
        pairs[name] = value
    if len(pairs) != len(wanted) or raw.count(b"&") != len(wanted) - 1:
        return None
    try:
        return [pairs[name] for name in wanted]
    except KeyError:
        return None


def _key(exp: bytes, run: bytes) -> int | None:
    """The place of a run, None when these are not two numbers that a run can have."""
    if not (exp.isdigit() and run.isdigit() and len(exp) <= 10 and len(run) <= 10):
        return None
    numbers = int(exp), int(run)
    return None if max(numbers) > MAX_NUMBER else Run(*numbers).key


def _stack_asked(raw: bytes) -> _Asked | None:
    """A question about tags as they are now and one run, None for everything else."""
    tags: list[bytes] = []
    runs: list[str] = []
    names: set[str] = set()
    allow_open = False
    for pair in raw.split(b"&"):
        name, _, value = pair.partition(b"=")
        if b"+" in value or b"@" in value:
            return None
        match name:
            case b"tag":
                tags.append(value)
            case b"run":
                runs.append(unquote(value.decode("latin-1")))
            case b"name":
                names.add(unquote(value.decode("latin-1")))
            case b"allow_open" if value in (b"0", b"1"):
                allow_open = value == b"1"
            case _:
                return None
    if not 0 < len(tags) <= MOST_TAGS or len(runs) != 1 or raw.count(b"allow_open=") > 1:
        return None
    if len(names) > MOST_NAMES or not all(map(_is_plain, tags)):
        return None
    try:
        return _Asked(tags, Run.parse(runs[0]), {check_payload_name(name) for name in names}, allow_open)
    except ConditionsError:
        return None


def _is_plain(tag: bytes) -> bool:
    """Whether this is a tag's name, quoted at most once, and no content revision of it."""
    return not any(sign in tag.lower() for sign in (b"+", b"@", b"%25", b"%40"))


def _kept(facts: TagFacts, published: bytes) -> bytes:
    """How long a cache may keep an answer without asking."""
    return published if facts.state is TagState.PUBLISHED else ASK_AGAIN


def _is_known(headers: Any, etag: bytes) -> bool:
    """Whether the client has the answer of this ETag."""
    given = next((value.decode("latin-1") for name, value in headers if name == b"if-none-match"), None)
    return given is not None and is_known(given, etag.decode("latin-1"))
