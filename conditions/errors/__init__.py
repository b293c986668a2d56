"""What can go wrong in conditions, as one tree.

    ConditionsError
    ├── BadInputError              what was asked cannot be meant (it is a ValueError, too)
    │   ├── BadRun                 a run that is not a pair of ints >= 0
    │   ├── BadInterval            an interval of validity that is refused
    │   ├── BadName                a tag or payload name with forbidden characters
    │   ├── BadText                a description or user that a database cannot keep
    │   ├── BadMetadata            metadata that is not plain JSON
    │   ├── BadLines               lines of a file that cannot be meant, each with its reason
    │   ├── BadSource              a file or stream to upload that cannot be read
    │   ├── WrongChecksum          bytes to upload that are not those that were announced
    │   ├── BadRecord              a file that is no record of a job
    │   └── UnknownWord            a state or type that does not exist
    ├── NotFoundError              nothing of that name is there
    │   ├── TagNotFound
    │   ├── PayloadNotFound
    │   ├── IovNotFound
    │   ├── NoIovMatches           nothing of a tag is what was chosen of it
    │   ├── PastUnknown            a tag's content at a moment or revision of which nothing is kept
    │   ├── NotRecorded            the job that is replayed never asked for it
    │   └── NoPayloadForRun        the tags exist, but none has the payload for the run
    ├── RefusedError               it is there, and a rule forbids the change or the use
    │   ├── TagExists
    │   ├── TransitionRefused      a state that cannot follow the present one
    │   ├── ChangeRefused          the tag's state forbids the change
    │   ├── TagChanged             somebody changed the tag since it was looked at
    │   ├── UpdateRefused          a running update that would break a rule, with every fault
    │   ├── TagNotUsable           an INVALID tag, or an OPEN one nobody asked for
    │   ├── NotConfirmed           a step that cannot be taken back, and the tag's name was not given again
    │   ├── OtherOrigin            a snapshot that was made from another database
    │   ├── ReplayDiffers          a place gives other payloads than a job's record says
    │   └── NotSaved               a download's place that is taken or cannot be written
    ├── PayloadFileError           the bytes are not what the payload says
    │   ├── PayloadCorrupt
    │   ├── PayloadNotHere         no payload folder of this machine has it
    │   ├── PayloadLost
    │   └── PayloadUnreadable      not of the format it claims to be: damaged, too large, or with code in it
    ├── RightsError                who asks may not do that
    │   ├── TokenRefused           no token where one is needed, or one that proves nothing
    │   ├── RightMissing           the token is good, and gives no right to this
    │   └── ReadOnly               a server that has no key for tokens changes nothing
    ├── CacheError                 the payload cache of this machine cannot serve
    │   ├── CacheFull
    │   ├── CacheBusy              another process fetches the same payload for too long
    │   └── CacheUnusable
    └── StoreError                 the store itself cannot serve
        ├── StoreFull
        ├── StoreBusy
        ├── StoreUnavailable
        ├── FilesNotOurs           a payload folder that another store uses, or nobody can say which
        ├── NoProvider             all places where conditions could come from have failed
        ├── ServerUnreachable      nothing answers at a server's URL, or what stands in front of it refuses
        ├── BadAnswer              an answer that is not one of this service
        ├── BadSnapshot            a snapshot file that is damaged, or is none
        └── SchemaMismatch         the database's schema is older or newer than this program

A message says what was asked, what was found, and what is near; the same facts are attributes.
"""

from __future__ import annotations

from conditions.errors.asked import (
    BadInputError,
    BadInterval,
    BadLines,
    BadMetadata,
    BadName,
    BadRecord,
    BadRun,
    BadSource,
    BadText,
    IovNotFound,
    NoIovMatches,
    NoPayloadForRun,
    NotFoundError,
    NotRecorded,
    PastUnknown,
    PayloadNotFound,
    TagNotFound,
    UnknownWord,
    WrongChecksum,
)
from conditions.errors.base import ConditionsError
from conditions.errors.failed import (
    BadAnswer,
    BadSnapshot,
    CacheBusy,
    CacheError,
    CacheFull,
    CacheUnusable,
    FilesNotOurs,
    NoProvider,
    PayloadCorrupt,
    PayloadFileError,
    PayloadLost,
    PayloadNotHere,
    PayloadUnreadable,
    SchemaMismatch,
    ServerUnreachable,
    StoreBusy,
    StoreError,
    StoreFull,
    StoreUnavailable,
)
from conditions.errors.refused import (
    ChangeRefused,
    NotConfirmed,
    NotSaved,
    OtherOrigin,
    ReadOnly,
    RefusedError,
    ReplayDiffers,
    RightMissing,
    RightsError,
    TagChanged,
    TagExists,
    TagNotUsable,
    TokenRefused,
    TransitionRefused,
    UpdateRefused,
)

__all__ = [
    "BadAnswer",
    "BadInputError",
    "BadInterval",
    "BadLines",
    "BadMetadata",
    "BadName",
    "BadRecord",
    "BadRun",
    "BadSnapshot",
    "BadSource",
    "BadText",
    "CacheBusy",
    "CacheError",
    "CacheFull",
    "CacheUnusable",
    "ChangeRefused",
    "ConditionsError",
    "FilesNotOurs",
    "IovNotFound",
    "NoIovMatches",
    "NoPayloadForRun",
    "NoProvider",
    "NotConfirmed",
    "NotFoundError",
    "NotRecorded",
    "NotSaved",
    "OtherOrigin",
    "PastUnknown",
    "PayloadCorrupt",
    "PayloadFileError",
    "PayloadLost",
    "PayloadNotFound",
    "PayloadNotHere",
    "PayloadUnreadable",
    "ReadOnly",
    "RefusedError",
    "ReplayDiffers",
    "RightMissing",
    "RightsError",
    "SchemaMismatch",
    "ServerUnreachable",
    "StoreBusy",
    "StoreError",
    "StoreFull",
    "StoreUnavailable",
    "TagChanged",
    "TagExists",
    "TagNotFound",
    "TagNotUsable",
    "TokenRefused",
    "TransitionRefused",
    "UnknownWord",
    "UpdateRefused",
    "WrongChecksum",
]
