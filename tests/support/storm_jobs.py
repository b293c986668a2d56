"""What readers in other processes do while many write to one tag. Arguments and results are plain values."""

from __future__ import annotations

from conditions.iov import Run
from conditions.resolve import Held
from conditions.store.session import open_store
from conditions.tags import TagState

RUN = Run(0, 0)


def read_until_published(url: str, files: str, tag: str) -> tuple[int, list[str]]:
    """Resolve a run again and again until the tag is published; how often, and what was wrong about an answer.

    The content that an answer says it was made from is resolved once more by its revision.
    """
    faults = []
    with open_store(url, files) as store:
        for count in range(1, 1_000_000):
            before = store.tag_facts([tag])[0].content_revision
            held = store.resolve_held([tag], RUN, allow_open=True)
            (facts,) = held.tags
            then = store.resolve_held([f"{tag}@{facts.content_revision}"], RUN, allow_open=True)
            if facts.content_revision < before:
                faults.append(f"revision {facts.content_revision} after {before} was seen")
            if winners(held) != winners(then):
                faults.append(f"revision {facts.content_revision} is {held.answer}, and was {then.answer}")
            if facts.state is TagState.PUBLISHED:
                return count, faults
    raise AssertionError("the tag was never published")


def winners(held: Held) -> dict[str, tuple[int, str]]:
    """Revision and interval by payload name."""
    return {name: (found.payload.revision, str(found.iov)) for name, found in held.answer.items()}
