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

from collections.abc import Iterable, Sequence
from typing import Any


class ConditionsError(Exception):
    """Base of everything this package raises on purpose."""

    def __reduce__(self) -> tuple[Any, ...]:
        """The message and the attributes, so that an error comes back whole from another process."""
        return _restored, (type(self), self.args, self.__dict__)


class BadInputError(ConditionsError, ValueError):
    """What was asked cannot be meant."""


class BadRun(BadInputError):
    """A run is a pair of ints >= 0."""

    def __init__(self, given: object, reason: str) -> None:
        self.given, self.reason = given, reason
        super().__init__(f"{given!r} is no run: {reason}")


class BadInterval(BadInputError):
    """An interval of validity that is refused."""

    def __init__(self, given: object, reason: str) -> None:
        self.given, self.reason = given, reason
        super().__init__(f"{given!r} is no interval of validity: {reason}")


class BadName(BadInputError):
    """A name of a tag or a payload that is refused."""

    def __init__(self, kind: str, name: object, reason: str) -> None:
        self.kind, self.name, self.reason = kind, name, reason
        super().__init__(f"{name!r} cannot name a {kind}: {reason}")


class BadText(BadInputError):
    """A text that not every database can keep."""

    def __init__(self, field: str, reason: str) -> None:
        self.field, self.reason = field, reason
        super().__init__(f"the {field} is refused: {reason}")


class BadMetadata(BadInputError):
    """Payload metadata that is not plain JSON."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"the metadata is refused: {reason}")


class BadLines(BadInputError):
    """Lines of a file that cannot be meant; `errors` has one `file:line error: …` for each."""

    def __init__(self, path: object, errors: Sequence[str]) -> None:
        self.path, self.errors = path, tuple(errors)
        super().__init__("\n".join([f"{path} is refused, errors: {len(self.errors)}", *self.errors]))


class BadSource(BadInputError):
    """A file or stream to upload that cannot be read."""

    def __init__(self, source: object, reason: str) -> None:
        self.source, self.reason = source, reason
        super().__init__(f"cannot read {source}: {reason}")


class WrongChecksum(BadInputError):
    """Bytes to upload that are not those that were announced."""

    def __init__(self, name: str, found: str, wanted: str) -> None:
        self.name, self.found, self.wanted = name, found, wanted
        super().__init__(f"the bytes of payload {name!r} have md5 {found} instead of {wanted}; nothing was kept")


class BadRecord(BadInputError):
    """A file that is no record of a job."""

    def __init__(self, path: object, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} is no record of a job: {reason}")


class UnknownWord(BadInputError):
    """A state or a type that does not exist."""

    def __init__(self, kind: str, word: str, known: Sequence[str], near: Sequence[str] = ()) -> None:
        self.kind, self.word, self.known, self.near = kind, word, tuple(known), tuple(near)
        super().__init__(f"no {kind} {word!r}{_near(near)}; there are {', '.join(known)}")


class NotFoundError(ConditionsError):
    """Nothing of that name is there."""


class TagNotFound(NotFoundError):
    """No tag of that name."""

    def __init__(self, name: str, near: Iterable[str] = (), store: str = "") -> None:
        self.name, self.near, self.store = name, tuple(near), store
        where = f" in {store}" if store else ""
        hint = "; a stack names its tags with spaces between them" if "," in name else ""
        super().__init__(f"no tag {name!r}{where}{_near(self.near)}{hint}")


class PayloadNotFound(NotFoundError):
    """No payload of that name, or none of that revision."""

    def __init__(self, name: str, revision: int | None = None, near: Iterable[str] = (), latest: int = 0) -> None:
        self.name, self.revision, self.near, self.latest = name, revision, tuple(near), latest
        if latest:
            super().__init__(f"no revision {revision} of payload {name!r}; the latest is {latest}")
        else:
            super().__init__(f"no payload {name!r}{_near(self.near)}")


class IovNotFound(NotFoundError):
    """The tag has no IoV of that number."""

    def __init__(self, tag: str, iov_id: int) -> None:
        self.tag, self.iov_id = tag, iov_id
        super().__init__(f"no IoV {iov_id} in tag {tag!r}")


class PastUnknown(NotFoundError):
    """A tag's content at a moment or revision of which nothing is kept."""

    def __init__(self, tag: str, asked: object, reason: str) -> None:
        self.tag, self.asked, self.reason = tag, str(asked), reason
        super().__init__(f"the content of tag {tag!r} at {asked} is not known: {reason}")


