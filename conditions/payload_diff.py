"""Two payloads side by side: what is known about their files, their metadata and metrics, and what is inside them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conditions.errors import BadSource
from conditions.formats import Comparison, compare
from conditions.formats.structure import Difference, Section, differences, number_change, plain, section
from conditions.payload import Payload


@dataclass(frozen=True)
class Side:
    """One of the two: a revision in a store, or a local file when there is no payload."""

    label: str
    path: Path
    sha256: str
    size_bytes: int
    name: str
    payload: Payload | None = None

    @classmethod
    def of_payload(cls, payload: Payload, path: Path, where: str = "") -> Side:
        """A revision whose verified file lies at a path; `where` says how it was found."""
        label = f"{payload.name}@{payload.revision}{f' ({where})' if where else ''}"
        return cls(label, path, payload.sha256, payload.size_bytes, payload.name, payload)

    @classmethod
    def of_file(cls, path: Path) -> Side:
        """A local file.

        Raises:
            BadSource: it cannot be read.
        """
        try:
            with path.open("rb") as stream:
                sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
                size_bytes = stream.tell()
        except OSError as error:
            raise BadSource(path, error.strerror or str(error)) from error
        return cls(f"file {path}", path, sha256, size_bytes, path.name)

    def facts(self) -> dict[str, Any]:
        """What is known without a look inside."""
        facts: dict[str, Any] = {"sha256": self.sha256, "size_bytes": self.size_bytes}
        if self.payload is not None:
            made = f"{self.payload.created_at:%Y-%m-%d %H:%M:%S}"
            facts |= {"name": self.payload.name, "revision": self.payload.revision, "md5": self.payload.md5}
            facts |= {"created_at": made, "created_by": self.payload.created_by}
        return facts


@dataclass(frozen=True)
class PayloadDiff:
    """All that differs between two payloads."""

    left: Side
    right: Side
    facts: Section
    metadata: Section
    content: Comparison

    @property
    def same_bytes(self) -> bool:
        """Whether both are the same file; what was written about them may differ all the same."""
        return self.left.sha256 == self.right.sha256

    @property
    def is_same(self) -> bool:
        """Whether bytes and metadata are the same."""
        return self.same_bytes and self.metadata.is_same

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "left": {"label": self.left.label, **self.left.facts()},
            "right": {"label": self.right.label, **self.right.facts()},
            "same": self.is_same,
            "same_bytes": self.same_bytes,
            "format": self.content.format,
            "facts": self.facts.as_dict(),
            "metadata": self.metadata.as_dict(),
            "content": [part.as_dict() for part in self.content.sections],
            "notes": list(self.content.notes),
            "problems": list(self.content.problems),
        }


def diff_payloads(left: Side, right: Side) -> PayloadDiff:
    """Compare two payloads, or a payload and a local file; a file has no metadata to compare."""
    one, two = left.facts(), right.facts()
    facts = section("facts", (_fact(name, one[name], two[name]) for name in one if name in two), keep_same=True)
    known = left.payload is not None and right.payload is not None
    noted = [dict(side.payload.metadata) if known and side.payload is not None else {} for side in (left, right)]
    return PayloadDiff(
        left,
        right,
        facts,
        section("metadata", differences(noted[0], noted[1]), keep_same=True) if any(noted) else Section("metadata", ()),
        compare(left.path, right.path, left.name, right.name),
    )


def _fact(name: str, left: Any, right: Any) -> Difference:
    if left == right:
        return Difference(name, "same", plain(left), plain(right))
    is_count = isinstance(left, int) and isinstance(right, int) and name != "revision"
    return Difference(name, "changed", plain(left), plain(right), number_change(left, right) if is_count else {})
