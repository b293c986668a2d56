"""The difference of two tags: the runs for which they give out other bytes.

Rows, revisions and overlaps do not matter, only what a run gets: the difference is empty exactly when the digests of
the tags are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeAlias

from conditions.digest import effective, winning
from conditions.iov import IntervalOfValidity
from conditions.payload import Payload
from conditions.resolve import IovEntry

SHOWN_DIGITS: Final = 12  # of a checksum: enough to tell files apart


@dataclass(frozen=True, slots=True)
class Difference:
    """Runs for which two tags give out other bytes of a payload name; None where a tag gives out nothing."""

    name: str
    iov: IntervalOfValidity
    left: Payload | None
    right: Payload | None

    @property
    def word(self) -> str:
        """`added` to the right tag, `removed` from the left one, or `changed`."""
        if self.left is None:
            return "added"
        return "removed" if self.right is None else "changed"


@dataclass(frozen=True, slots=True)
class TagDiff:
    """How the right tag differs from the left one, in order of payload name and first run."""

    left: str
    right: str
    differences: tuple[Difference, ...] = ()
    same_names: tuple[str, ...] = ()  # payload names that were compared and have no difference

    @property
    def is_empty(self) -> bool:
        """Whether every run gets the same bytes from both."""
        return not self.differences

    @property
    def names(self) -> tuple[str, ...]:
        """The payload names that differ, in order."""
        return tuple(dict.fromkeys(each.name for each in self.differences))

    def only(self, fits: Callable[[str], bool]) -> TagDiff:
        """The same for the payload names that fit."""
        kept = tuple(each for each in self.differences if fits(each.name))
        return TagDiff(self.left, self.right, kept, tuple(name for name in self.same_names if fits(name)))

    def summary(self) -> str:
        """The difference in one line."""
        if self.is_empty:
            return f"{self.left} and {self.right} give out the same; payload names compared: {len(self.same_names)}"
        counts = [(word, sum(each.word == word for each in self.differences)) for word in WORDS]
        said = ", ".join(f"{count} {word}" for word, count in counts if count)
        return f"{len(self.names)} of {len(self.names) + len(self.same_names)} payload names differ: {said}"

    def lines(self) -> list[str]:
        """The difference as text, in the manner of a unified diff: what goes with a minus, what comes with a plus."""
        said = [f"--- {self.left}", f"+++ {self.right}"]
        for each in self.differences:
            said += [
                f"{sign} {payload} {each.iov} {checksum(payload)}"
                for sign, payload in (("-", each.left), ("+", each.right))
                if payload is not None
            ]
        return said

    def markdown(self) -> list[str]:
        """The difference as a table to paste into a merge request."""
        said = [f"**`{self.left}` → `{self.right}`**: {self.summary()}"]
        if self.differences:
            said += ["", f"| payload | runs | {self.left} | {self.right} |", "|---|---|---|---|"]
        for each in self.differences:
            left, right = (_cell(payload) for payload in (each.left, each.right))
            said.append(f"| `{_escaped(each.name)}` | {each.iov} | {left} | {right} |")
        return said


WORDS: Final = ("added", "removed", "changed")


def diff_rows(
    left: str,
    left_rows: Iterable[IovEntry],
    right: str,
    right_rows: Iterable[IovEntry],
    within: IntervalOfValidity | None = None,
) -> TagDiff:
    """Compare what two tags give out, run by run, by checksum.

    Args:
        left: name of the tag to compare with.
        left_rows: its rows.
        right: name of the tag that is compared.
        right_rows: its rows.
        within: only these runs.
    """
    inside = None if within is None else _plain(within)
    left_pieces, right_pieces = _pieces(left_rows, inside), _pieces(right_rows, inside)
    differences: list[Difference] = []
    names = sorted(left_pieces.keys() | right_pieces.keys(), key=str.encode)
    for name in names:
        differences += _joined(_compare(name, left_pieces.get(name, []), right_pieces.get(name, [])))
    other = {each.name for each in differences}
    return TagDiff(left, right, tuple(differences), tuple(name for name in names if name not in other))


def checksum(payload: Payload) -> str:
    """The first digits of the checksum, as they are shown; md5 where only that is known."""
    return f"sha256:{payload.sha256[:SHOWN_DIGITS]}" if payload.sha256 else f"md5:{payload.md5[:SHOWN_DIGITS]}"


def same_bytes(left: Payload | None, right: Payload | None) -> bool:
    """Whether two payloads are the same file, as far as their checksums are known."""
    if left is None or right is None:
        return left is right
    if left.sha256 and right.sha256:
        return left.sha256 == right.sha256
    return left.md5 == right.md5


_Piece: TypeAlias = tuple[IntervalOfValidity, Payload]


def _plain(iov: IntervalOfValidity) -> IntervalOfValidity | None:
    """The same runs as the digest writes them, so that the place after their end is a run; None without any."""
    for first_key, final_key, _ in winning([(iov.first_key, iov.final_key, 0, 0, None)]):
        return IntervalOfValidity.from_keys(first_key, final_key)
    return None


def _pieces(rows: Iterable[IovEntry], within: IntervalOfValidity | None) -> dict[str, list[_Piece]]:
    """What a tag gives out of each name, inside some runs."""
    found: dict[str, list[_Piece]] = {}
    for name, iov, payload in effective(rows):
        inside = iov if within is None else iov.intersection(within)
        if inside is not None:
            found.setdefault(name, []).append((inside, payload))
    return found


def _compare(name: str, left: Sequence[_Piece], right: Sequence[_Piece]) -> Iterator[Difference]:
    """Walk along both lines of runs once; a piece ends where either side's does."""
    starts = {iov.first_key for iov, _ in (*left, *right)} | {iov.final_key + 1 for iov, _ in (*left, *right)}
    at = sorted(starts)
    i = j = 0
    for first_key, following in pairwise(at):
        while i < len(left) and left[i][0].final_key < first_key:
            i += 1
        while j < len(right) and right[j][0].final_key < first_key:
            j += 1
        old = left[i][1] if i < len(left) and left[i][0].first_key <= first_key else None
        new = right[j][1] if j < len(right) and right[j][0].first_key <= first_key else None
        if not same_bytes(old, new):
            yield Difference(name, IntervalOfValidity.from_keys(first_key, following - 1), old, new)


def _joined(differences: Iterable[Difference]) -> Iterator[Difference]:
    """Neighbours that differ in the same way as one."""
    held: Difference | None = None
    for each in differences:
        if (
            held is not None
            and held.iov.final_key + 1 == each.iov.first_key
            and same_bytes(held.left, each.left)
            and same_bytes(held.right, each.right)
        ):
            iov = IntervalOfValidity.from_keys(held.iov.first_key, each.iov.final_key)
            held = Difference(each.name, iov, held.left, held.right)
            continue
        if held is not None:
            yield held
        held = each
    if held is not None:
        yield held


def _cell(payload: Payload | None) -> str:
    """One side of a row of the table."""
    return "—" if payload is None else f"r{payload.revision} `{checksum(payload)}`"


def _escaped(name: str) -> str:
    """A name that cannot end a cell or its quotes."""
    return name.replace("|", "\\|").replace("`", "'")
