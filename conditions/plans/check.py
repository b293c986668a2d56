"""What a manager should know of a tag before others use it: gaps, overlaps, payloads that cannot be handed out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from conditions.digest import winning
from conditions.iov import IntervalOfValidity, IovSet, find_overlaps
from conditions.payload import Payload
from conditions.plans.plan import by_name
from conditions.resolve import IovEntry


@dataclass(frozen=True, slots=True)
class Gap:
    """Runs between two intervals of a payload name for which the tag has none of it."""

    name: str
    iov: IntervalOfValidity

    def __str__(self) -> str:
        return f"{self.name} {self.iov}: nothing is valid there"


@dataclass(frozen=True, slots=True)
class Overlap:
    """Runs for which a tag has two or more rows of a name; `winner` is the payload that is given out.

    `is_duplicate` when all of them have the winner's revision, so that one row would do.
    """

    name: str
    iov: IntervalOfValidity
    winner: Payload
    is_duplicate: bool = False

    def __str__(self) -> str:
        if self.is_duplicate:
            return f"{self.name} {self.iov}: r{self.winner.revision} is there twice or more, a duplicate"
        return f"{self.name} {self.iov}: two or more are valid there, r{self.winner.revision} wins"


@dataclass(frozen=True, slots=True)
class PayloadFault:
    """A payload of a tag whose bytes are gone or are not what is said of them."""

    name: str
    revision: int
    reason: str

    def __str__(self) -> str:
        return f"{self.name} r{self.revision}: {self.reason}"


@dataclass(frozen=True, slots=True)
class TagCheck:
    """What was found in a tag. `payload_count` says how many payloads were verified, 0 when none was to be."""

    tag: str
    content_revision: int
    iov_count: int
    payload_count: int
    gaps: tuple[Gap, ...] = ()
    overlaps: tuple[Overlap, ...] = ()
    faults: tuple[PayloadFault, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not (self.gaps or self.overlaps or self.faults)


def find_gaps(rows: Iterable[IovEntry]) -> Iterator[Gap]:
    """The runs between intervals of a name; what comes before the first or after the last is no gap."""
    for name, of_name in by_name(rows).items():
        for iov in IovSet(row.iov for row in of_name).gaps():
            yield Gap(name, iov)


def find_name_overlaps(rows: Iterable[IovEntry]) -> Iterator[Overlap]:
    """The runs that two or more rows of a name hold, cut by who wins there, in order of name and run."""
    for name, of_name in by_name(rows).items():
        twice = find_overlaps(row.iov for row in of_name)
        if not twice:
            continue
        of_two = find_overlaps(_of_each_revision(of_name))
        found = [Overlap(name, *won) for won in _winners(of_name, of_two.pieces)]
        found += [Overlap(name, *won, is_duplicate=True) for won in _winners(of_name, (twice - of_two).pieces)]
        yield from sorted(found, key=lambda each: each.iov.first_key)


def _of_each_revision(rows: Iterable[IovEntry]) -> Iterator[IntervalOfValidity]:
    """The runs of each revision, so that two of them overlap only where different revisions do."""
    held: dict[int, list[IntervalOfValidity]] = {}
    for row in rows:
        held.setdefault(row.payload.revision, []).append(row.iov)
    for iovs in held.values():
        yield from IovSet(iovs)


def _winners(
    rows: Sequence[IovEntry], pieces: Sequence[IntervalOfValidity]
) -> Iterator[tuple[IntervalOfValidity, Payload]]:
    """Who wins where inside the pieces; rows, winners and pieces are in order of runs and walked along once."""
    won = winning(
        (row.iov.first_key, row.iov.final_key, row.payload.revision, row.id, row.payload.revision) for row in rows
    )
    payloads = {row.payload.revision: row.payload for row in rows}
    place = 0
    for first_key, final_key, revision in won:
        held = IntervalOfValidity.from_keys(first_key, final_key)
        while place < len(pieces) and pieces[place].final_key < first_key:
            place += 1
        ahead = place
        while ahead < len(pieces) and pieces[ahead].first_key <= final_key:
            common = held.intersection(pieces[ahead])
            if common is not None:
                yield common, payloads[revision]
            ahead += 1
        place = max(place, ahead - 1)
