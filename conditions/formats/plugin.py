"""What a format must be able to do; a plugin subclasses `Format` and is named by an entry point."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar

from conditions.formats.structure import Section


class Format(ABC):
    """One kind of payload file.

    A format reads files, never runs what is in them, and raises `PayloadUnreadable` for a file that is not what it
    claims to be. An entry point of the group `conditions.formats` names a subclass that is made without arguments.
    """

    name: ClassVar[str]

    @abstractmethod
    def recognises(self, name: str, head: bytes) -> bool:
        """Whether a file is of this kind, by its name and its first 4096 bytes."""

    @abstractmethod
    def describe(self, path: Path) -> dict[str, Any]:
        """What is in a file, as plain JSON values."""

    @abstractmethod
    def compare(self, left: Path, right: Path) -> tuple[Section, ...]:
        """What differs between two files of this kind."""

    def missing(self) -> str | None:
        """A sentence about what must be installed before such files can be read; None when all is there."""
        return None
