"""What every place that keeps conditions can do: a store with its database at hand, or a server asked over `/v1`.

Commands and publications are written against `Catalogue`, so that they do the same with both. `Store` satisfies it
with SQL, `RemoteStore` with requests; each call is one transaction in both.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, Self, TypeAlias

from conditions.batch import Batch, BatchResult
from conditions.diff import TagDiff
from conditions.iov import IntervalOfValidity, Last, Run
from conditions.payload import Payload
from conditions.plans.check import TagCheck
from conditions.plans.edit import IovEdit, IovFilter
from conditions.plans.plan import Plan
from conditions.plans.running import STRICT, RunningMode
from conditions.resolve import Held, IovEntry, Resolved, TagFacts
from conditions.tags import AuditEntry, Tag, TagState, TagVerification

Progress: TypeAlias = Callable[[int, int], None]  # called with how many are done and how many there are


class TagCatalogue(Protocol):
    """Tags and their history."""

    def create_tag(self, name: str, *, description: str = "", type: str = "DEV") -> Tag:  # noqa: A002
        """Make an empty, OPEN tag."""
        ...

    def get_tag(self, name: str) -> Tag:
        """The tag of that name; TagNotFound when there is none."""
        ...

    def find_tag(self, name: str) -> Tag | None:
        """The tag of that name, None when there is none."""
        ...

    def list_tags(
        self,
        *,
        pattern: str | None = None,
        regex: str | None = None,
        state: TagState | str | None = None,
        include_invalid: bool = False,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[Tag]:
        """Tags in order of name, chosen by glob, expression and state, at most `limit` of those after a name."""
        ...

    def modify_tag(
        self,
        name: str,
        *,
        new_name: str | None = None,
        description: str | None = None,
        type: str | None = None,  # noqa: A002
    ) -> Tag:
        """Rename, describe or relabel a tag while it is OPEN."""
        ...

    def clone_tag(self, name: str, new_name: str) -> Tag:
        """Make an OPEN tag with the content of another one."""
        ...

    def set_state(self, name: str, state: TagState | str) -> Tag:
        """Move a tag to another state."""
        ...

    def publish_tag(self, name: str) -> Tag:
        """Walk a tag to PUBLISHED, all steps or none, and keep its digest."""
        ...

    def tag_history(self, name: str) -> list[AuditEntry]:
        """What happened to a tag, in order, also under its earlier names."""
        ...

    def tag_digest(self, name: str, *, revision: int | None = None) -> str:
        """The digest of a tag's effective content, also that of an earlier content revision."""
        ...

    def verify_tag(self, name: str) -> TagVerification:
        """Read all of a tag again: its rows for the digest, and the bytes of every payload in it."""
        ...

    def audit(
        self,
        *,
        subject: str | None = None,
        who: str | None = None,
        action: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        after_id: int = 0,
        limit: int | None = None,
    ) -> list[AuditEntry]:
        """Who changed what, in order; `subject` knows `*` and `?`."""
        ...


class PayloadCatalogue(Protocol):
    """Payloads and their files."""

    def upload(
        self,
        name: str,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        metadata: Mapping[str, Any] | None = None,
        md5: str | None = None,
    ) -> Payload:
        """Keep a file's or a stream's bytes as the next revision of a payload; the same bytes again keep theirs."""
        ...

    def get_payload(self, name: str, revision: int | None = None) -> Payload:
        """One revision of a payload, by default the latest."""
        ...

    def latest_payloads(self, names: Iterable[str]) -> dict[str, Payload]:
        """The latest revision of each of these names, without those that have none."""
        ...

    def list_payloads(
        self,
        *,
        pattern: str | None = None,
        regex: str | None = None,
        tag: str | None = None,
        run: Run | None = None,
        after: tuple[str, int] | None = None,
        limit: int | None = None,
    ) -> list[Payload]:
        """Payloads in order of name and revision, at most `limit` of those after a name and revision."""
        ...

    def find_payloads(self, wanted: Iterable[tuple[str, str]]) -> list[Payload]:
        """The payloads there are of these names and md5."""
        ...

    def payload_path(self, payload: Payload) -> Path:
        """A local file with the payload's bytes, size and digest verified; read-only."""
        ...

    def verify(self, payload: Payload) -> None:
        """Compare a payload's bytes, where they are kept, with what is said of them."""
        ...


