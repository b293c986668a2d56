"""Do the payload folder and the rows agree?"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from conditions.errors import PayloadCorrupt, PayloadLost, StoreUnavailable
from conditions.payload import Payload
from conditions.store.files import PayloadFiles


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found: files without a row, what died half-way, rows whose file is gone or holds other bytes."""

    payload_count: int
    orphans: tuple[Path, ...]
    leftovers: tuple[Path, ...]
    missing: tuple[Payload, ...]
    corrupt: tuple[Payload, ...]
    repaired: bool  # orphans and leftovers were removed

    @property
    def ok(self) -> bool:
        """Whether every payload can be handed out and nothing lies about."""
        return not (self.missing or self.corrupt) and (self.repaired or not (self.orphans or self.leftovers))


def check_files(
    files: PayloadFiles, read_payloads: Callable[[], Sequence[Payload]], unfinished: Sequence[Path], *, repair: bool
) -> CheckReport:
    """Compare all files with all rows; a repair removes what no row speaks of, and nothing else.

    No upload is under way while files and rows are listed, so a file without a row then is one that nobody will
    write a row for. The bytes are read afterwards: payloads never change.
    """
    with files.checking():
        payloads = read_payloads()
        known = {payload.sha256 for payload in payloads}
        orphans = tuple(path for digest, path in files.digests() if digest not in known)
        leftovers = (*files.leftovers(), *unfinished)
        if repair:
            for path in (*orphans, *leftovers):
                _remove(path)
    missing: list[Payload] = []
    corrupt: list[Payload] = []
    for payload in payloads:
        try:
            files.verified_path(payload)
        except PayloadLost:
            missing.append(payload)
        except PayloadCorrupt:
            corrupt.append(payload)
    return CheckReport(len(payloads), orphans, leftovers, tuple(missing), tuple(corrupt), repair)


def _remove(path: Path) -> None:
    """Remove one file or folder; somebody may have removed it already."""
    try:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise StoreUnavailable(path, error.strerror or str(error)) from error