class NoPayloadForRun(NotFoundError):
    """No tag of the stack has the payload for the run."""

    def __init__(self, names: str | Iterable[str], run: object, stack: Iterable[str], near: Iterable[str] = ()) -> None:
        self.names = (names,) if isinstance(names, str) else tuple(names)
        self.name, self.run, self.stack, self.near = self.names[0], run, tuple(stack), tuple(near)
        quoted = ", ".join(repr(name) for name in self.names)
        word = "payload" if len(self.names) == 1 else "payloads"
        tags = ", ".join(self.stack) or "an empty stack"
        super().__init__(f"no {word} {quoted} for {run} in {tags}{_near(self.near)}")


class NotRecorded(NotFoundError):
    """The job that is replayed never asked for it."""

    def __init__(self, what: str, record: object) -> None:
        self.what, self.record = what, record
        super().__init__(f"{what} is not in the record {record}: that job never asked for it")


class RefusedError(ConditionsError):
    """It is there, and a rule forbids the change or the use."""


class TagExists(RefusedError):
    """A tag of that name is there already, perhaps INVALID and hidden."""

    def __init__(self, name: str) -> None:
        self.name = name
        super().__init__(f"a tag {name!r} exists already (INVALID ones, which lists hide, keep their names)")


class TransitionRefused(RefusedError):
    """A state that cannot follow the present one."""

    def __init__(self, tag: str, state: str, wanted: str, allowed: Sequence[str]) -> None:
        self.tag, self.state, self.wanted, self.allowed = tag, state, wanted, tuple(allowed)
        after = f"only {' or '.join(allowed)} can follow" if allowed else "nothing can follow"
        super().__init__(f"tag {tag!r} is {state} and cannot become {wanted}: {after} {state}")


class ChangeRefused(RefusedError):
    """The tag's state forbids the change."""

    def __init__(self, tag: str, state: str, action: str, advice: str) -> None:
        self.tag, self.state, self.action, self.advice = tag, state, action, advice
        super().__init__(f"cannot {action} tag {tag!r}, which is {state}: {advice}")


class TagChanged(RefusedError):
    """Somebody changed the tag since it was looked at."""

    def __init__(self, tag: str, found: int, expected: int) -> None:
        self.tag, self.found, self.expected = tag, found, expected
        super().__init__(
            f"tag {tag!r} has content revision {found} and no longer {expected}: look at it again, then repeat"
        )


class UpdateRefused(RefusedError):
    """A running update that would change what was given out, or whose staging tag is not fit for it."""

    def __init__(self, tag: str, staging: str, first_run: str, faults: Sequence[str]) -> None:
        self.tag, self.staging, self.first_run, self.faults = tag, staging, first_run, tuple(faults)
        source = f" with {staging!r} from {first_run}" if staging else ""
        super().__init__(f"tag {tag!r} cannot be updated{source}: {'; '.join(faults)}")


class TagNotUsable(RefusedError):
    """An INVALID tag, or an OPEN one nobody asked for."""

    def __init__(self, tag: str, state: str, advice: str) -> None:
        self.tag, self.state, self.advice = tag, state, advice
        super().__init__(f"tag {tag!r} is {state}: {advice}")


class NotConfirmed(RefusedError):
    """A step that cannot be taken back, and the tag's name was not given again."""

    def __init__(self, tag: str, step: str, answer: str | None) -> None:
        self.tag, self.step, self.answer = tag, step, answer
        given = "nothing was given" if answer is None else f"{answer!r} was given"
        super().__init__(f"tag {tag!r} is not {step}: asked for its name again, {given}; try --confirm {tag}")