class IovCatalogue(Protocol):
    """Contents of tags, and the lookup that they are for."""

    def add_iov(self, tag: str, name: str, revision: int | None, iov: IntervalOfValidity) -> IovEntry:
        """Add a payload, by default its latest revision, to a tag; the same row again gives the one there is."""
        ...

    def add_iovs(self, tag: str, entries: Iterable[tuple[Payload, IntervalOfValidity]]) -> int:
        """Add many rows, or none when one is refused; how many were not there before."""
        ...

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
        ...

    def modify_iov(self, tag: str, iov_id: int, iov: IntervalOfValidity) -> IovEntry:
        """Give a row another interval: any in an OPEN tag, an earlier end in a RUNNING one."""
        ...

    def close_iov(self, tag: str, iov_id: int, last: Last) -> IovEntry:
        """Give a row an earlier last run."""
        ...

    def delete_iov(self, tag: str, iov_id: int) -> None:
        """Take a row out of an OPEN tag."""
        ...

    def resolve(
        self,
        stack: Sequence[str] | str,
        run: Run,
        names: Iterable[str] | None = None,
        *,
        allow_open: bool = False,
        as_of: datetime | None = None,
    ) -> dict[str, Resolved]:
        """The winners for a run by payload name."""
        ...

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
        ...

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
        ...

    def tag_facts(self, stack: Sequence[str] | str) -> tuple[TagFacts, ...]:
        """What decides whether an answer from these tags still holds."""
        ...


class PlanCatalogue(Protocol):
    """Changes of many rows that are planned first; `dry_run` gives the same plan and changes nothing.

    With `expected_revision`, the content revision of a plan that was looked at, another content is refused.
    """

    def merge_tags(
        self,
        target: str,
        sources: Sequence[str],
        *,
        within: IntervalOfValidity | None = None,
        dry_run: bool = False,
        expected_revision: int | None = None,
    ) -> Plan:
        """Fill an OPEN tag from several tags; where two have a payload name for a run, the first one counts."""
        ...

    def running_update(
        self,
        running: str,
        staging: str,
        first_run: Run,
        *,
        mode: RunningMode = STRICT,
        dry_run: bool = False,
        expected_revision: int | None = None,
    ) -> Plan:
        """Let a RUNNING tag go on with what a VALIDATED staging tag holds."""
        ...

    def copy_iovs(
        self,
        source: str,
        target: str,
        chosen: IovFilter,
        *,
        to: IntervalOfValidity | None = None,
        dry_run: bool = False,
        expected_revision: int | None = None,
    ) -> Plan:
        """Add chosen rows of one tag to another one; rows that are there already stay."""
        ...

    def modify_iovs(
        self,
        tag: str,
        chosen: IovFilter,
        edit: IovEdit,
        *,
        dry_run: bool = False,
        expected_revision: int | None = None,
    ) -> Plan:
        """Give chosen rows of an OPEN tag other intervals, or another revision of their payload."""
        ...

    def delete_iovs(
        self, tag: str, chosen: IovFilter, *, dry_run: bool = False, expected_revision: int | None = None
    ) -> Plan:
        """Take chosen rows, or the chosen part of each, out of an OPEN tag."""
        ...

    def diff_tags(
        self, left: str, right: str, *, pattern: str | None = None, within: IntervalOfValidity | None = None
    ) -> TagDiff:
        """The runs for which two tags give out other bytes."""
        ...

    def check_tag(self, name: str, *, verify: bool = True, on_progress: Progress | None = None) -> TagCheck:
        """Gaps and overlaps of a tag, and its payloads whose bytes are not what is said of them."""
        ...


class Catalogue(TagCatalogue, PayloadCatalogue, IovCatalogue, PlanCatalogue, Protocol):
    """All verbs; what is opened is closed, by hand or by `with`."""

    @property
    def url(self) -> str:
        """Where it is, for messages."""
        ...

    def submit(self, batch: Batch) -> BatchResult:
        """Keep payloads, add IoVs and move a tag, all in one transaction."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


if TYPE_CHECKING:  # the type checker proves that both are one
    from conditions.client.remote import RemoteStore
    from conditions.store.session import Store

    def _store_is_one(store: Store) -> Catalogue:
        return store

    def _remote_store_is_one(store: RemoteStore) -> Catalogue:
        return store
