"""Which trained file holds for a run: resolution along a stack of tags, and files that are opened once.

GATGAP's two payloads with one IoV serve two kinds of readers: `GATGAPgen.pth`, a torch checkpoint that existing
programs open, and `GATGAPgen.onnx`, its export. The export says in its manifest of which checkpoint it was made, by
sha256. Those of the multi-skim filter are next door, in `multiskim_payloads`.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, Final, Generic, TypeVar

import conditions
from conditions import Client, NoPayloadForRun, NoProvider, Resolved, Run
from conditions.errors import NotRecorded, TagNotFound, TagNotUsable
from smartbkg.errors import ModelMismatch
from smartbkg.framework.job import Job
from smartbkg.modules.shipped import bundled_defaults
from smartbkg.scorer import Scorer, open_scorer

log = logging.getLogger(__name__)

T = TypeVar("T")

CHECKPOINT_SUFFIX, EXPORT_SUFFIX = ".pth", ".onnx"
# Open files of one process, some 10 MB each: more are in use only where jobs with many payloads share a process.
MAX_SESSIONS: Final = 8


class Sessions(Generic[T]):
    """Opened files of this process by the digest of their content; the one used longest ago goes first."""

    def __init__(self, room: int = MAX_SESSIONS) -> None:
        self._room = room
        self._opened: OrderedDict[str, T] = OrderedDict()

    def get(self, digest: str, path: Path, opener: Callable[[Path], T]) -> T:
        """What was opened with this content, opened now if it is the first time."""
        if digest not in self._opened:
            self._opened[digest] = opener(path)
        self._opened.move_to_end(digest)
        while len(self._opened) > self._room:
            self._opened.popitem(last=False)
        return self._opened[digest]


_SCORERS: Final[Sessions[Scorer]] = Sessions()


@dataclass(frozen=True)
class Choice:
    """The scorer in force and the payloads it comes from, the one that was asked for first."""

    scorer: Scorer
    resolved: tuple[Resolved, ...]


def open_client(job: Job, *, allow_open: bool) -> AbstractContextManager[Client]:
    """The client of a job: the one it was given, which stays open, or one made for the job."""
    where = job.conditions
    if isinstance(where, Client):
        return nullcontext(where)
    stack = None if job.global_tags is None else list(job.global_tags)
    return conditions.open(where, stack, allow_open=allow_open, bundled=bundled_defaults())


def stack_of(job: Job, client: Client) -> tuple[str, ...]:
    """The tags in force."""
    return tuple(client.stack if job.global_tags is None else job.global_tags)


@dataclass
class PayloadStack:
    """Resolves payloads for runs along the tags in force, with a default tag behind them.

    Args:
        client: whom to ask.
        stack: tags in force, the first wins.
        default_tag: asked last; None for none.
    """

    client: Client
    stack: tuple[str, ...]
    default_tag: str | None
    _digests: dict[str, str] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)
    _opened: dict[str, Any] = field(default_factory=dict)

    def resolve(
        self, run: Run, required: Sequence[str], optional: Sequence[str] = ()
    ) -> tuple[dict[str, Resolved], tuple[str, ...]]:
        """The winners by name, and the stack that they come from, the default tag at its end.

        All that the tags in force have is from one state of them.

        Raises:
            NoPayloadForRun: of a required one, with what is near.
        """
        default, names = self.default_tag, [*required, *optional]
        asked = self.stack or (() if default is None else (default,))
        found, stack = self.client.resolve(run, names, stack=asked), asked
        missing, absent = [name for name in names if name not in found], None
        if missing and default is not None and default not in asked:
            try:
                # By itself: tags that hold the payload need not wait for it, and no provider is worse without it.
                found = {**self.client.resolve_optional(run, missing, default), **found}
                stack = (*asked, default)
            except (TagNotFound, TagNotUsable, NotRecorded, NoProvider) as error:
                absent = error
        lacking = [name for name in required if name not in found]
        if lacking:
            if absent is not None:
                raise absent
            there = self.client.resolve(run, stack=stack)
            near = [near for name in lacking for near in difflib.get_close_matches(name, there, n=3)]
            raise NoPayloadForRun(lacking, run, stack, dict.fromkeys(near))
        if isinstance(absent, TagNotUsable):
            self.say_once(absent.tag, f"the default tag {absent.tag} is left out: it is {absent.state}")
        if isinstance(absent, NoProvider):
            self.say_once(f"{default} is unknown", f"the default tag {default} is left out: {absent}")
        return found, stack

    def described(self, resolved: Resolved) -> dict[str, Any]:
        """A payload that is used, and the content of the tag that it comes from, in plain values, for metadata."""
        payload, facts = resolved.payload, self.client.tags.get(resolved.tag)
        return {
            "name": payload.name,
            "revision": payload.revision,
            "sha256": self.sha256_of(resolved),
            "tag": resolved.tag,
            "iov": str(resolved.iov),
            "tag_state": None if facts is None else facts.state.value,
            "tag_content_revision": None if facts is None else facts.known_revision,
            "tag_digest": None if facts is None else facts.digest,
        }

    def origin(self) -> dict[str, Any]:
        """Where the payloads come from, in plain values, for metadata."""
        return {"stack": list(self.stack), "providers": list(self.client.providers)}

    def sha256_of(self, resolved: Resolved) -> str:
        """The digest of the file, computed where the provider knows the md5 alone."""
        payload = resolved.payload
        if payload.sha256:
            return payload.sha256
        if payload.md5 not in self._digests:
            self._digests[payload.md5] = file_sha256(self.client.path(resolved))
        return self._digests[payload.md5]

    def opened(self, resolved: Resolved, opener: Callable[[str, Path], T]) -> T:
        """What the opener makes of digest and file, once; a job verifies a file also where its process has it open."""
        digest = self.sha256_of(resolved)
        if digest not in self._opened:
            self._opened[digest] = opener(digest, self.client.path(resolved))
        found: T = self._opened[digest]
        return found

    def say_once(self, about: str, text: str) -> None:
        """Warn, but not again about the same file or tag in another run."""
        if about not in self._said:
            log.warning("%s", text)
        self._said.add(about)


@dataclass
class PayloadModels(PayloadStack):
    """Resolves one payload, a network, and opens each file once.

    Args:
        payload: its name.
        threads: of the network.
    """

    payload: str = ""
    threads: int = 1

    def choose(self, run: Run) -> Choice:
        """The scorer for a run.

        Raises:
            NoPayloadForRun: with what is near.
            ModelMismatch: the export belongs to another checkpoint.
        """
        companion = str(PurePosixPath(self.payload).with_suffix(EXPORT_SUFFIX))
        has_companion = self.payload.endswith(CHECKPOINT_SUFFIX)
        found, stack = self.resolve(run, [self.payload], [companion] if has_companion else [])
        main, export = found[self.payload], found.get(companion)
        if not has_companion:
            return Choice(self._scorer(main), (main,))
        if export is None:
            self.say_once(
                main.payload.md5,
                f"no payload {companion!r} for {run} in {', '.join(stack)}: {main.payload} is read with torch",
            )
            return Choice(self._scorer(main), (main,))
        return self._with_export(main, export, stack)

    def _with_export(self, main: Resolved, export: Resolved, stack: tuple[str, ...]) -> Choice:
        scorer = self._scorer(export)
        made_of, digest = scorer.manifest.checkpoint_sha256, self.sha256_of(main)
        if made_of == digest:
            return Choice(scorer, (main, export))
        if _rank(stack, export) > _rank(stack, main):
            # A tag in front has a checkpoint of its own and no export; the export behind it belongs to another one.
            self.say_once(
                main.payload.md5,
                f"{export.payload} of {export.tag} is no export of {main.payload} of {main.tag}: torch reads it",
            )
            return Choice(self._scorer(main), (main,))
        raise ModelMismatch(
            f"{export.payload} in {export.tag} was made of a checkpoint with sha256 {(made_of or 'unknown')[:12]}…, "
            f"but {main.payload} in {main.tag} has {digest[:12]}…: publish the two files of one training together"
        )

    def _scorer(self, resolved: Resolved) -> Scorer:
        return self.opened(resolved, self._open)

    def _open(self, digest: str, path: Path) -> Scorer:
        return _SCORERS.get(f"{digest} {self.threads}", path, lambda path: open_scorer(path, self.threads))


def file_sha256(path: Path) -> str:
    """The digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _rank(stack: Iterable[str], resolved: Resolved) -> int:
    """The place of the winner's tag; testing payloads, which no tag holds, go before all."""
    return next((rank for rank, tag in enumerate(stack) if tag == resolved.tag), -1)


def described_file(path: Path, scorer: Scorer) -> dict[str, Any]:
    """A local file in plain values, for metadata."""
    return {"file": str(path), "checkpoint_sha256": scorer.manifest.checkpoint_sha256}
