"""A store that is kept by a server: every verb is a request to `/v1`, with the same answers and the same errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from conditions.client.remote_core import RemoteCore, path_of
from conditions.client.remote_iovs import RemoteIovs
from conditions.client.remote_payloads import RemotePayloads
from conditions.client.remote_tags import RemoteTags
from conditions.diff import TagDiff
from conditions.iov import IntervalOfValidity, Run
from conditions.plans.check import TagCheck
from conditions.plans.edit import IovEdit, IovFilter
from conditions.plans.plan import Plan
from conditions.plans.running import STRICT, RunningMode
from conditions.tags import check_tag_name
from conditions.wire_plans import check_from, diff_from, edit_json, filter_json, plan_from


class RemotePlans(RemoteCore):
    """Merge, update, edit, compare and check tags, where they are kept; each change is one transaction there."""

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
        body = {"sources": list(sources), "within": _text(within)}
        return self._plan(target, "merge", body, dry_run, expected_revision)

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
        flags = {name: getattr(mode, name) for name in ("allow_closed", "full_replacement", "fix_closed", "simple")}
        body = {"staging": check_tag_name(staging), "first_run": f"{first_run.exp},{first_run.run}", "mode": flags}
        return self._plan(running, "running-update", body, dry_run, expected_revision)

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
        body = {"target": check_tag_name(target), "rows": filter_json(chosen), "to": _text(to)}
        return self._plan(source, "iovs/copy", body, dry_run, expected_revision)

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
        body = {"rows": filter_json(chosen), **edit_json(edit)}
        return self._plan(tag, "iovs/modify", body, dry_run, expected_revision)

    def delete_iovs(
        self, tag: str, chosen: IovFilter, *, dry_run: bool = False, expected_revision: int | None = None
    ) -> Plan:
        """Take chosen rows, or the chosen part of each, out of an OPEN tag."""
        return self._plan(tag, "iovs/delete", {"rows": filter_json(chosen)}, dry_run, expected_revision)

    def diff_tags(
        self, left: str, right: str, *, pattern: str | None = None, within: IntervalOfValidity | None = None
    ) -> TagDiff:
        """The runs for which two tags give out other bytes; empty exactly when their digests are equal."""
        tags = {"left": check_tag_name(left), "right": check_tag_name(right)}
        return self._get("v1/diff", diff_from, **tags, name=pattern, within=within)

    def check_tag(
        self, name: str, *, verify: bool = True, on_progress: Callable[[int, int], None] | None = None
    ) -> TagCheck:
        """Gaps and overlaps of a tag, and its payloads whose bytes are not what is said of them.

        The server does it in one go, so `on_progress` is told of the end alone.
        """
        path = path_of("tags", check_tag_name(name), "check")
        found = self._verified(f"{path}?verify=1", check_from) if verify else self._get(path, check_from)
        if on_progress is not None:
            on_progress(found.payload_count, found.payload_count)
        return found

    def _plan(self, tag: str, verb: str, body: Mapping[str, Any], dry_run: bool, expected_revision: int | None) -> Plan:
        """Make a plan there, and apply it unless it is only to be shown."""
        asked = {**body, "dry_run": dry_run, "expected_revision": expected_revision}
        path = path_of("tags", check_tag_name(tag), *verb.split("/"))
        return self._send("POST", path, plan_from, asked, repeatable=dry_run)


class RemoteStore(RemoteTags, RemotePayloads, RemoteIovs, RemotePlans):
    """A store that is kept by a server; see `RemoteCore` for how it is made."""


def _text(iov: IntervalOfValidity | None) -> str | None:
    return None if iov is None else str(iov)
