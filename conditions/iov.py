"""Runs and the intervals of runs for which a payload is valid.

A run is a pair `(exp, run)`. An interval has an inclusive end that may be open in two ways: at the end of an
experiment (`EndOfExp`), or never (`OPEN`). At the edges (command line, files, wire) an open end is written -1;
only `from_tuple`, `to_tuple` and the text form know that.

Every run has a place on one line, its key: experiment in the upper 31 bits, run in the lower 31. An open end of
an experiment takes the last place of that experiment, which no run can have, so that the place after it is the
first run of the next experiment: neighbours join by plain arithmetic.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from operator import index
from typing import Final, Literal, SupportsIndex, TypeAlias

from conditions.errors import BadInterval, BadRun

RUN_BITS: Final = 31
MAX_NUMBER: Final = 2**RUN_BITS - 2  # the largest experiment or run; the place above it is the open end's
FOREVER_KEY: Final = 2 ** (2 * RUN_BITS) - 1
_OPEN_BITS: Final = 2**RUN_BITS - 1


class OpenEnd(Enum):
    """The type of `OPEN`, so that it can stand in annotations."""

    OPEN = "open"

    def __repr__(self) -> str:
        return "OPEN"


OPEN: Final = OpenEnd.OPEN


@dataclass(frozen=True, slots=True, order=True)
class Run:
    """One run of one experiment, ordered by experiment, then run."""

    exp: int
    run: int

    def __post_init__(self) -> None:
        if type(self.exp) is not int or type(self.run) is not int:
            object.__setattr__(self, "exp", _plain_int(self.exp, self))
            object.__setattr__(self, "run", _plain_int(self.run, self))
        if not (0 <= self.exp <= MAX_NUMBER and 0 <= self.run <= MAX_NUMBER):
            raise BadRun((self.exp, self.run), f"experiment and run lie between 0 and {MAX_NUMBER}")

    @property
    def key(self) -> int:
        """Place on the line of all runs."""
        return self.exp << RUN_BITS | self.run

    @classmethod
    def parse(cls, text: str) -> Run:
        """Read `7:120` or `7,120`.

        >>> Run.parse("7:120")
        Run(exp=7, run=120)
        """
        match = _RUN_TEXT.fullmatch(text)
        if match is None:
            raise BadRun(text, "write it as EXP,RUN, for example 7,120")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.exp}:{self.run}"


@dataclass(frozen=True, slots=True)
class EndOfExp:
    """The open end of an interval that holds every further run of one experiment."""

    exp: int

    def __post_init__(self) -> None:
        Run(self.exp, 0)  # the same numbers are allowed

    @property
    def key(self) -> int:
        """Place on the line: after every run of the experiment."""
        return self.exp << RUN_BITS | _OPEN_BITS


Last: TypeAlias = Run | EndOfExp | Literal[OpenEnd.OPEN]


@dataclass(frozen=True, slots=True)
class IntervalOfValidity:
    """All runs from `first` to `last`, both inside."""

    first: Run
    last: Last = OPEN

    def __post_init__(self) -> None:
        if self.first.key > key_of(self.last):
            raise BadInterval(str(self), "its first run comes after its last")

    @classmethod
    def always(cls) -> IntervalOfValidity:
        """The interval that holds every run."""
        return cls(Run(0, 0), OPEN)

    @classmethod
    def of_run(cls, run: Run) -> IntervalOfValidity:
        """The interval that holds one run."""
        return cls(run, run)

    @classmethod
    def from_tuple(cls, first_exp: int, first_run: int, final_exp: int, final_run: int) -> IntervalOfValidity:
        """The interval as the edges write it, -1 for an open end.

        >>> IntervalOfValidity.from_tuple(45, 221, 49, -1)
        IntervalOfValidity(first=Run(exp=45, run=221), last=EndOfExp(exp=49))
        """
        given = (first_exp, first_run, final_exp, final_run)
        if any(type(number) is not int for number in given):
            raise BadInterval(given, "all four numbers are ints")
        if first_exp < 0 or first_run < 0:
            raise BadInterval(given, "the first run cannot be negative or open")
        if final_exp < -1 or final_run < -1:
            raise BadInterval(given, "the only negative number of a last run is -1, an open end")
        if final_exp == -1 and final_run >= 0:
            raise BadInterval(given, "an open experiment needs an open run: write -1,-1 for ever")
        if max(given) > MAX_NUMBER:
            raise BadInterval(given, f"experiments and runs end at {MAX_NUMBER}")
        return cls(Run(first_exp, first_run), _last_from(final_exp, final_run))

    @classmethod
    def from_keys(cls, first_key: int, final_key: int) -> IntervalOfValidity:
        """The interval between two places of the line that a first run and a last run can have."""
        return _interval_at(first_key, final_key)

    @classmethod
    def parse(cls, text: str) -> IntervalOfValidity:
        """Read `45,221,49,-1`, also as `45,221-49,-1`, `45:221-49:-1`, in brackets, or `always`.

        >>> str(IntervalOfValidity.parse("45,221-49,-1"))
        '45,221,49,-1'
        """
        if text.strip().lower() == "always":
            return cls.always()
        match = _IOV_TEXT.fullmatch(text.strip())
        if match is None:
            raise BadInterval(
                text, "write it as FIRST_EXP,FIRST_RUN,LAST_EXP,LAST_RUN with -1 for an open end, or 'always'"
            )
        return cls.from_tuple(*(int(number) for number in match.groups()))

    def to_tuple(self) -> tuple[int, int, int, int]:
        """The interval as the edges write it, -1 for an open end."""
        if self.last is OPEN:
            return self.first.exp, self.first.run, -1, -1
        if isinstance(self.last, EndOfExp):
            return self.first.exp, self.first.run, self.last.exp, -1
        return self.first.exp, self.first.run, self.last.exp, self.last.run

    def __str__(self) -> str:
        return ",".join(str(number) for number in self.to_tuple())

    @property
    def first_key(self) -> int:
        """Place of the first run on the line."""
        return self.first.key

    @property
    def final_key(self) -> int:
        """Place of the last run, or of the open end, on the line."""
        return key_of(self.last)

    @property
    def is_open(self) -> bool:
        """Whether the interval never ends."""
        return self.last is OPEN

    def contains(self, run: Run) -> bool:
        """Whether the run lies inside; first and last do."""
        return self.first_key <= run.key <= self.final_key

    def __contains__(self, run: object) -> bool:
        return isinstance(run, Run) and self.contains(run)

    def overlaps(self, other: IntervalOfValidity) -> bool:
        """Whether some run lies in both."""
        return self.intersection(other) is not None

    def intersection(self, other: IntervalOfValidity) -> IntervalOfValidity | None:
        """The runs in both, None when there are none."""
        return _piece(max(self.first_key, other.first_key), min(self.final_key, other.final_key))

    def union(self, other: IntervalOfValidity) -> tuple[IntervalOfValidity, ...]:
        """The runs in either: one interval when they overlap or are neighbours, else two in order."""
        return IovSet((self, other)).pieces

    def difference(self, other: IntervalOfValidity) -> tuple[IntervalOfValidity, ...]:
        """The runs in this one only: none, one or two intervals in order.

        >>> [str(iov) for iov in IntervalOfValidity.parse("0,0,10,-1") - IntervalOfValidity.parse("5,0,5,-1")]
        ['0,0,4,-1', '6,0,10,-1']
        """
        if other.first_key > self.final_key or other.final_key < self.first_key:
            return (self,)
        before = _piece(self.first_key, other.first_key - 1)
        after = _piece(other.final_key + 1, self.final_key)
        return tuple(piece for piece in (before, after) if piece is not None)

    def __and__(self, other: IntervalOfValidity) -> IntervalOfValidity | None:
        return self.intersection(other)

    def __or__(self, other: IntervalOfValidity) -> tuple[IntervalOfValidity, ...]:
        return self.union(other)

    def __sub__(self, other: IntervalOfValidity) -> tuple[IntervalOfValidity, ...]:
        return self.difference(other)


class IovSet:
    """A set of runs, kept as the fewest intervals in order; two sets of the same runs are equal."""

    __slots__ = ("pieces",)
    pieces: tuple[IntervalOfValidity, ...]

    def __init__(self, iovs: Iterable[IntervalOfValidity] = ()) -> None:
        self.pieces = tuple(_join(iovs))

    def contains(self, run: Run) -> bool:
        """Whether some interval of the set holds the run."""
        return any(piece.contains(run) for piece in self.pieces)

    def __contains__(self, run: object) -> bool:
        return isinstance(run, Run) and self.contains(run)

    def __iter__(self) -> Iterator[IntervalOfValidity]:
        return iter(self.pieces)

    def __len__(self) -> int:
        return len(self.pieces)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IovSet) and self.pieces == other.pieces

    def __hash__(self) -> int:
        return hash(self.pieces)

    def __repr__(self) -> str:
        return f"IovSet({' + '.join(f'({piece})' for piece in self.pieces)})"

    def __or__(self, other: IovSet) -> IovSet:
        return IovSet((*self.pieces, *other.pieces))

    def __and__(self, other: IovSet) -> IovSet:
        return self - (self - other)

    def __sub__(self, other: IovSet) -> IovSet:
        return IovSet(_without(self.pieces, other.pieces))

    def gaps(self) -> IovSet:
        """The runs between the pieces; what comes before the first or after the last is no gap."""
        pairs = zip(self.pieces, self.pieces[1:], strict=False)
        between = (_piece(left.final_key + 1, right.first_key - 1) for left, right in pairs)
        return IovSet(piece for piece in between if piece is not None)


def find_overlaps(iovs: Iterable[IntervalOfValidity]) -> IovSet:
    """The runs that two or more of the intervals hold."""
    twice: list[IntervalOfValidity] = []
    reach: IntervalOfValidity | None = None  # of those seen so far, the one that reaches furthest
    for iov in sorted(iovs, key=_keys):
        common = None if reach is None else reach.intersection(iov)
        if common is not None:
            twice.append(common)
        if reach is None or iov.final_key > reach.final_key:
            reach = iov
    return IovSet(twice)


def key_of(last: Last) -> int:
    """Place of an interval's end on the line of all runs."""
    return FOREVER_KEY if last is OPEN else last.key


