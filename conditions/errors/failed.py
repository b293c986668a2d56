"""Errors of the places: payload bytes, the cache, the store, a server or a snapshot cannot serve."""

from __future__ import annotations

from collections.abc import Iterable

from conditions.errors.base import ConditionsError


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
