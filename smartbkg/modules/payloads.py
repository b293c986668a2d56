"""Which trained file holds for a run: the checkpoint a tag names, and its export for workers without torch.

Two payloads with one IoV serve two kinds of readers: `GATGAPgen.pth`, a torch checkpoint that existing programs
open, and `GATGAPgen.onnx`, its export. The export says in its manifest of which checkpoint it was made, by sha256.
"""

from __future__ import annotations

import difflib
import logging
import os
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import conditions
from conditions import Client, NoPayloadForRun, Resolved, Run
from conditions.errors import TagNotFound, TagNotUsable
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
    return conditions.open(None if where is None else os.fspath(where), stack, allow_open=allow_open)


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
                main.payload.sha256,
                f"no payload {companion!r} for {run} in {', '.join(stack)}: {main.payload} is read with torch",
            )
            return Choice(self._opened(main), (main,))
        return self._with_export(main, export, stack)

    def _with_export(self, main: Resolved, export: Resolved, stack: tuple[str, ...]) -> Choice:
        scorer = self._opened(export)
        made_of = scorer.manifest.checkpoint_sha256
        if made_of == main.payload.sha256:
            return Choice(scorer, (main, export))
        if stack.index(export.tag) > stack.index(main.tag):
            # A tag in front has a checkpoint of its own and no export; the export behind it belongs to another one.
            self._say_once(
                main.payload.sha256,
                f"{export.payload} of {export.tag} is no export of {main.payload} of {main.tag}: torch reads it",
            )
            return Choice(self._opened(main), (main,))
        raise ModelMismatch(
            f"{export.payload} in {export.tag} was made of a checkpoint with sha256 {(made_of or 'unknown')[:12]}…, "
            f"but {main.payload} in {main.tag} has {main.payload.sha256[:12]}…: publish the two files of one training"
            " together"
        )

    def _resolve(self, run: Run, names: list[str]) -> tuple[dict[str, Resolved], tuple[str, ...]]:
        stack = tuple(dict.fromkeys([*self.stack, *([self.default_tag] if self.default_tag else [])]))
        try:
            found = self.client.resolve(run, names, stack=stack)
        except (TagNotFound, TagNotUsable) as error:
            # The default tag is asked last; tags that hold the payload need not wait for it to exist.
            tag = error.name if isinstance(error, TagNotFound) else error.tag
            if tag != self.default_tag or tag in self.stack or not self.stack:
                raise
            stack = self.stack
            found = self.client.resolve(run, names, stack=stack)
            if self.payload not in found:
                raise
            self._say_once(tag, f"the default tag is left out: {error}")
        if self.payload not in found:
            there = self.client.resolve(run, stack=stack)
            near = difflib.get_close_matches(self.payload, there, n=3)
            raise NoPayloadForRun([self.payload], run, stack, near)
        return found, stack

    def _opened(self, resolved: Resolved) -> Scorer:
        digest = resolved.payload.sha256
        if digest not in self._scorers:
            self._scorers[digest] = open_scorer(self.client.path(resolved))
        return self._scorers[digest]

    def _say_once(self, about: str, text: str) -> None:
        """Warn, but not again about the same file or tag in another run."""
        if about not in self._said:
            log.warning("%s", text)
        self._said.add(about)


def described(resolved: Resolved) -> dict[str, Any]:
    """A resolved payload in plain values, for metadata."""
    payload = resolved.payload
    return {
        "name": payload.name,
        "revision": payload.revision,
        "sha256": payload.sha256,
        "tag": resolved.tag,
        "iov": str(resolved.iov),
    }


def described_file(path: Path, scorer: Scorer) -> dict[str, Any]:
    """A local file in plain values, for metadata."""
    return {"file": str(path), "checkpoint_sha256": scorer.manifest.checkpoint_sha256}
