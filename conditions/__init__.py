"""Which file holds for which run: payloads, their intervals of validity, and tags.

with conditions.open(stack="mc16") as client:
    path = client.path(client.get("GATGAPgen.pth", conditions.Run(7, 120)))
"""

from __future__ import annotations

from collections.abc import Sequence

from conditions.client import Client
from conditions.client.stack import stack_in_force
from conditions.errors import (
    BadInputError,
    ConditionsError,
    NoPayloadForRun,
    NotFoundError,
    PayloadCorrupt,
    PayloadFileError,
    RefusedError,
    StoreError,
)
from conditions.iov import OPEN, EndOfExp, IntervalOfValidity, IovSet, Run
from conditions.payload import Payload
from conditions.resolve import Resolved
from conditions.tags import Tag, TagState

__all__ = [
    "OPEN",
    "BadInputError",
    "Client",
    "ConditionsError",
    "EndOfExp",
    "IntervalOfValidity",
    "IovSet",
    "NoPayloadForRun",
    "NotFoundError",
    "Payload",
    "PayloadCorrupt",
    "PayloadFileError",
    "RefusedError",
    "Resolved",
    "Run",
    "StoreError",
    "Tag",
    "TagState",
    "open",
]


def open(  # noqa: A001 - read as conditions.open
    where: str | None = None,
    stack: Sequence[str] | str | None = None,
    user: str | None = None,
    *,
    allow_open: bool = False,
) -> Client:
    """A client of the conditions kept at a place.

    Args:
        where: database URL or path of a store; None means `CONDITIONS_URL`, else the user's own store.
        stack: names of tags, the first one wins; None means `CONDITIONS_TAGS`, else `BELLE2_CONDB_GLOBALTAG`.
        user: on whose behalf; None means the user of this process.
        allow_open: whether tags that can still change may be used.
    """
    from conditions.store import open_store  # loads sqlalchemy, which a remote source would not need

    return Client(open_store(where, user=user), stack_in_force() if stack is None else stack, allow_open=allow_open)
