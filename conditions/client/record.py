"""The record of a job: what was asked, from which content of which tags it was answered, and the digests of the files.

The record is enough to run the job again on the same bytes, whatever has happened to tags and servers since: the
replay answers from the record alone and takes the files from the cache, or from anybody who has bytes of these
digests. `differences` asks a provider again, so that one sees whether it would still say the same.

    {"conditions_record": 1, "versions": {…}, "providers": [name, …], "passed_over": [{"name", "reason"}, …],
     "failure": null, or why the job ended early,
     "tags": [{"name", "state", "content_revision", "digest"}, …],
     "payloads": [{"name", "revision", "sha256", "md5", "size_bytes", "tag", "iov"}, …],
     "lookups": [{"run", "stack": [tag, …], "names": [name, …] or null, "found": [position in payloads, …]}, …]}

What the provider did not know is null: `content_revision` and `digest` of a tag, `sha256` and `size_bytes` of a
payload. `digest` is that of a published tag. In a stack, `NAME@REVISION` is a tag at a content revision.
"""

from __future__ import annotations

import json
import platform
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final, Self

from conditions.client.transport import Source
from conditions.errors import BadRecord, NotFoundError, PastUnknown, RefusedError
from conditions.iov import IntervalOfValidity, Run
from conditions.offline.atomic import complete_file
from conditions.payload import Payload, check_payload
from conditions.resolve import UNKNOWN_REVISION, Resolved, TagFacts, parse_tag_ref
from conditions.tags import TagState
from conditions.wire import UNKNOWN_TIME

FORMAT: Final = 1
MARK: Final = "conditions_record"


def versions_in_use() -> dict[str, str]:
    """What runs here, so that a record says which program it is of."""
    found = {"python": platform.python_version()}
    with suppress(PackageNotFoundError):
        found["smartbkg"] = version("smartbkg")
    return found


@dataclass(frozen=True)
class Lookup:
    """One thing a job asked: the payloads of these names, or of all, for a run."""

    run: Run
    stack: tuple[str, ...]
    names: tuple[str, ...] | None


