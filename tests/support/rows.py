"""Rows of tags without a store: written as text for examples, drawn at random for properties."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from hypothesis import strategies as st

from conditions.iov import OPEN, EndOfExp, IntervalOfValidity, Last, Run
from conditions.payload import Payload
from conditions.resolve import IovEntry, resolve

MADE_AT = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("p1", "p2")
EXPS, RUNS = range(3), range(4)
# Every run at which something drawn here can begin or end, and those beyond.
EVERY_RUN = (*(Run(exp, run) for exp in range(4) for run in (*range(6), 99)), Run(4, 0))
_NUMBERS = itertools.count(1)


def payload(name: str, revision: int) -> Payload:
    """A payload of which only name and revision matter; its digests come from both."""
    text = f"{name} {revision}".encode()
    sha256, md5 = hashlib.sha256(text).hexdigest(), hashlib.md5(text, usedforsecurity=False).hexdigest()
    return Payload(name, revision, sha256, md5, 1, {}, MADE_AT, "tester")


def rows(tag: str, text: str) -> list[IovEntry]:
    """Rows from lines `NAME rREVISION IOV`, with or without `;` between them."""
    made = []
    for line in text.replace(";", "\n").splitlines():
        if line.strip():
            name, revision, iov = line.split()
            made.append(row(tag, payload(name, int(revision[1:])), IntervalOfValidity.parse(iov)))
    return made


def row(tag: str, payload: Payload, iov: IntervalOfValidity) -> IovEntry:
    """A row with a number of its own."""
    return IovEntry(next(_NUMBERS), payload, iov, tag)


def content(tag: str, parts: Iterable[tuple[Payload, IntervalOfValidity]]) -> list[IovEntry]:
    """Rows of payloads and intervals."""
    return [row(tag, payload, iov) for payload, iov in parts]


def said(parts: Iterable[tuple[Payload, IntervalOfValidity]]) -> list[str]:
    """Payloads and intervals as the examples write them."""
    return [f"{payload} {iov}" for payload, iov in parts]


def winners(tag: str, entries: Sequence[IovEntry], run: Run) -> dict[str, int]:
    """The revision of each payload name that a tag with these rows gives out."""
    return {name: found.payload.revision for name, found in resolve([tag], run, entries).items()}


@st.composite
def intervals(draw: st.DrawFn, first: Run = Run(0, 0)) -> IntervalOfValidity:  # noqa: B008 - a frozen value
    """An interval on a small line of runs, often with an open end."""
    runs = [Run(exp, run) for exp in EXPS for run in RUNS if Run(exp, run) >= first]
    begin = draw(st.sampled_from(runs))
    ends: list[Last] = [run for run in runs if run >= begin]
    ends += [EndOfExp(exp) for exp in EXPS if exp >= begin.exp]
    return IntervalOfValidity(begin, draw(st.sampled_from([*ends, OPEN])))


@st.composite
def contents(draw: st.DrawFn, tag: str, max_size: int = 6) -> list[IovEntry]:
    """Any rows of a tag, overlaps and gaps included, no row twice."""
    part = st.tuples(st.sampled_from(NAMES), st.integers(1, 3), intervals())
    drawn = draw(st.lists(part, max_size=max_size, unique=True))
    return content(tag, ((payload(name, revision), iov) for name, revision, iov in drawn))