class OtherOrigin(RefusedError):
    """A snapshot that was made from another database: its numbers mean other things."""

    def __init__(self, path: object, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} was made from another database: {reason}; nothing was changed, write a new file")


class NotSaved(RefusedError):
    """A download's place that is taken or cannot be written."""

    def __init__(self, path: object, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} is not written: {reason}")


class ReplayDiffers(RefusedError):
    """A place gives other payloads than a job's record says."""

    def __init__(self, where: object, differences: Iterable[str]) -> None:
        self.where, self.differences = where, tuple(differences)
        super().__init__(f"{where} gives other payloads than the record says: {'; '.join(self.differences)}")


class PayloadFileError(ConditionsError):
    """The bytes of a payload are not what the payload says."""


class PayloadCorrupt(PayloadFileError):
    """A payload's file has another size or another digest."""

    def __init__(self, name: str, revision: int, path: object, reason: str) -> None:
        self.name, self.revision, self.path, self.reason = name, revision, path, reason
        super().__init__(f"payload {name!r} revision {revision} is corrupt: {path} {reason}")


class PayloadLost(PayloadFileError):
    """A payload's file is not there."""

    def __init__(self, name: str, revision: int, path: object) -> None:
        self.name, self.revision, self.path = name, revision, path
        super().__init__(
            f"payload {name!r} revision {revision} has lost its file: {path} is not there; "
            f"uploading the same bytes again puts it back"
        )


class RightsError(ConditionsError):
    """Who asks may not do that."""


