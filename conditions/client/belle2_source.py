"""Conditions from a server that speaks Belle II's wire and not `/v1`: reads only.

    HEAD v2/globalTagStatus (older servers: v2/globalTags)      the handshake
    GET  v2/globalTag/{name}                                    the tag's state
    GET  v2/iovPayloads/?gtName=&expNumber=&runNumber=          every row that covers the run
    GET  {baseUrl}{payloadUrl}                                  the payload's file

The server gives rows; which of them wins is decided here, as everywhere else. It knows md5 only, and does not say for
which runs an answer holds: a run is asked for once, and what a published tag has answered is kept.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from conditions.client.cache import PayloadCache
from conditions.client.files import below, conventional_path
from conditions.client.http import HttpClient, answers_of
from conditions.errors import BadAnswer, NotFoundError, PastUnknown, TagNotFound
from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload, check_payload
from conditions.resolve import UNKNOWN_REVISION, Held, IovEntry, Resolved, TagFacts, check_stack, parse_stack, resolve
from conditions.tags import TagState, check_usable, parse_state
from conditions.wire import UNKNOWN_TIME

HANDSHAKES: Final = ("v2/globalTagStatus", "v2/globalTags")
KEPT_RUNS: Final = 10_000  # answers of published tags that are kept


class Belle2Source:
    """Reads over Belle II's wire.

    Args:
        http: the server, its base URL without `/v2`.
        cache: where payload files are kept.
    """

    def __init__(self, http: HttpClient, cache: PayloadCache) -> None:
        self._http, self._cache = http, cache
        self._facts: dict[str, TagFacts] = {}
        self._rows: dict[tuple[str, Run], list[IovEntry]] = {}
        self._urls: dict[tuple[str, str], tuple[str, str]] = {}
        self._lock = threading.Lock()

    def resolve_many(
        self, stack: Sequence[str], runs: Iterable[Run], names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> dict[Run, dict[str, Resolved]]:
        """The winners for each run, by payload name; one request for a tag and a run."""
        in_force = check_stack(stack)
        tags = self.tag_facts(in_force)
        for facts in tags:
            check_usable(facts.name, facts.state, allow_open=allow_open)
        wanted = None if names is None else set(names)
        answers = {}
        for run in sorted(set(runs)):
            rows = [row for facts in tags for row in self._covering(facts, run)]
            found = resolve(in_force, run, rows)
            answers[run] = {name: won for name, won in found.items() if wanted is None or name in wanted}
        return answers

    def resolve_held(
        self, stack: Sequence[str], run: Run, names: Iterable[str] | None = None, *, allow_open: bool = False
    ) -> Held:
        """The winners for a run; they hold for this run, since the wire says no more."""
        answer = self.resolve_many(stack, [run], names, allow_open=allow_open)[run]
        return Held(answer, IntervalOfValidity.of_run(run), self.tag_facts(stack))

    def tag_facts(self, stack: Sequence[str]) -> tuple[TagFacts, ...]:
        """The state of each tag; the wire knows no content revision and no digest.

        A state is asked for once, so that a job uses a tag that it has begun to use.
        """
        found = []
        for ref in parse_stack(stack):
            if ref.content_revision is not None:
                reason = f"{self._http.url} speaks Belle II's wire, which knows no past"
                raise PastUnknown(ref.name, f"revision {ref.content_revision}", reason)
            facts = self._facts.get(ref.name)
            if facts is None:
                facts = self._facts[ref.name] = self._asked(ref.name)
            found.append(facts)
        return tuple(found)

    def payload_path(self, payload: Payload) -> Path:
        """The payload's verified file, from the cache or from where the server says it is."""

        def fetch(sink: Any) -> None:
            base, path = self._urls.get((payload.name, payload.md5), (self._http.base_url, conventional_path(payload)))
            self._http.fetch(f"{base.rstrip('/')}/{path}", sink)

        return self._cache.path_of(payload, fetch)

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def _asked(self, name: str) -> TagFacts:
        try:
            tag = self._http.get(f"v2/globalTag/{quote(name, safe='')}")
        except NotFoundError as error:
            raise TagNotFound(name, store=self._http.url) from error
        with answers_of(self._http.url):
            if tag["name"] != name:
                raise ValueError(f"it speaks of tag {tag['name']!r} where {name!r} was asked for")
            return TagFacts(
                name, parse_state(tag["globalTagStatus"]["name"]), UNKNOWN_REVISION, None, tag["globalTagId"]
            )

    def _covering(self, facts: TagFacts, run: Run) -> list[IovEntry]:
        """The rows of a tag that cover a run."""
        found = self._rows.get((facts.name, run))
        if found is not None:
            return found
        params = {"gtName": facts.name, "expNumber": run.exp, "runNumber": run.run}
        given = self._http.get("v2/iovPayloads/", params=params)
        with answers_of(self._http.url):
            found = [self._entry(facts.name, item) for item in given]
        with self._lock:
            if facts.state is TagState.PUBLISHED and len(self._rows) < KEPT_RUNS:
                self._rows[facts.name, run] = found
        return found

    def _entry(self, tag: str, item: Mapping[str, Any]) -> IovEntry:
        given, iov = item["payload"], item["payloadIov"]
        payload = Payload(
            name=given["basf2Module"]["name"],
            revision=int(given["revision"]),
            sha256="",
            md5=str(given["checksum"]).lower(),
            size_bytes=-1,
            metadata={},
            created_at=_time(given.get("dtmIns")),
            created_by=str(given.get("modifiedBy", "")),
            id=int(given["payloadId"]),
        )
        check_payload(payload)
        base, path = str(given["baseUrl"]), str(given["payloadUrl"])
        if ".." in path.split("/"):
            raise ValueError(f"payloadUrl {path!r} leads out of its base URL")
        # A server behind a proxy may name no host of its own.
        absolute = base if base.startswith(("http://", "https://")) else f"{self._http.base_url}/{base.lstrip('/')}"
        self._urls[payload.name, payload.md5] = absolute, below(path)
        interval = IntervalOfValidity.from_tuple(
            *(int(iov[key]) for key in ("expStart", "runStart", "expEnd", "runEnd"))
        )
        return IovEntry(int(iov["payloadIovId"]), payload, interval, tag)


def _time(given: Any) -> datetime:
    """When something was made, as far as the server says it in a form we know."""
    try:
        return datetime.fromisoformat(given)
    except (TypeError, ValueError):
        return UNKNOWN_TIME


def shake_hands(http: HttpClient) -> None:
    """Make sure that somebody there speaks this wire.

    Raises:
        BadAnswer: nobody does.
        ServerUnreachable: nobody is there.
    """
    for path in HANDSHAKES:
        try:
            http.respond("HEAD", path)
        except (BadAnswer, NotFoundError) as error:
            failure = error
        else:
            return
    raise BadAnswer(http.url, f"neither /v1 nor Belle II's /v2 is there ({failure})")
