"""A tag's rows as a store reads them in bulk, without a store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from conditions.resolve import TagFacts
from conditions.store.index_rows import IOV, PAYLOAD, TagRows
from conditions.tags import TagState

Row = tuple[str, int, int, int]  # payload name, revision, first and final key
NOON = int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000


def tag_rows(
    rows: Sequence[Row],
    *,
    people: Sequence[str] = ("ada", "ben"),
    first_id: int = 1,
    times: Sequence[int] = (NOON,),
    tag: str = "t",
) -> TagRows:
    """The rows in the order given; ids count up, people and times take turns."""
    names = sorted({name for name, *_ in rows})
    kinds = sorted({(names.index(name), revision) for name, revision, *_ in rows})
    payloads = np.zeros(len(kinds), dtype=PAYLOAD)
    for place, (name, revision) in enumerate(kinds):
        digest = hashlib.sha256(f"{name} {revision}".encode()).digest()
        payloads[place] = (
            first_id + place,
            name,
            revision,
            100 + place,
            times[place % len(times)],
            place % len(people),
            digest[:16],
            digest,
        )
    iovs = np.zeros(len(rows), dtype=IOV)
    for place, (name, revision, first, final) in enumerate(rows):
        payload = first_id + kinds.index((names.index(name), revision))
        at = times[place % len(times)]
        iovs[place] = (first_id + place, payload, first, final, at, at, place % len(people))
    facts = TagFacts(tag, TagState.PUBLISHED, 3, None, 7)
    return TagRows("0" * 32, facts, iovs, payloads, names, sorted(people))
