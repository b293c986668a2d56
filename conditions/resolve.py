"""Which payload wins for a run: a function of rows that were read before.

The first tag of the stack that has a payload name for the run wins; inside that tag, the highest revision that
covers the run. A name that no tag has for the run is not in the answer.

An entry of a stack is the name of a tag, or `NAME@REVISION` for the content that the tag had at that content revision.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from conditions.errors import BadInputError, BadName, NoPayloadForRun
from conditions.iov import IntervalOfValidity, Run
from conditions.payload import Payload
from conditions.tags import TagState

UNKNOWN_REVISION: Final = -1  # of a snapshot without details, and of servers that only speak Belle II's wire
_REVISION: Final = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class TagRef:
    """An entry of a stack: a tag as it is, or as it was at a content revision."""

    name: str
    content_revision: int | None = None

    def __str__(self) -> str:
        return self.name if self.content_revision is None else f"{self.name}@{self.content_revision}"


@dataclass(frozen=True, slots=True)
class TagFacts:
    """What decides whether an answer from a tag still holds.

    `content_revision` is the one that answers are made from: the present one, unless the past was asked for; it is
    UNKNOWN_REVISION from who does not know it. `digest` is that of the published content, None where there is none yet
    or the past was asked for.
    """

    name: str
    state: TagState
    content_revision: int
    digest: str | None = None
    id: int = 0

    @property
    def known_revision(self) -> int | None:
        """The content revision, None where it is not known."""
        return None if self.content_revision == UNKNOWN_REVISION else self.content_revision


@dataclass(frozen=True, slots=True)
class IovEntry:
    """One row of a tag: a payload and the runs it is valid for; who wrote it and when, where that was asked for."""

    id: int
    payload: Payload
    iov: IntervalOfValidity
    tag: str
    created_at: datetime | None = field(default=None, compare=False)
    modified_at: datetime | None = field(default=None, compare=False)
    modified_by: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Resolved:
    """The payload that wins for a run, with the interval and the tag that made it win."""

    payload: Payload
    iov: IntervalOfValidity
    tag: str


@dataclass(frozen=True, slots=True)
class Held:
    """The winners for a run, and the runs around it that certainly have the same winners from the same content."""

    answer: Mapping[str, Resolved] = field(hash=False)
    holds: IntervalOfValidity
    tags: tuple[TagFacts, ...]


def resolve(stack: Sequence[str], run: Run, rows: Iterable[IovEntry]) -> dict[str, Resolved]:
    """The winners among the rows, by payload name in order of name.

    Args:
        stack: names of tags, the first one wins.
        run: the run to resolve for.
        rows: rows of these tags; those that do not cover the run are passed over.
    """
    rank_of = {tag: rank for rank, tag in reversed(list(enumerate(stack)))}
    key = run.key
    best: dict[str, tuple[int, int, int, IovEntry]] = {}
    for row in rows:
        if not row.iov.first_key <= key <= row.iov.final_key or row.tag not in rank_of:
            continue
        # Two rows of one revision may both cover the run; the younger row is the one written last.
        merit = (-rank_of[row.tag], row.payload.revision, row.id)
        found = best.get(row.payload.name)
        if found is None or merit > found[:3]:
            best[row.payload.name] = (*merit, row)
    return {name: Resolved(row.payload, row.iov, row.tag) for name, (*_, row) in sorted(best.items())}


def check_stack(stack: Sequence[str] | str) -> tuple[str, ...]:
    """The stack as a tuple without repeats; a text holds names with spaces between them, as the environment does.

    Raises:
        BadInputError: the stack is empty.

    >>> check_stack("mine mc16")
    ('mine', 'mc16')
    """
    names = tuple(dict.fromkeys(stack.split() if isinstance(stack, str) else stack))
    if not names:
        raise BadInputError("the stack of tags is empty; name at least one tag")
    return names


def parse_stack(stack: Sequence[str] | str) -> tuple[TagRef, ...]:
    """The entries of a stack as tags, each perhaps at a content revision.

    Raises:
        BadInputError: the stack is empty.
        BadName: what stands after an @ is no content revision.
    """
    return tuple(parse_tag_ref(entry) for entry in check_stack(stack))


def parse_tag_ref(text: str) -> TagRef:
    """Read `NAME` or `NAME@REVISION`; no tag's name holds an @.

    >>> parse_tag_ref("mc16@12")
    TagRef(name='mc16', content_revision=12)
    """
    name, at, revision = text.partition("@")
    if not at:
        return TagRef(text)
    if not name or _REVISION.fullmatch(revision) is None:
        raise BadName("tag", text, "write NAME, or NAME@REVISION with a content revision such as 12")
    return TagRef(name, int(revision))


def require(found: Mapping[str, Resolved], names: Iterable[str], run: Run, stack: Sequence[str]) -> None:
    """Refuse an answer that lacks a required name.

    Raises:
        NoPayloadForRun: with every name that is missing.
    """
    missing = sorted({name for name in names if name not in found})
    if missing:
        raise NoPayloadForRun(missing, run, stack)