class TokenRefused(RightsError):
    """No token where one is needed, or one that proves nothing."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(f"{reason}; send 'Authorization: Bearer TOKEN' with a token of this server")


class RightMissing(RightsError):
    """The token is good, and gives no right to this."""

    def __init__(self, user: str, action: str, claim: str, subject: str) -> None:
        self.user, self.action, self.claim, self.subject = user, action, claim, subject
        super().__init__(
            f"{user} may not {action} {subject!r}: the token needs the claim {claim} with a regular expression "
            f"that matches it, or take a name that begins with user_{user}_ or temp_{user}_"
        )


class ReadOnly(RightsError):
    """A server that has no key for tokens changes nothing."""

    def __init__(self) -> None:
        super().__init__("this server is read-only: it was started without a key for tokens (serve --token-key FILE)")


class CacheError(ConditionsError):
    """The payload cache of this machine cannot serve; no other provider would help."""


class CacheFull(CacheError):
    """No space left where payloads are cached."""

    def __init__(self, path: object) -> None:
        self.path = path
        super().__init__(
            f"no space left in the payload cache {path}; nothing was kept: "
            "make space there (conditions cache clear), or name another folder in CONDITIONS_CACHE"
        )


class CacheBusy(CacheError):
    """Another process of this machine holds the lock of a payload for too long."""

    def __init__(self, path: object, waited_s: float) -> None:
        self.path, self.waited_s = path, waited_s
        super().__init__(f"another process fetches the same payload since {waited_s:g} s and more (lock {path})")


class CacheUnusable(CacheError):
    """The cache cannot be read or written, and a folder for temporary files neither."""

    def __init__(self, path: object, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"the payload cache {path} cannot be used: {reason}; name another folder in CONDITIONS_CACHE")


class PayloadNotHere(PayloadFileError):
    """No payload folder of this machine has the payload."""

    def __init__(self, name: str, revision: int, md5: str, folders: Iterable[object]) -> None:
        self.name, self.revision, self.md5, self.folders = name, revision, md5, tuple(map(str, folders))
        where = f"none of {', '.join(self.folders)} has it" if self.folders else "no payload folder is given"
        super().__init__(f"no file of payload {name!r} revision {revision} with md5 {md5}: {where}")


class PayloadUnreadable(PayloadFileError):
    """A file that is not of the format it claims to be: damaged, too large, or with code in it."""

    def __init__(self, format_name: str, path: object, reason: str) -> None:
        self.format_name, self.path, self.reason = format_name, path, reason
        super().__init__(f"{path} cannot be read as {format_name}: {reason}")


class StoreError(ConditionsError):
    """The store itself cannot serve."""


class StoreFull(StoreError):
    """No space left where the store keeps its data."""

    def __init__(self, path: object, size_bytes: int | None = None) -> None:
        self.path, self.size_bytes = path, size_bytes
        after = "" if size_bytes is None else f" after {size_bytes} bytes"
        super().__init__(f"no space left in {path}{after}; nothing was kept, free some space and do it again")


class StoreBusy(StoreError):
    """Somebody else holds what is needed for too long."""

    def __init__(self, what: object, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(f"{what} is busy: {reason}; nothing was changed, try again")


class StoreUnavailable(StoreError):
    """The database or the payload folder cannot be used."""

    def __init__(self, what: object, reason: str) -> None:
        self.what, self.reason = what, reason
        super().__init__(f"{what} cannot be used: {reason}")


class FilesNotOurs(StoreError):
    """A payload folder that another store uses, or that nobody owns and whose files are not all this store's.

    `found` and `wanted` are the ids of the folder, None when it has none, and of this store.
    """

    def __init__(self, folder: object, found: str | None, wanted: str, reason: str = "") -> None:
        self.folder, self.found, self.wanted, self.reason = folder, found, wanted, reason
        way_out = "give this store a folder of its own with --files or CONDITIONS_FILES"
        if found is None:
            what = f"{folder} may be another store's: it names none, and {reason}"
            way_out += f" or, if all in it is this store's, write {wanted} into {folder}/store-id"
        else:
            what = f"{folder} is the payload folder of store {found}, this one is {wanted}"
        super().__init__(f"{what}; nothing was kept or removed: {way_out}")


class NoProvider(StoreError):
    """All places where conditions could come from have failed; `reasons` has each place with its reason.

    `lacking` are the tags that those of them that work do not have.
    """

    def __init__(self, reasons: Iterable[tuple[str, str]], lacking: Iterable[str] = ()) -> None:
        self.reasons, self.lacking = tuple(reasons), tuple(lacking)
        said = "; ".join(f"{name}: {reason}" for name, reason in self.reasons)
        super().__init__(f"no provider of conditions is left: {said}")


class ServerUnreachable(StoreError):
    """Nothing answers at a server's URL; `maybe_done` when a change may have been made all the same."""

    def __init__(self, url: str, reason: str, *, maybe_done: bool = False) -> None:
        self.url, self.reason, self.maybe_done = url, reason, maybe_done
        doubt = "; whether the change was made is not known: look before you repeat it" if maybe_done else ""
        super().__init__(f"cannot reach {url}: {reason}{doubt}")


class BadAnswer(StoreError):
    """An answer that is not one of this service: a proxy's page, another program, another version."""

    def __init__(self, url: str, reason: str) -> None:
        self.url, self.reason = url, reason
        super().__init__(f"{url} does not answer as a conditions server: {reason}")


class BadSnapshot(StoreError):
    """A snapshot file that is damaged, or is none."""

    def __init__(self, path: object, reason: str) -> None:
        self.path, self.reason = path, reason
        super().__init__(f"{path} cannot be read as a snapshot: {reason}")


class SchemaMismatch(StoreError):
    """The database's schema is older or newer than this program."""

    def __init__(self, url: str, found: str | None, wanted: str, advice: str) -> None:
        self.url, self.found, self.wanted, self.advice = url, found, wanted, advice
        what = "has no schema" if found is None else f"has schema {found}"
        super().__init__(f"{url} {what}, this program needs {wanted}: {advice}")


def _restored(kind: type[ConditionsError], args: tuple[Any, ...], state: dict[str, Any]) -> ConditionsError:
    """An error from its parts, without saying its message again."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


def _near(names: Iterable[str]) -> str:
    """A hint at what might have been meant, or nothing."""
    quoted = [repr(name) for name in names]
    return f" (did you mean {' or '.join(quoted)}?)" if quoted else ""
