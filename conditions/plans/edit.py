"""Copy, modify and delete: changes of many rows at once, chosen by name, run range, revision or number."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from conditions.errors import BadInputError, BadInterval, IovNotFound
from conditions.iov import IntervalOfValidity, Last, Run
from conditions.payload import Payload
from conditions.plans.plan import Plan, Wanted, plan_for
from conditions.resolve import IovEntry


@dataclass(frozen=True, slots=True)
class IovFilter:
    """Which rows of a tag are meant: those that every given part fits. Without any part, all.

    Args:
        glob: the payload's name, with `*` and `?`.
        regex: a regular expression that matches the whole name.
        within: the row shares a run with this interval.
        contained: all runs of the row lie in `within`.
        cut: of a row that reaches out of `within`, only the part inside is meant.
        revision: the payload's revision.
        ids: the numbers of the rows.
    """

    glob: str | None = None
    regex: str | None = None
    within: IntervalOfValidity | None = None
    contained: bool = False
    cut: bool = False
    revision: int | None = None
    ids: frozenset[int] | None = None

    def __post_init__(self) -> None:
        if (self.contained or self.cut) and self.within is None:
            raise BadInputError("`contained` and `cut` say how to take a range of runs: give `within`, too")
        if self.contained and self.cut:
            raise BadInputError("`contained` takes whole rows and `cut` takes parts: give one of them")
        if self.regex is not None:
            try:
                re.compile(self.regex)
            except re.error as error:
                raise BadInputError(f"{self.regex!r} is no regular expression: {error}") from error

    @property
    def takes_all(self) -> bool:
        """Whether every row is meant."""
        return self == IovFilter()

    def choose(self, tag: str, rows: Iterable[IovEntry]) -> list[IovEntry]:
        """The rows that are meant.

        Raises:
            IovNotFound: a row was meant by its number, and the tag has no such row.
        """
        rows = list(rows)
        if self.ids is not None:
            missing = self.ids.difference(row.id for row in rows)
            if missing:
                raise IovNotFound(tag, min(missing))
        fits = self._name_test()
        return [row for row in rows if self._fits_row(row) and fits(row.payload.name)]

    def inside(self, iov: IntervalOfValidity) -> IntervalOfValidity:
        """The part of a chosen row's interval that is meant."""
        if not self.cut or self.within is None:
            return iov
        return iov.intersection(self.within) or iov

    def _fits_row(self, row: IovEntry) -> bool:
        if self.ids is not None and row.id not in self.ids:
            return False
        if self.revision is not None and row.payload.revision != self.revision:
            return False
        if self.within is None:
            return True
        if self.contained:
            return self.within.first_key <= row.iov.first_key and row.iov.final_key <= self.within.final_key
        return row.iov.intersection(self.within) is not None

    def _name_test(self) -> Callable[[str], bool]:
        """Whether a name fits; asked once for each name."""
        # A bracket stands for itself, as in lists: payload names may hold some.
        like = None if self.glob is None else re.compile(fnmatch.translate(self.glob.replace("[", "[[]")))
        tests = [test for test in (like, None if self.regex is None else re.compile(self.regex)) if test is not None]
        known: dict[str, bool] = {}

        def fits(name: str) -> bool:
            if name not in known:
                known[name] = all(test.fullmatch(name) for test in tests)
            return known[name]

        return fits


@dataclass(frozen=True, slots=True)
class IovEdit:
    """What the chosen rows become: another interval, or another first or last run; another revision.

    Args:
        iov: the new interval.
        first: the new first run; the end stays.
        last: the new end; the first run stays.
        revision: the new revision of the same payload.
    """

    iov: IntervalOfValidity | None = None
    first: Run | None = None
    last: Last | None = None
    revision: int | None = None

    def __post_init__(self) -> None:
        if not self.changes_runs and self.revision is None:
            raise BadInputError("nothing to change: give an interval, a first or last run, or a revision")
        if self.iov is not None and (self.first is not None or self.last is not None):
            raise BadInputError("a whole interval says its first and last run itself: give one or the other")

    @property
    def changes_runs(self) -> bool:
        """Whether rows get other intervals."""
        return self.iov is not None or self.first is not None or self.last is not None

    def interval(self, row: IovEntry, part: IntervalOfValidity) -> IntervalOfValidity:
        """The new interval of a row, or of the part of it that is meant."""
        if self.iov is not None:
            return self.iov
        first = part.first if self.first is None else self.first
        last = part.last if self.last is None else self.last
        try:
            return IntervalOfValidity(first, last)
        except BadInterval as error:
            raise BadInterval(f"{row.payload} {row.iov}", "its new first run comes after its last") from error


def plan_copy(
    source: tuple[str, Sequence[IovEntry]],
    target: tuple[str, int, Sequence[IovEntry]],
    chosen: IovFilter,
    to: IntervalOfValidity | None = None,
) -> Plan:
    """Add chosen rows of one tag to another one, which may be the same; rows that are there already stay.

    Args:
        source: name and rows of the tag to copy from.
        target: name, content revision and rows of the tag to copy to.
        chosen: which rows.
        to: the interval that every copy gets, instead of its own.
    """
    source_name, source_rows = source
    name, base_revision, rows = target
    copies: list[Wanted] = [
        (row.payload, chosen.inside(row.iov) if to is None else to, None)
        for row in chosen.choose(source_name, source_rows)
    ]
    return plan_for(name, base_revision, rows, [*_as_they_are(rows), *copies])


def plan_modify(
    target: tuple[str, int, Sequence[IovEntry]],
    chosen: IovFilter,
    edit: IovEdit,
    replacements: Mapping[str, Payload] | None = None,
) -> Plan:
    """Give chosen rows other intervals or another revision.

    Args:
        target: name, content revision and rows of the tag.
        chosen: which rows.
        edit: what they become.
        replacements: for a new revision, the payload of each chosen name.

    Raises:
        BadInterval: a row's new first run would come after its last.
        BadInputError: parts of rows (`cut`) can get another revision only.
    """
    name, base_revision, rows = target
    if chosen.cut and edit.changes_runs:
        raise BadInputError("a part of a row (`cut`) can get another revision, but no other runs")
    meant = {row.id for row in chosen.choose(name, rows)}
    wanted: list[Wanted] = []
    for row in rows:
        if row.id not in meant:
            wanted.append((row.payload, row.iov, row.id))
            continue
        part = chosen.inside(row.iov)
        payload = row.payload if replacements is None else replacements[row.payload.name]
        rest = [(row.payload, piece, row.id) for piece in row.iov.difference(part)]
        wanted.append((payload, edit.interval(row, part), row.id))
        wanted += rest
    return plan_for(name, base_revision, rows, wanted)


def plan_delete(target: tuple[str, int, Sequence[IovEntry]], chosen: IovFilter) -> Plan:
    """Take chosen rows, or the chosen part of each, out of a tag.

    Args:
        target: name, content revision and rows of the tag.
        chosen: which rows.
    """
    name, base_revision, rows = target
    meant = {row.id for row in chosen.choose(name, rows)}
    kept = _as_they_are(row for row in rows if row.id not in meant)
    rest = (
        (row.payload, piece, row.id)
        for row in rows
        if row.id in meant
        for piece in row.iov.difference(chosen.inside(row.iov))
    )
    return plan_for(name, base_revision, rows, [*kept, *rest])


def _as_they_are(rows: Iterable[IovEntry]) -> Iterator[Wanted]:
    """Rows that stay."""
    return ((row.payload, row.iov, row.id) for row in rows)
