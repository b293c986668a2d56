"""Do the payload folder and the rows agree?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from conditions.errors import FilesNotOurs, PayloadCorrupt, PayloadLost
from conditions.payload import Payload
from conditions.store.files import remove_path
from conditions.store.owner import Owner
from conditions.store.places import Files, Place


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found: files without a row, what died half-way, rows whose file is gone or holds other bytes."""

    payload_count: int
    orphans: tuple[Place, ...]
    leftovers: tuple[Place, ...]
    missing: tuple[Payload, ...]
    corrupt: tuple[Payload, ...]
    repaired: bool  # orphans and leftovers were removed
    store_id: str
    folder: str  # whose it is, in words

    @property
    def ok(self) -> bool:
        """Whether every payload can be handed out and nothing lies about."""
        return not (self.missing or self.corrupt) and (self.repaired or not (self.orphans or self.leftovers))


@dataclass(frozen=True, slots=True)
class _Found:
    """What lies in a folder, against the rows of a store."""

    known_count: int
    lost_count: int
    orphans: tuple[Place, ...]
    leftovers: tuple[Place, ...]

    @property
    def reason_against_adoption(self) -> str | None:
        """Why a folder that is nobody's may be another store's; None when it must be this one's."""
        if self.lost_count:
            return f"{self.lost_count} of this store's {self.known_count + self.lost_count} payload files are not in it"
        if self.orphans and not self.known_count:
            return f"this store has no payload, and {len(self.orphans)} payload files are in it"
        return None


def check_files(owner: Owner, unfinished: Sequence[Path], *, repair: bool) -> CheckReport:
    """Compare all files with all rows; a repair removes what no row speaks of, and nothing else.

    No upload is under way while files and rows are listed, so a file without a row then is one that nobody will
    write a row for. The bytes are read afterwards: payloads never change.

    Raises:
        FilesNotOurs: the folder is another store's; or it is nobody's, a repair would remove something, and not
            every payload is there to show that it is this store's.
    """
    files = owner.files
    with owner.checking():
        payloads = owner.read_payloads()
        found = _compare(files, payloads)
        folder = _folder_says(owner, found, repair=repair)
        if repair:
            for place in (*found.orphans, *found.leftovers):
                files.remove(place)
            for path in unfinished:
                remove_path(path)
    missing: list[Payload] = []
    corrupt: list[Payload] = []
    for payload in payloads:
        try:
            files.verify(payload)
        except PayloadLost:
            missing.append(payload)
        except PayloadCorrupt:
            corrupt.append(payload)
    leftovers = (*found.leftovers, *unfinished)
    return CheckReport(
        len(payloads), found.orphans, leftovers, tuple(missing), tuple(corrupt), repair, owner.store_id, folder
    )


def _compare(files: Files, payloads: Sequence[Payload]) -> _Found:
    """What lies in the folder, by name only."""
    known = {payload.sha256 for payload in payloads}
    there = dict(files.digests())
    orphans = tuple(place for digest, place in there.items() if digest not in known and files.is_settled(place))
    return _Found(len(known & there.keys()), len(known - there.keys()), orphans, tuple(files.leftovers()))


def _folder_says(owner: Owner, found: _Found, *, repair: bool) -> str:
    """Whose the folder is, in words; a repair makes one that is nobody's this store's, or refuses to touch it."""
    if owner.owns():
        return "this store's"
    if not (found.known_count or found.orphans or found.leftovers):
        return "nobody's yet, and empty"
    reason = found.reason_against_adoption
    if reason is not None and repair and (found.orphans or found.leftovers):
        raise FilesNotOurs(owner.files.where, None, owner.store_id, reason)
    if reason is not None:
        return f"nobody's yet, and no repair will touch it, for {reason}"
    if repair:
        owner.claim()
        return "this store's from now on"
    kept, removed = found.known_count, len(found.orphans) + len(found.leftovers)
    return f"nobody's yet; a repair makes it this store's, keeps {kept} files there and removes {removed}"
