"""The running update: how a RUNNING tag goes on with what was prepared and validated in a staging tag.

What the running tag has given out for runs before the first run of the update never changes. So every interval of it
must have begun before that run, and every one with an end must have ended; the staging tag says for each of its
payload names, without gap or overlap, what is valid from then on:

* an interval of staging that begins at (0,0) begins with the first run of the update, every other one there or later;
* the open interval of the running tag is closed just before staging's first one begins, and staging's are added;
* where staging begins with the payload that the running tag has open, that interval stays and only its end changes;
* names that staging does not have stay as they are, or are closed by a full replacement.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from conditions.errors import BadInputError, ChangeRefused, UpdateRefused
from conditions.iov import OPEN, IntervalOfValidity, Run, just_before
from conditions.payload import Payload
from conditions.plans.plan import Plan, by_name, make_plan
from conditions.resolve import IovEntry
from conditions.tags import TagState


@dataclass(frozen=True, slots=True)
class RunningMode:
    """What a running update lets pass; strict without any of these.

    Args:
        allow_closed: the last interval of a name may have an end; after it the running tag has nothing of that name.
        full_replacement: names that staging does not have are closed before the first run; ends are allowed, too.
        fix_closed: the last interval of each name goes on for ever, whatever staging says.
        simple: staging may hold nothing but intervals 0,0,-1,-1.
    """

    allow_closed: bool = False
    full_replacement: bool = False
    fix_closed: bool = False
    simple: bool = False

    def __post_init__(self) -> None:
        if self.allow_closed and self.fix_closed:
            raise BadInputError("an update cannot both keep ends (allow_closed=True) and open them (fix_closed=True)")
        if self.simple and (self.allow_closed or self.fix_closed):
            raise BadInputError("a simple update has no ends, so that there is nothing to allow or to open")

    @property
    def takes_ends(self) -> bool:
        """Whether a name may end with an interval that has an end."""
        return self.allow_closed or self.full_replacement


STRICT: Final = RunningMode()
NAMED_AT_MOST: Final = 20  # rows that one fault names
_Part: TypeAlias = tuple[Payload, IntervalOfValidity]


def check_update_states(running: tuple[str, TagState], staging: tuple[str, TagState]) -> None:
    """Refuse tags that are not RUNNING and VALIDATED; each comes as (name, state).

    Raises:
        ChangeRefused: with what to do.
    """
    for (name, state), wanted, action, advice in (
        (
            running,
            TagState.RUNNING,
            "update",
            "a running update needs a RUNNING tag; an OPEN one can be set to RUNNING",
        ),
        (
            staging,
            TagState.VALIDATED,
            "update a running tag with",
            "walk it to VALIDATED first, so that it stays as is",
        ),
    ):
        if state is not wanted:
            raise ChangeRefused(name, state.value, action, advice)


def plan_running(
    running: tuple[str, int, Sequence[IovEntry]],
    staging: tuple[str, Sequence[IovEntry]],
    first_run: Run,
    mode: RunningMode = STRICT,
) -> Plan:
    """How the running tag goes on with staging's payloads.

    Args:
        running: name, content revision and all rows of the RUNNING tag.
        staging: name and all rows of the VALIDATED one.
        first_run: the first run that the update is about.
        mode: what it lets pass.

    Raises:
        UpdateRefused: with every fault, each naming its payload.
    """
    (name, base_revision, running_rows), (staging_name, staging_rows) = running, staging
    prepared = by_name(staging_rows)
    faults = [*_running_faults(running_rows, first_run), *_staging_faults(prepared, first_run, mode)]
    if not prepared:
        faults.append(f"{staging_name} holds nothing")
    if faults:
        raise UpdateRefused(name, staging_name, str(first_run), faults)
    open_rows: dict[str, list[IovEntry]] = {}
    for row in running_rows:
        if row.iov.is_open:
            open_rows.setdefault(row.payload.name, []).append(row)
    creates: list[_Part] = []
    changes: list[tuple[IovEntry, IntervalOfValidity]] = []
    for payload_name, rows in prepared.items():
        parts = _parts(rows, first_run, mode)
        changed, added = _continue(open_rows.pop(payload_name, []), parts)
        changes += changed
        creates += added
    if mode.full_replacement:
        for rows in open_rows.values():
            changes += [(row, _closed_before(row, first_run)) for row in rows]
    return make_plan(name, base_revision, creates, changes)


def _running_faults(rows: Iterable[IovEntry], first_run: Run) -> list[str]:
    """What the running tag has already said about the first run or later ones."""
    begun: list[IovEntry] = []
    ending: list[IovEntry] = []
    for row in rows:
        if row.iov.first_key >= first_run.key:
            begun.append(row)
        elif row.iov.final_key >= first_run.key and not row.iov.is_open:
            ending.append(row)
    said = (
        ("IoV", f"of the running tag beginning at or after {first_run}", begun),
        ("closed IoV", f"of the running tag ending at or after {first_run}", ending),
    )
    return [_said(noun, what, found) for noun, what, found in said if found]


def _staging_faults(prepared: dict[str, list[IovEntry]], first_run: Run, mode: RunningMode) -> list[str]:
    """What of the staging tag cannot follow."""
    found: dict[tuple[str, str], list[IovEntry]] = {}
    for rows in prepared.values():
        for fault, row in _name_faults(rows, first_run, mode):
            found.setdefault(fault, []).append(row)
    return [_said(noun, what, rows) for (noun, what), rows in found.items()]


def _name_faults(
    rows: Sequence[IovEntry], first_run: Run, mode: RunningMode
) -> Iterator[tuple[tuple[str, str], IovEntry]]:
    """What is wrong with the rows of one payload name in staging, and with which of them."""
    reach: IntervalOfValidity | None = None  # of those seen so far, the one that reaches furthest
    for row in rows:
        if 0 < row.iov.first_key < first_run.key:
            yield ("IoV", f"beginning before {first_run} and not at 0:0"), row
        elif row.iov.final_key < first_run.key:
            yield ("IoV", f"ending before {first_run}"), row
        if mode.simple and row.iov != IntervalOfValidity.always():
            yield ("IoV", "other than 0,0,-1,-1, all that a simple update takes"), row
        if reach is not None and row.iov.first_key <= reach.final_key:
            yield ("IoV", "overlapping the one before"), row
        elif reach is not None and len(reach.union(row.iov)) > 1:
            yield ("IoV", "with a gap before it"), row
        if reach is None or row.iov.final_key > reach.final_key:
            reach = row.iov
    if not (mode.takes_ends or mode.fix_closed or mode.simple or rows[-1].iov.is_open):
        yield ("closed payload", "(allow_closed=True lets them end, fix_closed=True opens them)"), rows[-1]


def _parts(rows: Sequence[IovEntry], first_run: Run, mode: RunningMode) -> list[_Part]:
    """What staging says of one payload name, from the first run on."""
    from_then_on = IntervalOfValidity(first_run)
    parts = [(row.payload, iov) for row in rows if (iov := row.iov.intersection(from_then_on)) is not None]
    if mode.fix_closed:
        payload, iov = parts[-1]
        parts[-1] = payload, IntervalOfValidity(iov.first, OPEN)
    return parts


def _continue(
    open_rows: Sequence[IovEntry], parts: Sequence[_Part]
) -> tuple[list[tuple[IovEntry, IntervalOfValidity]], list[_Part]]:
    """How one payload name goes on: the open rows' new intervals, and what is added.

    A tag with overlaps may have several open rows of a name; none but the one that goes on may stay open, or it
    could win over what is added.
    """
    payload, first_iov = parts[0]
    same = next((row for row in open_rows if row.payload.revision == payload.revision), None)
    changes = [(row, _closed_before(row, first_iov.first)) for row in open_rows if row is not same]
    if same is None:
        return changes, list(parts)
    used = 0
    while used < len(parts) and parts[used][0].revision == payload.revision:
        used += 1
    goes_on = IntervalOfValidity(same.iov.first, parts[used - 1][1].last)
    if goes_on != same.iov:
        changes.append((same, goes_on))
    return changes, list(parts[used:])


def _closed_before(row: IovEntry, run: Run) -> IntervalOfValidity:
    """The row's interval with its end just before a run."""
    last = just_before(run)
    if last is None:
        raise AssertionError("the row begins before the run, so a run is before it")
    return IntervalOfValidity(row.iov.first, last)


def _said(noun: str, what: str, rows: Sequence[IovEntry]) -> str:
    """A fault and the rows that have it, the first ones by name."""
    named = "; ".join(f"{row.payload} {row.iov}" for row in rows[:NAMED_AT_MOST])
    more = f"; and {len(rows) - NAMED_AT_MOST} more" if len(rows) > NAMED_AT_MOST else ""
    return f"{len(rows)} {noun}{'' if len(rows) == 1 else 's'} {what}: {named}{more}"
