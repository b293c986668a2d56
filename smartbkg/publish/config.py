"""Where trained files go, and what is there afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from conditions import IntervalOfValidity, Payload, Tag, TagState


@dataclass(frozen=True)
class PublishConfig:
    """Where a trained network goes.

    Attributes:
        tag: made when it is not there; None for the one that modules ask by default.
        iov: the runs it is valid for.
        state: where the tag is moved afterwards; None leaves it.
        description: of the tag, if it is made; None for the usual one.
        metadata: more to keep with the payloads, beside metrics and provenance.
    """

    tag: str | None = None
    iov: IntervalOfValidity = field(default_factory=IntervalOfValidity.always)
    state: TagState | None = None
    description: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


BY_DEFAULT: Final = PublishConfig()


@dataclass(frozen=True)
class Publication:
    """What is in the store now.

    Attributes:
        payloads: all files of the training, the one that the others are made of first.
        tag: with its state.
        n_added: rows of the tag that were not there before; 0 when the same was published already.
        hidden_by: the revision of the first payload that wins for the first run instead; None when these win.
    """

    payloads: tuple[Payload, ...]
    tag: Tag
    n_added: int
    hidden_by: int | None
