"""The run-time lookup: every row of the stack's tags that covers one of the runs, in one query (`covering_sql.py`).

Rows of a tag's past are looked for in the same way: a row was there at a content revision when it came in or before
that one and went later, if it went at all.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection

from conditions.errors import BadInputError, PastUnknown
from conditions.iov import FOREVER_KEY, RUN_BITS, IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.resolve import Held, IovEntry, Resolved, TagFacts, TagRef, resolve
from conditions.store.covering_sql import Question, facts_parameters, facts_statement, parameters, statement
from conditions.store.queries import name_list, payload_from, tag_not_found
from conditions.tags import TagState, check_usable

_OPEN_BITS: Final = 2**RUN_BITS - 1


def resolve_runs(
    connection: Connection,
    stack: Sequence[TagRef],
    runs: Iterable[Run],
    names: Iterable[str] | None,
    *,
    allow_open: bool,
    as_of: datetime | None = None,
) -> dict[Run, dict[str, Resolved]]:
    """The winners for each run, by payload name.

    Raises:
        TagNotFound: a tag of the stack does not exist.
        TagNotUsable: a tag is INVALID, or OPEN and not allowed to be.
        PastUnknown: a tag's content at that moment or content revision is not known.
    """
    ordered = sorted(set(runs))
    question = _question(stack, ordered, names, as_of)
    found = _ask(connection, question, allow_open=allow_open)
    return _distribute([str(ref) for ref in stack], ordered, found.rows)


def resolve_held(
    connection: Connection,
    stack: Sequence[TagRef],
    run: Run,
    names: Iterable[str] | None,
    *,
    allow_open: bool,
    as_of: datetime | None = None,
) -> Held:
    """The winners for a run, and the runs around it for which they are certainly the same. Raises as `resolve_runs`."""
    question = _question(stack, [run], names, as_of, bounded=True)
    found = _ask(connection, question, allow_open=allow_open)
    answer = _distribute([str(ref) for ref in stack], [run], found.rows)[run]
    first_key, final_key = 0, FOREVER_KEY
    for row in found.rows:
        row_id, row_first, row_final = row[7:10]
        if row_id is not None:  # it covers the run: from where it begins to where it ends
            first_key, final_key = max(first_key, row_first), min(final_key, row_final)
            continue
        if row_first is not None:  # up to before where the next one begins
            final_key = min(final_key, row_first - 1)
        if row_final is not None:  # from after where the last one ended
            first_key = max(first_key, row_final + 1)
    if first_key & _OPEN_BITS == _OPEN_BITS:  # the place of an open end holds no run: begin with the next experiment
        first_key += 1
    return Held(answer, IntervalOfValidity.from_keys(first_key, final_key), found.tags)


def stack_facts(connection: Connection, stack: Sequence[TagRef], as_of: datetime | None = None) -> tuple[TagFacts, ...]:
    """What decides whether an answer from these tags still holds, in one query; a tag in any state has facts."""
    question = _question(stack, [], None, as_of)
    dialect = connection.dialect.name
    rows = connection.execute(facts_statement(dialect, question), facts_parameters(dialect, question)).all()
    return _facts_of(connection, question, rows)


@dataclass(frozen=True, slots=True)
class _Found:
    """What the database answered, with the tags in the order of the stack."""

    tags: tuple[TagFacts, ...]
    rows: Sequence[Sequence[Any]]


def _question(
    stack: Sequence[TagRef], runs: Iterable[Run], names: Iterable[str] | None, as_of: datetime | None, **kinds: bool
) -> Question:
    """What to ask the database."""
    if as_of is not None and as_of.tzinfo is None:
        raise BadInputError(f"{as_of} has no time zone")
    wanted = None if names is None else tuple(name_list(names))
    return Question(tuple(stack), tuple(run.key for run in runs), wanted, as_of, **kinds)


def _ask(connection: Connection, question: Question, *, allow_open: bool) -> _Found:
    """Send the query, and refuse tags that are not there, not usable, or whose past is not known."""
    dialect = connection.dialect.name
    rows = connection.execute(statement(dialect, question), parameters(dialect, question)).all()
    tags = _facts_of(connection, question, rows)
    for tag in tags:
        check_usable(tag.name, tag.state, allow_open=allow_open)
    return _Found(tags, rows)


def _facts_of(connection: Connection, question: Question, rows: Sequence[Sequence[Any]]) -> tuple[TagFacts, ...]:
    """The tags of the stack, in its order."""
    of_entry = {row[0]: row[1:7] for row in rows}
    for ref in question.stack:
        if str(ref) not in of_entry:
            raise tag_not_found(connection, ref.name)
    return tuple(_facts(ref, of_entry[str(ref)], question.as_of) for ref in question.stack)


def _facts(ref: TagRef, found: Sequence[Any], as_of: datetime | None) -> TagFacts:
    """A tag of the stack, at the content revision that answers are made from.

    Args:
        ref: the entry of the stack.
        found: number, state, content revision, published digest, revision asked for, oldest that is known.
        as_of: the moment that was asked for, if any.

    Raises:
        PastUnknown: nothing is known of that content.
    """
    tag_id, state, revision, digest, asked, oldest = found
    is_past = as_of is not None or ref.content_revision is not None
    if is_past and (asked is None or oldest is None or not oldest <= asked <= revision):
        when = f"content revision {ref.content_revision}" if ref.content_revision is not None else _said(as_of)
        reason = f"it is known from content revision {oldest} to {revision}"
        raise PastUnknown(ref.name, when, reason)
    at = revision if asked is None else asked
    return TagFacts(ref.name, TagState(state), at, digest if at == revision else None, tag_id)


def _said(moment: datetime | None) -> str:
    """A moment for people."""
    return "no moment" if moment is None else moment.astimezone(UTC).isoformat(sep=" ", timespec="seconds")


def _distribute(
    stack: Sequence[str], runs: Sequence[Run], rows: Sequence[Sequence[Any]]
) -> dict[Run, dict[str, Resolved]]:
    """Give each row to the runs it covers, and let `resolve` decide."""
    keys = [run.key for run in runs]
    covering: dict[Run, list[IovEntry]] = {run: [] for run in runs}
    payloads: dict[int, Payload] = {}
    seen: set[tuple[str, int]] = set()
    for row in rows:
        entry, (iov_id, first_key, final_key, name, payload_id) = row[0], row[7:12]
        # No number: nothing of the tag covers a run. Seen: found from two sides, for two runs.
        if iov_id is None or (entry, iov_id) in seen:
            continue
        seen.add((entry, iov_id))
        payload = payloads.get(payload_id)
        if payload is None:
            payload = payloads[payload_id] = payload_from(row[11:19], name)
        found = IovEntry(iov_id, payload, IntervalOfValidity.from_keys(first_key, final_key), entry)
        for run in runs[bisect_left(keys, first_key) : bisect_right(keys, final_key)]:
            covering[run].append(found)
    return {run: resolve(stack, run, entries) for run, entries in covering.items()}