def just_before(run: Run) -> Last | None:
    """The end of an interval that stops right before a run; None before the very first run.

    >>> just_before(Run(5, 0))
    EndOfExp(exp=4)
    """
    return _last_at(run.key - 1) if run.key > 0 else None


_NUMBER: Final = r"(-?[0-9]{1,18})"
_RUN_TEXT: Final = re.compile(r"\s*([0-9]{1,18})\s*[:,]\s*([0-9]{1,18})\s*")
# A dash between the two runs stands free on both sides or on none: "0,0 -1,-1" could mean two things.
_IOV_TEXT: Final = re.compile(
    rf"(?:\(\s*)?{_NUMBER}\s*[:,]\s*{_NUMBER}(?:\s*,\s*|\s+-\s+|-){_NUMBER}\s*[:,]\s*{_NUMBER}(?:\s*\))?"
)


def _plain_int(number: object, run: Run) -> int:
    """An array's integer as a plain one; floats, bools and texts are no run numbers."""
    if isinstance(number, SupportsIndex) and not isinstance(number, bool):
        return index(number)
    raise BadRun((run.exp, run.run), "experiment and run are ints")


def _last_from(final_exp: int, final_run: int) -> Last:
    """An end from its numbers, already checked."""
    if final_exp == -1:
        return OPEN
    return EndOfExp(final_exp) if final_run == -1 else Run(final_exp, final_run)


