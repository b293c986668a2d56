"""Which trained file holds for a run: the checkpoint a tag names, and its export for workers without torch.

Two payloads with one IoV serve two kinds of readers: `GATGAPgen.pth`, a torch checkpoint that existing programs
open, and `GATGAPgen.onnx`, its export. The export says in its manifest of which checkpoint it was made, by sha256.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import conditions
from conditions import Client, NoPayloadForRun, Resolved, Run
from conditions.errors import NotRecorded, TagNotFound, TagNotUsable
from smartbkg.errors import ModelMismatch
from smartbkg.framework.job import Job
from smartbkg.scorer import Scorer, open_scorer

log = logging.getLogger(__name__)

CHECKPOINT_SUFFIX, EXPORT_SUFFIX = ".pth", ".onnx"


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
    return conditions.open(where, stack, allow_open=allow_open)


@dataclass
class PayloadModels:
    """Resolves a payload for runs and keeps one scorer for each file.

    Args:
        client: whom to ask.
        stack: tags in force, the first wins.
        default_tag: asked last; None for none.
        payload: name of the payload.
    """

    client: Client
    stack: tuple[str, ...]
    default_tag: str | None
    payload: str
    _scorers: dict[str, Scorer] = field(default_factory=dict)
    _digests: dict[str, str] = field(default_factory=dict)
    _said: set[str] = field(default_factory=set)

    def choose(self, run: Run) -> Choice:
        """The scorer for a run.

        Raises:
            NoPayloadForRun: with what is near.
            ModelMismatch: the export belongs to another checkpoint.
        """
        companion = str(PurePosixPath(self.payload).with_suffix(EXPORT_SUFFIX))
        found, stack = self._resolve(run, [self.payload, companion])
        main = found[self.payload]
        if companion == self.payload or not self.payload.endswith(CHECKPOINT_SUFFIX):
            return Choice(self._opened(main), (main,))
        export = found.get(companion)
        if export is None:
            self._say_once(
                main.payload.md5,
                f"no payload {companion!r} for {run} in {', '.join(stack)}: {main.payload} is read with torch",
            )
            return Choice(self._opened(main), (main,))
        return self._with_export(main, export, stack)

    def _with_export(self, main: Resolved, export: Resolved, stack: tuple[str, ...]) -> Choice:
        scorer = self._opened(export)
        made_of, digest = scorer.manifest.checkpoint_sha256, self.sha256_of(main)
        if made_of == digest:
            return Choice(scorer, (main, export))
        if _rank(stack, export) > _rank(stack, main):
            # A tag in front has a checkpoint of its own and no export; the export behind it belongs to another one.
            self._say_once(
                main.payload.md5,
                f"{export.payload} of {export.tag} is no export of {main.payload} of {main.tag}: torch reads it",
            )
            return Choice(self._opened(main), (main,))
        raise ModelMismatch(
            f"{export.payload} in {export.tag} was made of a checkpoint with sha256 {(made_of or 'unknown')[:12]}…, "
            f"but {main.payload} in {main.tag} has {digest[:12]}…: publish the two files of one training together"
        )

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
            with self.client.path(resolved).open("rb") as stream:
                self._digests[payload.md5] = hashlib.file_digest(stream, "sha256").hexdigest()
        return self._digests[payload.md5]

    def _resolve(self, run: Run, names: list[str]) -> tuple[dict[str, Resolved], tuple[str, ...]]:
        """The winners by name, and the stack that they come from, the default tag at its end."""
        default = self.default_tag
        asked = self.stack or (() if default is None else (default,))
        found, stack = self.client.resolve(run, names, stack=asked), asked
        missing, absent = [name for name in names if name not in found], None
        if missing and default is not None and default not in asked:
            try:
                # By itself: tags that hold the payload need not wait for it, and no provider is worse without it.
                found = {**self.client.resolve_optional(run, missing, default), **found}
                stack = (*asked, default)
            except (TagNotFound, TagNotUsable, NotRecorded) as error:
                absent = error
        if self.payload not in found:
            if absent is not None:
                raise absent
            there = self.client.resolve(run, stack=stack)
            near = difflib.get_close_matches(self.payload, there, n=3)
            raise NoPayloadForRun([self.payload], run, stack, near)
        if isinstance(absent, TagNotUsable):
            self._say_once(absent.tag, f"the default tag {absent.tag} is left out: it is {absent.state}")
        return found, stack

    def _opened(self, resolved: Resolved) -> Scorer:
        digest = self.sha256_of(resolved)
        if digest not in self._scorers:
            self._scorers[digest] = open_scorer(self.client.path(resolved))
        return self._scorers[digest]

    def _say_once(self, about: str, text: str) -> None:
        """Warn, but not again about the same file or tag in another run."""
        if about not in self._said:
            log.warning("%s", text)
        self._said.add(about)


def _rank(stack: Iterable[str], resolved: Resolved) -> int:
    """The place of the winner's tag; testing payloads, which no tag holds, go before all."""
    return next((rank for rank, tag in enumerate(stack) if tag == resolved.tag), -1)


def described_file(path: Path, scorer: Scorer) -> dict[str, Any]:
    """A local file in plain values, for metadata."""
    return {"file": str(path), "checkpoint_sha256": scorer.manifest.checkpoint_sha256}
