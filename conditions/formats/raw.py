"""Any file: its size, its digest, and where two of them begin to differ."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Final

from conditions.formats.plugin import Format
from conditions.formats.structure import Difference, Section, number_change, section

CHUNK_BYTES: Final = 1 << 20


class RawFormat(Format):
    """What every file has."""

    name = "raw"

    def recognises(self, name: str, head: bytes) -> bool:  # noqa: ARG002
        """Every file."""
        return True

    def describe(self, path: Path) -> dict[str, Any]:
        """Size, digest and the first bytes."""
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            size_bytes = stream.tell()
            stream.seek(0)
            head = stream.read(16)
        return {"size_bytes": size_bytes, "sha256": digest, "first_bytes": head.hex(" ")}

    def compare(self, left: Path, right: Path) -> tuple[Section, ...]:
        """Size, digest, and the first byte that differs."""
        one, two = self.describe(left), self.describe(right)
        rows = [Difference("sha256", _kind(one["sha256"], two["sha256"]), one["sha256"], two["sha256"])]
        sizes = (one["size_bytes"], two["size_bytes"])
        rows.append(Difference("size_bytes", _kind(*sizes), *sizes, number_change(*sizes) if len({*sizes}) > 1 else {}))
        place = first_difference(left, right)
        if place is not None:
            rows.append(Difference(f"byte {place}", "changed", _around(left, place), _around(right, place)))
        return (section("bytes", rows),)


def first_difference(left: Path, right: Path) -> int | None:
    """Where the first byte stands that only one file has so, counted from 0; None when they are the same."""
    place = 0
    with left.open("rb") as one, right.open("rb") as two:
        while True:
            a, b = one.read(CHUNK_BYTES), two.read(CHUNK_BYTES)
            if a != b:
                shared = min(len(a), len(b))
                return place + next((n for n in range(shared) if a[n] != b[n]), shared)
            if not a:
                return None
            place += len(a)


def _around(path: Path, place: int) -> str:
    """The bytes from a place on, in hexadecimal digits."""
    with path.open("rb") as stream:
        stream.seek(place)
        return stream.read(8).hex(" ") or "end of file"


def _kind(one: object, two: object) -> Any:
    return "same" if one == two else "changed"