def _last_at(key: int) -> Last:
    """The end at a place of the line."""
    exp, run = key >> RUN_BITS, key & _OPEN_BITS
    if exp > MAX_NUMBER:
        return OPEN
    return EndOfExp(exp) if run == _OPEN_BITS else Run(exp, run)


@lru_cache(maxsize=65_536)  # the payloads of a tag share their intervals, and a lookup reads the same ones again
def _interval_at(first_key: int, final_key: int) -> IntervalOfValidity:
    """The interval between two valid places."""
    return IntervalOfValidity(Run(first_key >> RUN_BITS, first_key & _OPEN_BITS), _last_at(final_key))


def _piece(first_key: int, final_key: int) -> IntervalOfValidity | None:
    """The interval between any two places, None when no run lies there."""
    if first_key & _OPEN_BITS == _OPEN_BITS:  # an open end's place holds no run: begin with the next experiment
        first_key += 1
    if first_key > final_key or first_key >> RUN_BITS > MAX_NUMBER:
        return None
    return _interval_at(first_key, final_key)


def _keys(iov: IntervalOfValidity) -> tuple[int, int]:
    """Both places, to sort by."""
    return iov.first_key, iov.final_key


def _join(iovs: Iterable[IntervalOfValidity]) -> Iterator[IntervalOfValidity]:
    """The same runs in order, with overlapping and neighbouring intervals made one."""
    first_key = final_key = -1
    for iov in sorted(iovs, key=_keys):
        if first_key < 0:
            first_key, final_key = iov.first_key, iov.final_key
        elif iov.first_key <= final_key + 1:
            final_key = max(final_key, iov.final_key)
        else:
            yield _interval_at(first_key, final_key)
            first_key, final_key = iov.first_key, iov.final_key
    if first_key >= 0:
        yield _interval_at(first_key, final_key)


def _without(pieces: Iterable[IntervalOfValidity], holes: Iterable[IntervalOfValidity]) -> Iterator[IntervalOfValidity]:
    """The pieces less the holes; both in order, neither overlapping itself."""
    left = list(holes)
    begin = 0  # the holes before this one end before the piece begins
    for piece in pieces:
        rest: IntervalOfValidity | None = piece
        while begin < len(left) and left[begin].final_key < piece.first_key:
            begin += 1
        for place in range(begin, len(left)):
            hole = left[place]
            if rest is None or hole.first_key > rest.final_key:
                break
            before = _piece(rest.first_key, min(rest.final_key, hole.first_key - 1))
            if before is not None:
                yield before
            rest = _piece(max(rest.first_key, hole.final_key + 1), rest.final_key)
        if rest is not None:
            yield rest
