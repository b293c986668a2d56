"""A store's verbs for managers: changes of many rows that can be looked at before they are done.

Each locks the tags it is about, reads them, makes a plan, and applies it: one transaction, one content revision.
With `dry_run` all of that is done but the last step, so the plan that is shown is the one that would be applied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from conditions.diff import TagDiff, diff_rows
from conditions.errors import ChangeRefused, PayloadFileError, TagChanged
from conditions.iov import IntervalOfValidity, Run
from conditions.plans.check import PayloadFault, TagCheck, find_gaps, find_name_overlaps
from conditions.plans.edit import IovEdit, IovFilter, plan_copy, plan_delete, plan_modify
from conditions.plans.merge import check_merge, plan_merge
from conditions.plans.operations import Close, plan_operations
from conditions.plans.plan import Plan
from conditions.plans.running import STRICT, RunningMode, check_update_states, plan_running
from conditions.resolve import IovEntry
from conditions.store import plan_changes, queries
from conditions.store.audit import Change
from conditions.store.core import StoreCore
from conditions.store.iov_listing import list_iovs
from conditions.store.queries import LockedTag
from conditions.tags import TagState, check_edit, check_usable

ALL: Final = IovFilter()
Progress: TypeAlias = Callable[[int, int], None]  # called with how many are done and how many there are


class PlanVerbs(StoreCore):
    """Merge, update, edit, compare and check tags."""

    def merge_tags(
        self,
        target: str,
        sources: Sequence[str],
        *,
        within: IntervalOfValidity | None = None,
        dry_run: bool = False,
        expected_revision: int | None = None,
    ) -> Plan:
        """Fill an OPEN tag from several tags; where two have a payload name for a run, the first one counts.

        Args:
            target: an empty tag, or one of the sources: then its own rows take part in their place.
            sources: tags in order of priority; an INVALID one is refused.
            within: take from other tags for these runs only.
            dry_run: only say what would change.
            expected_revision: the target's content revision; TagChanged when it has another one.
        """
        with self._change() as change:
            tags = plan_changes.lock_tags(change.connection, [target, *sources])
            tag = _expected(tags[target], expected_revision)
            check_edit(tag.name, tag.state, "merge into")
            rows = plan_changes.read_content(change.connection, tag)
            names = check_merge(target, len(rows), sources)
            content = [(name, rows if name == target else _source_rows(change, tags[name])) for name in names]
            plan = plan_merge(target, tag.content_revision, rows, content, within)
            why = {"from": list(names), "within": None if within is None else str(within)}
            return _finish(change, tag, plan, "merge", why, dry_run=dry_run)

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
        """Let a RUNNING tag go on with what a VALIDATED staging tag holds.

        Args:
            running: the tag to update.
            staging: the tag with what is valid from the first run on.
            first_run: the first run that changes; what holds for runs before it stays.
            mode: what the update lets pass.
            dry_run: only say what would change.
            expected_revision: the running tag's content revision; TagChanged when it has another one.

        Raises:
            UpdateRefused: with every fault.
        """
        with self._change() as change:
            tags = plan_changes.lock_tags(change.connection, [running, staging])
            tag, source = _expected(tags[running], expected_revision), tags[staging]
            check_update_states((running, tag.state), (staging, source.state))
            rows = plan_changes.read_content(change.connection, tag)
            prepared = plan_changes.read_content(change.connection, source)
            plan = plan_running((running, tag.content_revision, rows), (staging, prepared), first_run, mode)
            why = {"from": [staging], "first_run": str(first_run)}
            return _finish(change, tag, plan, "running update", why, dry_run=dry_run)

    def apply_running(
        self,
        tag: str,
        closes: Iterable[Close],
        creates: Iterable[tuple[int, IntervalOfValidity]],
        *,
        dry_run: bool = False,
    ) -> Plan:
        """A running update that a client has worked out: all of it is done, or nothing.

        Args:
            tag: the RUNNING tag.
            closes: numbers of open rows, each with its last run.
            creates: numbers of payloads, each with its interval, after all that the tag has given out.
            dry_run: only say what would change.

        Raises:
            UpdateRefused: with every fault.
        """
        closed, wanted = list(closes), list(creates)
        with self._change() as change:
            locked = queries.lock_tag(change.connection, tag)
            if locked.state is not TagState.RUNNING:
                advice = "only a RUNNING tag can be updated; an OPEN one can be changed freely"
                raise ChangeRefused(tag, locked.state.value, "make a running update of", advice)
            payloads = plan_changes.get_payloads(change.connection, (number for number, _ in wanted))
            added = [(payloads[number], iov) for number, iov in wanted]
            rows = plan_changes.read_content(change.connection, locked)
            plan = plan_operations((tag, locked.content_revision, rows), closed, added)
            return _finish(change, locked, plan, "running update", {}, dry_run=dry_run)

    def copy_iovs(
        self,
        source: str,
        target: str,
        chosen: IovFilter = ALL,
        *,
        to: IntervalOfValidity | None = None,
        dry_run: bool = False,
        expected_revision: int | None = None,
    ) -> Plan:
        """Add chosen rows of a tag to an OPEN one, which may be the same; rows that are there already stay.

        Args:
            source: the tag to copy from.
            target: the tag to copy to.
            chosen: which rows, all by default.
            to: the interval that every copy gets instead of its own.
            dry_run: only say what would change.
            expected_revision: the target's content revision; TagChanged when it has another one.
        """
        with self._change() as change:
            tags = plan_changes.lock_tags(change.connection, [source, target])
            tag = _expected(tags[target], expected_revision)
            check_edit(tag.name, tag.state, "copy IoVs to")
            rows = plan_changes.read_content(change.connection, tag)
            taken = rows if source == target else _source_rows(change, tags[source])
            plan = plan_copy((source, taken), (target, tag.content_revision, rows), chosen, to)
            return _finish(change, tag, plan, "copy iovs", {"from": [source]}, dry_run=dry_run)

    def modify_iovs(
        self,
        tag: str,
        chosen: IovFilter,
        edit: IovEdit,
        *,
        dry_run: bool = False,
        expected_revision: int | None = None,
    ) -> Plan:
        """Give chosen rows of an OPEN tag other intervals, or another revision of their payload.

        Args:
            tag: the tag.
            chosen: which rows.
            edit: what they become.
            dry_run: only say what would change.
            expected_revision: the tag's content revision; TagChanged when it has another one.
        """
        with self._change() as change:
            locked = _expected(queries.lock_tag(change.connection, tag), expected_revision)
            check_edit(tag, locked.state, "modify IoVs of")
            rows = plan_changes.read_content(change.connection, locked)
            payloads = None
            if edit.revision is not None:
                names = {row.payload.name for row in chosen.choose(tag, rows)}
                payloads = plan_changes.replacements(change.connection, names, edit.revision)
            plan = plan_modify((tag, locked.content_revision, rows), chosen, edit, payloads)
            return _finish(change, locked, plan, "modify iovs", {}, dry_run=dry_run)

    def delete_iovs(
        self, tag: str, chosen: IovFilter, *, dry_run: bool = False, expected_revision: int | None = None
    ) -> Plan:
        """Take chosen rows, or the chosen part of each, out of an OPEN tag.

        Args:
            tag: the tag.
            chosen: which rows.
            dry_run: only say what would change.
            expected_revision: the tag's content revision; TagChanged when it has another one.
        """
        with self._change() as change:
            locked = _expected(queries.lock_tag(change.connection, tag), expected_revision)
            check_edit(tag, locked.state, "delete IoVs of")
            rows = plan_changes.read_content(change.connection, locked)
            plan = plan_delete((tag, locked.content_revision, rows), chosen)
            return _finish(change, locked, plan, "delete iovs", {}, dry_run=dry_run)

    def diff_tags(
        self, left: str, right: str, *, pattern: str | None = None, within: IntervalOfValidity | None = None
    ) -> TagDiff:
        """The runs for which two tags give out other bytes; empty exactly when their digests are equal.

        Args:
            left: the tag to compare with.
            right: the tag that is compared.
            pattern: only payload names like this, with `*` and `?`.
            within: only these runs.
        """
        with self._at_one_moment() as connection:
            sides = [list_iovs(connection, name, within=within) for name in (left, right)]
        chosen = IovFilter(glob=pattern)
        left_rows, right_rows = (chosen.choose(name, rows) for name, rows in zip((left, right), sides, strict=True))
        return diff_rows(left, left_rows, right, right_rows, within)

    def check_tag(self, name: str, *, verify: bool = True, on_progress: Progress | None = None) -> TagCheck:
        """Gaps and overlaps of a tag, and its payloads whose bytes are not what is said of them.

        Args:
            name: the tag.
            verify: read every payload's bytes.
            on_progress: told how many payloads were read, of how many.
        """
        with self._at_one_moment() as connection:
            tag = queries.get_tag(connection, name)
            rows = list_iovs(connection, name)
        faults = self._faults(rows, on_progress) if verify else ()
        return TagCheck(
            name,
            tag.content_revision,
            len(rows),
            tag.payload_count if verify else 0,
            tuple(find_gaps(rows)),
            tuple(find_name_overlaps(rows)),
            tuple(faults),
        )

    def _faults(self, rows: Iterable[IovEntry], on_progress: Progress | None) -> list[PayloadFault]:
        """The payloads that cannot be handed out."""
        payloads = {row.payload.id: row.payload for row in rows}
        found: list[PayloadFault] = []
        for done, payload in enumerate(payloads.values(), start=1):
            try:
                self._files.verify(payload)
            except PayloadFileError as error:
                found.append(PayloadFault(payload.name, payload.revision, str(error)))
            if on_progress is not None:
                on_progress(done, len(payloads))
        return found


def _expected(tag: LockedTag, revision: int | None) -> LockedTag:
    """The tag, when it has the content that was looked at before."""
    if revision is not None and tag.content_revision != revision:
        raise TagChanged(tag.name, tag.content_revision, revision)
    return tag


def _source_rows(change: Change, tag: LockedTag) -> list[IovEntry]:
    """The rows of a tag to take from; those of an INVALID one are not for use."""
    check_usable(tag.name, tag.state, allow_open=True)
    return plan_changes.read_content(change.connection, tag)


def _finish(change: Change, tag: LockedTag, plan: Plan, action: str, why: Mapping[str, Any], *, dry_run: bool) -> Plan:
    """Apply a plan unless it was only to be shown."""
    if not dry_run:
        plan_changes.apply_plan(change, tag, plan, action, {key: value for key, value in why.items() if value})
    return plan
