"""Errors of the question: it cannot be meant, or nothing of that name is there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from conditions.errors.base import ConditionsError, near_words


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
        super().__init__(f"no {kind} {word!r}{near_words(near)}; there are {', '.join(known)}")


class NotFoundError(ConditionsError):
    """Nothing of that name is there."""


class TagNotFound(NotFoundError):
    """No tag of that name."""

    def __init__(self, name: str, near: Iterable[str] = (), store: str = "") -> None:
        self.name, self.near, self.store = name, tuple(near), store
        where = f" in {store}" if store else ""
        hint = "; a stack names its tags with spaces between them" if "," in name else ""
        super().__init__(f"no tag {name!r}{where}{near_words(self.near)}{hint}")


class PayloadNotFound(NotFoundError):
    """No payload of that name, or none of that revision."""

    def __init__(self, name: str, revision: int | None = None, near: Iterable[str] = (), latest: int = 0) -> None:
        self.name, self.revision, self.near, self.latest = name, revision, tuple(near), latest
        if latest:
            super().__init__(f"no revision {revision} of payload {name!r}; the latest is {latest}")
        else:
            super().__init__(f"no payload {name!r}{near_words(self.near)}")


class IovNotFound(NotFoundError):
    """The tag has no IoV of that number."""

    def __init__(self, tag: str, iov_id: int) -> None:
        self.tag, self.iov_id = tag, iov_id
        super().__init__(f"no IoV {iov_id} in tag {tag!r}")


class NoIovMatches(NotFoundError):
    """What was chosen of a tag is nothing; `chosen` says by what."""

    def __init__(self, tag: str, chosen: str, near: Iterable[str] = ()) -> None:
        self.tag, self.chosen, self.near = tag, chosen, tuple(near)
        super().__init__(f"no IoV of tag {tag!r} matches {chosen}{near_words(self.near)}")


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
        super().__init__(f"no {word} {quoted} for {run} in {tags}{near_words(self.near)}")


class NotRecorded(NotFoundError):
    """The job that is replayed never asked for it."""

    def __init__(self, what: str, record: object) -> None:
        self.what, self.record = what, record
        super().__init__(f"{what} is not in the record {record}: that job never asked for it")
