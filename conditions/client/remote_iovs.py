"""A remote store's verbs about intervals of validity, and the lookup that they are for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from conditions.client.remote_core import RemoteCore, moment_text, path_of, run_text
from conditions.errors import BadAnswer
from conditions.iov import IntervalOfValidity, Last, Run
from conditions.payload import Payload, check_payload_name
from conditions.resolve import Held, IovEntry, Resolved, TagFacts, check_stack
from conditions.tags import check_tag_name
from conditions.wire import answers_from, facts_from, held_from, iov_from, iovs_from, last_text

MOST_RUNS: Final = 1_000  # in a request; an answer of 1,000 runs and 200 payloads has some 40 MB
MOST_NAMES: Final = 100  # in a URL


class RemoteIovs(RemoteCore):
    """Fill tags, and resolve runs with them."""

    def add_iov(self, tag: str, name: str, revision: int | None, iov: IntervalOfValidity) -> IovEntry:
        """Add a payload, by default its latest revision, to a tag; the same row again gives the one there is."""
        row = {"name": check_payload_name(name), "iov": str(iov), "revision": revision}
        path = path_of("tags", check_tag_name(tag), "iovs")
        return self._send("POST", path, iovs_from, {"iovs": [row]}, repeatable=True)[0]

    def add_iovs(self, tag: str, entries: Iterable[tuple[Payload, IntervalOfValidity]]) -> int:
        """Add many rows to a tag, or none when one is refused; returns how many were not there before."""
        rows = [{"name": payload.name, "iov": str(iov), "revision": payload.revision} for payload, iov in entries]
        path = path_of("tags", check_tag_name(tag), "iovs")
        return self._send("POST", path, lambda given: int(given["n_added"]), {"iovs": rows}, repeatable=True)

    def list_iovs(
        self,
        tag: str,
        *,
        names: Iterable[str] | None = None,
        run: Run | None = None,
        within: IntervalOfValidity | None = None,
        pattern: str | None = None,
        regex: str | None = None,
        after_id: int | None = None,
        limit: int | None = None,
    ) -> list[IovEntry]:
        """Rows of a tag by payload name, first run and revision, at most `limit` of those after a row."""
        given = {"run": run_text(run), "within": within, "name": pattern, "regex": regex}
        path, after = path_of("tags", check_tag_name(tag), "iovs"), None if after_id is None else str(after_id)
        wanted = None if names is None else _names(names)
        if wanted is None or 0 < len(wanted) <= MOST_NAMES:
            return self._pages(path, iovs_from, after, limit, **given, payload=wanted)
        chosen = set(wanted)  # too many for a URL
        found = [entry for entry in self._pages(path, iovs_from, after, None, **given) if entry.payload.name in chosen]
        return found[:limit]

    def modify_iov(self, tag: str, iov_id: int, iov: IntervalOfValidity) -> IovEntry:
        """Give a row another interval: any in an OPEN tag, an earlier end in a RUNNING one."""
        return self._send("PATCH", _row_path(tag, iov_id), iov_from, {"iov": str(iov)})

    def close_iov(self, tag: str, iov_id: int, last: Last) -> IovEntry:
        """Give a row an earlier last run: any row of an OPEN tag, one without an end in a RUNNING tag."""
        return self._send("PATCH", _row_path(tag, iov_id), iov_from, {"last": last_text(last)})

    def delete_iov(self, tag: str, iov_id: int) -> None:
        """Take a row out of an OPEN tag."""
        self._send("DELETE", _row_path(tag, iov_id), lambda _: None)

    def resolve(
        self,
        stack: Sequence[str] | str,
        run: Run,
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
        as_of: datetime | None = None,
    ) -> dict[str, Resolved]:
        """The winners for a run by payload name; a name without one is not in the answer."""
        return self.resolve_many(stack, [run], names, allow_open=allow_open, as_of=as_of)[run]

    def resolve_many(
        self,
        stack: Sequence[str] | str,
        runs: Iterable[Run],
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
        as_of: datetime | None = None,
    ) -> dict[Run, dict[str, Resolved]]:
        """The winners for each of several runs; `as_of` as the tags were then."""
        asked = {
            "tags": list(check_stack(stack)),
            "names": None if names is None else _names(names),
            "allow_open": allow_open,
            "as_of": moment_text(as_of),
        }
        wanted = list(dict.fromkeys(runs))
        found: dict[Run, dict[str, Resolved]] = {}
        for begin in range(0, max(1, len(wanted)), MOST_RUNS):
            some = [run_text(run) for run in wanted[begin : begin + MOST_RUNS]]
            found |= self._ask("v1/resolve", answers_from, asked | {"runs": some})
        if missing := [run for run in wanted if run not in found]:
            raise BadAnswer(self.url, f"asked for {len(wanted)} runs, it says nothing of {missing[0]}")
        return {run: found[run] for run in wanted}

    def resolve_held(
        self,
        stack: Sequence[str] | str,
        run: Run,
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
        as_of: datetime | None = None,
    ) -> Held:
        """The winners for a run, and the runs around it for which they are certainly the same."""
        wanted = None if names is None else _names(names)
        asked = wanted if wanted is None or len(wanted) <= MOST_NAMES else None
        held = self._get(
            "v1/resolve",
            held_from,
            tag=list(check_stack(stack)),
            run=run_text(run),
            name=asked,
            allow_open=allow_open,
            as_of=moment_text(as_of),
        )
        if wanted is None:
            return held
        answer = {name: held.answer[name] for name in wanted if name in held.answer}
        return Held(answer, held.holds, held.tags)

    def tag_facts(self, stack: Sequence[str] | str) -> tuple[TagFacts, ...]:
        """What decides whether an answer from these tags still holds."""
        return self._get("v1/facts", _facts, tag=list(check_stack(stack)))


def _row_path(tag: str, iov_id: int) -> str:
    return path_of("tags", check_tag_name(tag), "iovs", iov_id)


def _names(names: Iterable[str]) -> list[str]:
    """Each name once, in order; one name alone is a list of one."""
    return [names] if isinstance(names, str) else sorted(set(names))


def _facts(given: Any) -> tuple[TagFacts, ...]:
    return tuple(facts_from(each) for each in given["tags"])