@dataclass
class JobRecord:
    """What a job was told, in the order in which it asked. Threads may share one."""

    lookups: dict[Lookup, tuple[Resolved, ...]] = field(default_factory=dict)
    tags: list[TagFacts] = field(default_factory=list)
    providers: list[str] = field(default_factory=list)
    passed_over: list[tuple[str, str]] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=versions_in_use)
    origin: str = "this job"
    failure: str | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    _values: dict[Resolved, Resolved] = field(default_factory=dict, repr=False, compare=False)  # each kept once
    _found_digests: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict, repr=False, compare=False)

    def note(
        self,
        stack: Sequence[str],
        run: Run,
        names: Iterable[str] | None,
        answer: Mapping[str, Resolved],
        tags: Iterable[TagFacts] = (),
    ) -> None:
        """Keep an answer and the state of the tags that it was made from."""
        lookup = Lookup(run, tuple(stack), None if names is None else tuple(sorted(set(names))))
        with self._lock:
            self.lookups[lookup] = tuple(self._values.setdefault(answer[n], answer[n]) for n in sorted(answer))
            self.tags.extend(facts for facts in tags if facts not in self.tags)

    def note_file(self, payload: Payload, sha256: str, size_bytes: int) -> None:
        """Keep the digest of a file whose payload was known by md5 alone."""
        with self._lock:
            self._found_digests[payload.name, payload.md5] = (sha256, size_bytes)

    def to_json(self) -> dict[str, Any]:
        """The record in plain values."""
        with self._lock:
            positions: dict[Resolved, int] = {}
            lookups = [
                {
                    "run": str(lookup.run),
                    "stack": list(lookup.stack),
                    "names": None if lookup.names is None else list(lookup.names),
                    "found": [positions.setdefault(won, len(positions)) for won in found],
                }
                for lookup, found in self.lookups.items()
            ]
            return {
                MARK: FORMAT,
                "versions": dict(self.versions),
                "providers": list(self.providers),
                "passed_over": [{"name": name, "reason": reason} for name, reason in self.passed_over],
                "failure": self.failure,
                "tags": [_facts_json(facts) for facts in self.tags],
                "payloads": [self._resolved_json(won) for won in positions],
                "lookups": lookups,
            }

    def write(self, path: Path | str) -> None:
        """Write the record as JSON; the file is complete or not there.

        Raises:
            NotSaved: the place cannot be written.
        """
        text = json.dumps(self.to_json(), indent=1) + "\n"
        with complete_file(Path(path), replace=True) as temporary:
            temporary.write_text(text, encoding="utf-8")

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The record in a file.

        Raises:
            BadRecord: it cannot be read, or is something else.
        """
        try:
            given = json.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise BadRecord(path, error.strerror or str(error)) from error
        except (ValueError, RecursionError) as error:
            raise BadRecord(path, f"it is no JSON ({error})") from error
        return cls.from_json(given, origin=str(path))

    @classmethod
    def from_json(cls, given: Any, origin: str = "the record") -> Self:
        """The record from plain values; BadRecord when they are none."""
        if not isinstance(given, dict) or MARK not in given:
            raise BadRecord(origin, f"it has no {MARK!r}")
        if given[MARK] != FORMAT:
            raise BadRecord(origin, f"it has format {given[MARK]!r}, this program knows {FORMAT}")
        try:
            payloads = [_resolved_from(each) for each in given["payloads"]]
            return cls(
                lookups={
                    _lookup_from(each): tuple(payloads[_position(number)] for number in each["found"])
                    for each in given["lookups"]
                },
                tags=[_facts_from(each) for each in given["tags"]],
                providers=[str(name) for name in given["providers"]],
                passed_over=[(str(each["name"]), str(each["reason"])) for each in given["passed_over"]],
                versions={str(name): str(value) for name, value in given["versions"].items()},
                origin=origin,
                failure=None if given.get("failure") is None else str(given["failure"]),
            )
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise BadRecord(origin, f"it is damaged ({type(error).__name__}: {error})") from error

    def stacks(self) -> tuple[tuple[str, ...], ...]:
        """The stacks that the job asked, each once."""
        return tuple(dict.fromkeys(lookup.stack for lookup in self.lookups))

    def _resolved_json(self, won: Resolved) -> dict[str, Any]:
        payload = won.payload
        sha256, size_bytes = self._found_digests.get((payload.name, payload.md5), (payload.sha256, payload.size_bytes))
        return {
            "name": payload.name,
            "revision": payload.revision,
            "sha256": sha256 or None,
            "md5": payload.md5,
            "size_bytes": None if size_bytes < 0 else size_bytes,
            "tag": won.tag,
            "iov": str(won.iov),
        }


def differences(record: JobRecord, source: Source, *, allow_open: bool = True) -> list[str]:
    """What the source answers otherwise than the record, a line each.

    A tag that could change when the job ran is asked for at the content revision it had then; where nobody knew that
    one, and from a source that knows no past (a snapshot), for what there is.

    Raises:
        StoreError: the source cannot answer at all.
    """
    fixed = {
        facts.name: facts.content_revision
        for facts in record.tags
        if facts.state is not TagState.PUBLISHED and facts.known_revision is not None
    }
    said: list[str] = []
    for lookup, recorded in record.lookups.items():
        try:
            found = _asked(source, lookup, fixed, allow_open=allow_open)
        except (NotFoundError, RefusedError) as error:
            said.append(f"{lookup.run}: {error}")
            continue
        ours, theirs = ({won.payload.name: won.payload for won in each} for each in (recorded, found.values()))
        said += [
            f"{lookup.run}: {name!r} was {_known(ours.get(name))} and is {_known(theirs.get(name))}"
            for name in sorted({*ours, *theirs})
            if not _same_bytes(ours.get(name), theirs.get(name))
        ]
    return said


def _asked(source: Source, lookup: Lookup, revisions: Mapping[str, int], *, allow_open: bool) -> dict[str, Resolved]:
    """What the source says now about the content of then."""
    then = [_at_revision(entry, revisions) for entry in lookup.stack]
    try:
        return source.resolve_many(then, [lookup.run], lookup.names, allow_open=allow_open)[lookup.run]
    except PastUnknown:
        return source.resolve_many(lookup.stack, [lookup.run], lookup.names, allow_open=allow_open)[lookup.run]


def _same_bytes(ours: Payload | None, theirs: Payload | None) -> bool:
    """Whether both are the same bytes, by the digest that both know."""
    if ours is None or theirs is None:
        return ours is theirs
    if ours.sha256 and theirs.sha256:
        return ours.sha256 == theirs.sha256
    return ours.md5 == theirs.md5


def _known(payload: Payload | None) -> str:
    return "absent" if payload is None else f"{payload} with md5 {payload.md5[:12]}…"


def _at_revision(entry: str, revisions: Mapping[str, int]) -> str:
    ref = parse_tag_ref(entry)
    return str(replace(ref, content_revision=revisions[entry])) if entry in revisions else str(ref)


def _facts_json(facts: TagFacts) -> dict[str, Any]:
    return {
        "name": facts.name,
        "state": facts.state.value,
        "content_revision": facts.known_revision,
        "digest": facts.digest,
    }


def _facts_from(given: Mapping[str, Any]) -> TagFacts:
    revision = given["content_revision"]
    known = UNKNOWN_REVISION if revision is None else int(revision)
    return TagFacts(str(given["name"]), TagState(given["state"]), known, given["digest"])


def _lookup_from(given: Mapping[str, Any]) -> Lookup:
    names = given["names"]
    return Lookup(
        Run.parse(given["run"]), tuple(map(str, given["stack"])), None if names is None else tuple(map(str, names))
    )


def _resolved_from(given: Mapping[str, Any]) -> Resolved:
    payload = Payload(
        name=str(given["name"]),
        revision=int(given["revision"]),
        sha256=str(given["sha256"] or ""),
        md5=str(given["md5"]),
        size_bytes=-1 if given["size_bytes"] is None else int(given["size_bytes"]),
        metadata={},
        created_at=UNKNOWN_TIME,
        created_by="",
    )
    return Resolved(check_payload(payload), IntervalOfValidity.parse(given["iov"]), str(given["tag"]))


def _position(number: Any) -> int:
    if type(number) is not int or number < 0:
        raise ValueError(f"{number!r} is no position")
    return number
