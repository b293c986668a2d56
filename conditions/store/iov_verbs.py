"""A store's verbs about intervals of validity, and the lookup that they are for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from conditions.iov import IntervalOfValidity, Last, Run
from conditions.payload import Payload
from conditions.resolve import Held, IovEntry, Resolved, parse_stack
from conditions.store import iov_changes, queries
from conditions.store.core import StoreCore
from conditions.store.covering import resolve_held, resolve_runs
from conditions.store.iov_listing import list_iovs
from conditions.store.listing import Page


class IovVerbs(StoreCore):
    """Fill tags, and resolve runs with them."""

    def add_iov(self, tag: str, name: str, revision: int | None, iov: IntervalOfValidity) -> IovEntry:
        """Add a payload, by default its latest revision, to a tag; the same row again gives the one there is."""
        with self._change() as change:
            payload = queries.get_payload(change.connection, name, revision)
            return iov_changes.add_iov(change, tag, payload, iov)

    def add_iovs(self, tag: str, entries: Iterable[tuple[Payload, IntervalOfValidity]]) -> int:
        """Add many rows to a tag, or none when one is refused; returns how many were not there before."""
        rows = list(entries)
        with self._change() as change:
            return iov_changes.add_iovs(change, tag, rows)

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
        """Rows of a tag by payload name, first run and revision.

        Args:
            tag: the tag's name.
            names: only these payload names.
            run: only rows that cover this run.
            within: only rows that share a run with this interval.
            pattern: only payload names like this, with `*` and `?`.
            regex: only payload names that this matches as a whole.
            after_id: only what comes after the row of this number: the last of the page before, also if it has gone.
            limit: at most so many.
        """
        page = Page(regex, limit)
        with self._at_one_moment() as connection:
            return list_iovs(connection, tag, names, run, within, pattern=pattern, after_id=after_id, page=page)

    def modify_iov(self, tag: str, iov_id: int, iov: IntervalOfValidity) -> IovEntry:
        """Give a row another interval: any in an OPEN tag; in a RUNNING one an earlier end to what has none."""
        with self._change() as change:
            return iov_changes.modify_iov(change, tag, iov_id, iov)

    def close_iov(self, tag: str, iov_id: int, last: Last) -> IovEntry:
        """Give a row an earlier last run: any row of an OPEN tag, one without an end in a RUNNING tag."""
        with self._change() as change:
            return iov_changes.close_iov(change, tag, iov_id, last)

    def delete_iov(self, tag: str, iov_id: int) -> None:
        """Take a row out of an OPEN tag."""
        with self._change() as change:
            iov_changes.delete_iov(change, tag, iov_id)

    def resolve(
        self,
        stack: Sequence[str] | str,
        run: Run,
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
        as_of: datetime | None = None,
    ) -> dict[str, Resolved]:
        """The winners for a run by payload name, in one query; a name without one is not in the answer.

        Args:
            stack: tags, the first one wins. `NAME@REVISION` stands for the content that a tag had then.
            run: the run.
            names: only these payload names.
            allow_open: whether OPEN tags may be used.
            as_of: with the content that all tags, but those with a revision, had at this moment.

        Raises:
            TagNotFound, TagNotUsable: a tag of the stack does not exist, is INVALID, or OPEN and not allowed to be.
            PastUnknown: what was asked for lies before the history of a tag.
        """
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
        """The winners for each of several runs, in one query."""
        tags = parse_stack(stack)
        with self._reading() as connection:
            return resolve_runs(connection, tags, runs, names, allow_open=allow_open, as_of=as_of)

    def resolve_held(
        self,
        stack: Sequence[str] | str,
        run: Run,
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
        as_of: datetime | None = None,
    ) -> Held:
        """The winners for a run, the runs around it that certainly have the same, and the tags as they were used.

        The winners stay the same for all runs of `holds` as long as the tags have these content revisions.
        """
        tags = parse_stack(stack)
        with self._reading() as connection:
            return resolve_held(connection, tags, run, names, allow_open=allow_open, as_of=as_of)
