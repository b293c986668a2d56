"""Many changes that are kept together or not at all: payloads, their intervals in a tag, and the tag's state."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from conditions.errors import BadInputError
from conditions.iov import IntervalOfValidity
from conditions.payload import Payload, check_payload_name, check_text
from conditions.tags import Tag, TagState, check_tag_name, check_tag_type

_USUAL_TYPE: Final = "DEV"
_MD5: Final = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class NewPayload:
    """A file or stream to keep as the next revision of a name; `md5` is what its bytes must have, if it is known."""

    name: str
    source: Path | BinaryIO
    metadata: Mapping[str, Any] = field(default_factory=dict, hash=False)
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class NewIov:
    """A payload for an interval of runs.

    `revision` None means the revision of that name that comes with the batch (the last one, when several do), else
    the latest there is. `md5` names it by its bytes instead: the payload of that name, coming with the batch or there
    already, that has them; so several revisions of one name can come with one batch.
    """

    name: str
    iov: IntervalOfValidity
    revision: int | None = None
    md5: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """What is to be done in one transaction: keep all payloads, add all IoVs, walk the tag to its state.

    Args:
        tag: the tag that gets the IoVs; None when there are payloads only.
        payloads: files to keep; bytes that a name has already keep their revision.
        iovs: rows to add; those that are there already stay.
        create: make the tag when it is not there, with this description and type.
        state: where the tag is walked to after that, every step with its own line in the audit; None leaves it.
        expected_revision: the tag's content revision that the batch was made for; another one refuses it.
    """

    tag: str | None
    payloads: tuple[NewPayload, ...] = ()
    iovs: tuple[NewIov, ...] = ()
    create: bool = False
    description: str = ""
    type: str = _USUAL_TYPE
    state: TagState | None = None
    expected_revision: int | None = None


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What came of a batch: the tag as it is now, the payloads in the order given, how many rows are new."""

    tag: Tag | None
    payloads: tuple[Payload, ...]
    n_added: int


def check_batch(batch: Batch) -> None:
    """Refuse what cannot be meant, before any byte is kept.

    Raises:
        BadInputError: a name, type, description or md5 is refused, or a tag is missing.
    """
    if batch.tag is None:
        asked = [word for word, given in _needs_tag(batch).items() if given]
        if asked:
            raise BadInputError(f"a batch without a tag has payloads only, but this one has {', '.join(asked)}")
    elif not batch.create and (batch.description or batch.type != _USUAL_TYPE):
        raise BadInputError(
            f"a batch describes only a tag that it makes: say create, or change {batch.tag!r} by itself (tag modify)"
        )
    elif batch.create:
        check_tag_name(batch.tag)
        check_text("description", batch.description)
        check_tag_type(batch.type)
    for payload in batch.payloads:
        check_payload_name(payload.name)
        if payload.md5 is not None:
            check_md5(payload.md5)
    for iov in batch.iovs:
        check_payload_name(iov.name)
        if iov.md5 is not None:
            check_md5(iov.md5)
            if iov.revision is not None:
                raise BadInputError(f"an IoV of {iov.name!r} names its payload twice, by revision and by md5: give one")


def check_md5(md5: str) -> str:
    """The digest itself, in lower case.

    Raises:
        BadInputError: it is not 32 hexadecimal digits.
    """
    if _MD5.fullmatch(md5.lower()) is None:
        raise BadInputError(f"{md5!r} is no md5: write 32 hexadecimal digits")
    return md5.lower()


def _needs_tag(batch: Batch) -> dict[str, bool]:
    """What only a tag can have, and whether the batch asks for it."""
    return {
        "IoVs": bool(batch.iovs),
        "a state": batch.state is not None,
        "an expected revision": batch.expected_revision is not None,
        "a tag to create": batch.create,
        "a description": bool(batch.description),
        "a type": batch.type != _USUAL_TYPE,
    }
