"""Taking tags along: their rows into a snapshot, their payload files into a folder."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from conditions.digest import tag_digest
from conditions.errors import NotSaved, StoreBusy
from conditions.iov import IntervalOfValidity
from conditions.offline.locations import Layout, PayloadFolder
from conditions.offline.writer import TagContent
from conditions.payload import Payload
from conditions.resolve import IovEntry, TagFacts
from conditions.tags import Tag, TagState, check_usable

READS: Final = 5  # of a tag that changes meanwhile


class TagReader(Protocol):
    """What a download asks for; a store and a server's client have it."""

    @property
    def url(self) -> str:
        """Where it is, for messages."""
        ...

    def get_tag(self, name: str) -> Tag:
        """The tag of that name."""
        ...

    def list_iovs(self, tag: str, *, within: IntervalOfValidity | None = None) -> list[IovEntry]:
        """Rows of a tag."""
        ...

    def tag_facts(self, stack: Sequence[str] | str) -> tuple[TagFacts, ...]:
        """State and digest of tags."""
        ...

    def payload_path(self, payload: Payload) -> Path:
        """A local file with the payload's bytes, verified."""
        ...


@dataclass
class FilesWritten:
    """What became of payload files."""

    n_written: int = 0
    n_there: int = 0


def read_tag(
    source: TagReader,
    name: str,
    *,
    runs: IntervalOfValidity | None = None,
    allow_open: bool = False,
    known: Container[str] = (),
) -> TagContent:
    """A tag at one moment, also when it is being changed.

    Args:
        source: where it is read.
        name: the tag.
        runs: only what is about these runs.
        allow_open: whether an OPEN tag may be taken along.
        known: tags that the snapshot has already; these are read although they are INVALID by now, so that the
            snapshot learns of it.

    Raises:
        TagNotUsable: it is INVALID, or OPEN and not allowed to be.
        StoreBusy: it changed every time that it was read.
        NotSaved: it is published, and its rows are not those that were published.
    """
    for _ in range(READS):
        tag = source.get_tag(name)
        if not (tag.state is TagState.INVALID and name in known):
            check_usable(name, tag.state, allow_open=allow_open)
        entries = source.list_iovs(name, within=runs)
        after = source.get_tag(name)
        if (after.id, after.state, after.content_revision) == (tag.id, tag.state, tag.content_revision):
            break
    else:
        raise StoreBusy(f"tag {name!r}", f"it changed each of the {READS} times it was read")
    if runs is not None:
        return TagContent(tag, entries, runs)
    digest = tag_digest(entries) if all(entry.payload.sha256 for entry in entries) else None
    published = source.tag_facts((name,))[0].digest
    if None not in (published, digest) and published != digest:
        reason = f"its rows have the digest {digest}, it was published with {published}"
        raise NotSaved(f"tag {name!r}", reason)
    return TagContent(tag, entries, None, digest)


def keep_payloads(
    source: TagReader,
    payloads: Sequence[Payload],
    folder: PayloadFolder,
    layout: Layout,
    tell: Callable[[int, int], None] | None = None,
) -> FilesWritten:
    """Put payload files into a folder, unless they are there already; each file appears complete or not at all.

    Raises:
        PayloadFileError: the source has not the bytes that it should have.
        NotSaved: the folder cannot be written.
    """
    files = FilesWritten()
    for done, payload in enumerate(payloads, 1):
        if folder.has(payload, layout):
            files.n_there += 1
        else:
            folder.keep(payload, source.payload_path(payload), layout)
            files.n_written += 1
        if tell is not None:
            tell(done, len(payloads))
    return files


def payloads_of(content: TagContent) -> list[Payload]:
    """Each payload of a tag once, in order of its number."""
    return [payload for _, payload in sorted({entry.payload.id: entry.payload for entry in content.entries}.items())]
