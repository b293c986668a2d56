"""Builders of the smallest things a conditions store can hold."""

from __future__ import annotations

import io

from conditions.iov import IntervalOfValidity
from conditions.payload import Payload
from conditions.resolve import IovEntry
from conditions.store.session import Store
from conditions.tags import Tag, TagState

ALWAYS = IntervalOfValidity.always()
WAY_TO_PUBLISHED = (TagState.TESTING, TagState.VALIDATED, TagState.PUBLISHED)


def upload_text(store: Store, name: str = "gain.txt", text: str = "1.5") -> Payload:
    """A payload whose bytes are this text."""
    return store.upload(name, io.BytesIO(text.encode()))


def tag_with(store: Store, tag: str, *names: str, iov: str = "always") -> list[IovEntry]:
    """A new OPEN tag in which each name has one payload, holding its name, for one interval."""
    store.create_tag(tag)
    interval = IntervalOfValidity.parse(iov)
    return [store.add_iov(tag, name, upload_text(store, name, name).revision, interval) for name in names]


def publish(store: Store, tag: str) -> Tag:
    """Walk an OPEN tag to PUBLISHED."""
    for state in WAY_TO_PUBLISHED:
        store.set_state(tag, state)
    return store.get_tag(tag)
