"""Which file holds for which run: payloads, their intervals of validity, and tags.

with conditions.open(stack="mc16") as client:
    path = client.path(client.get("GATGAPgen.pth", conditions.Run(7, 120)))
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from conditions.client import Client
from conditions.client.bundled import Bundled
from conditions.client.record import JobRecord
from conditions.errors import (
    BadInputError,
    ConditionsError,
    NoPayloadForRun,
    NoProvider,
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
    "Bundled",
    "Client",
    "ConditionsError",
    "EndOfExp",
    "IntervalOfValidity",
    "IovSet",
    "JobRecord",
    "NoPayloadForRun",
    "NoProvider",
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
    where: str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None = None,
    stack: Sequence[str] | str | None = None,
    user: str | None = None,
    *,
    allow_open: bool = False,
    record: bool | str | os.PathLike[str] = False,
    replay: JobRecord | str | os.PathLike[str] | None = None,
    bundled: Bundled | None = None,
) -> Client:
    """A client of the conditions kept at a place, or at the first of several places that can answer.

    A place is the URL of a server (http or https), of a database, or the path of a snapshot file or of an embedded
    store. Of several, the first one answers; when it fails, also in the middle of a job, the next one goes on.

    The environment gives what is not given here (`CONDITIONS_METADATA`, `CONDITIONS_TAGS`, …), the payload locations
    that are looked at first (`CONDITIONS_PAYLOADS`), testing payloads (`CONDITIONS_TESTING`) and the folder of
    fetched payloads (`CONDITIONS_CACHE`); the names `BELLE2_CONDB_*` are honoured, too.

    Args:
        where: a place, several in a list or in a text with spaces between them; None means the environment's, else
            the user's own store.
        stack: names of tags, the first one wins, each perhaps as `NAME@CONTENT_REVISION`; None means the environment's.
        user: on whose behalf; None means the user of this process.
        allow_open: whether tags that can still change may be used.
        record: whether the client keeps a record of what it was told; a path is written when it is closed.
        replay: a record, or its file: answer from it alone, with files of the same digests.
        bundled: a snapshot that came along with the program: it answers for the program's own tags where nothing is
            configured, and where all that is configured works and does not know them.

    Raises:
        StoreError: the only place that was named cannot be used.
        BadRecord: `replay` is no record.
    """
    from conditions.opening import OpenConfig, open_client  # loads what the places need

    return open_client(where, stack, OpenConfig(user, allow_open, record, replay, bundled))
