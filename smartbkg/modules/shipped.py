"""The filters that came along with this installation, as conditions: what jobs fall back on, and what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conditions import Bundled, Run
from conditions.offline.locations import PayloadFolder
from conditions.offline.snapshot import SnapshotSource
from conditions.payload import Payload
from smartbkg.defaults import PAYLOADS, TAGS, shipped_snapshot, size_bytes
from smartbkg.errors import DefaultsDamaged

WHAT = "the defaults of this installation"


def bundled_defaults() -> Bundled | None:
    """What jobs of this process may fall back on; None when it is switched off, or nothing came along."""
    path = shipped_snapshot()
    return None if path is None else Bundled(path, TAGS, WHAT)


@dataclass(frozen=True)
class ShippedPayload:
    """A payload of a snapshot, and the tag it is in."""

    tag: str
    payload: Payload


@dataclass(frozen=True)
class Shipped:
    """What a snapshot holds.

    Attributes:
        path: the snapshot.
        tags: state and digest of each tag, in plain values.
        payloads: of the very first run, by tag and name.
    """

    path: Path
    tags: Mapping[str, Mapping[str, Any]]
    payloads: tuple[ShippedPayload, ...]

    def verify(self, max_bytes: int, *, evaluated: bool = False) -> int:
        """Compare the bytes of all payloads with their digests.

        Args:
            max_bytes: that all may take together.
            evaluated: whether each payload must say what it is worth.

        Returns:
            The bytes of all.

        Raises:
            PayloadNotHere: a payload's file is not there, or holds other bytes.
            BadSnapshot: the snapshot is damaged.
            DefaultsDamaged: a tag is missing or not published, a payload was not evaluated, or all is too large.
        """
        with SnapshotSource(self.path) as source:
            source.check()
            for each in self.payloads:
                source.payload_path(each.payload)
        lacking = [tag for tag in TAGS if self.tags.get(tag, {}).get("state") != "PUBLISHED"]
        if lacking:
            raise DefaultsDamaged(self.path, f"{' and '.join(lacking)} should be published there")
        silent = [
            str(each.payload) for each in self.payloads if evaluated and "evaluation" not in each.payload.metadata
        ]
        if silent:
            raise DefaultsDamaged(self.path, f"nobody evaluated {', '.join(silent)}, or only other files of that name")
        size = size_bytes(self.path.parent)
        if size > max_bytes:
            raise DefaultsDamaged(
                self.path, f"it takes {size} bytes with its payloads, at most {max_bytes} are shipped"
            )
        return size

    def file_of(self, payload: Payload) -> Path | None:
        """The file of a payload, its bytes compared; None when it is not there."""
        return PayloadFolder(self.path.parent / PAYLOADS).find(payload)


def read_shipped(path: Path) -> Shipped:
    """Read a snapshot of defaults.

    Raises:
        StoreError: it is not there, damaged, or no snapshot.
    """
    with SnapshotSource(path) as source:
        tags = {tag.facts.name: tag for tag in source.tags()}
        payloads = [
            ShippedPayload(name, won.payload)
            for name in tags
            for _, won in sorted(source.resolve_many([name], [Run(0, 0)])[Run(0, 0)].items())
        ]
    told = {name: {"state": tag.facts.state.value, "digest": tag.digest} for name, tag in tags.items()}
    return Shipped(path, told, tuple(payloads))
