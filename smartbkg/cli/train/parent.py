"""The checkpoint that a fine-tuning starts from: a file, or a payload that is resolved and fetched, digest verified."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

import conditions
from conditions import Run
from conditions.cli.options import Settings, as_run
from conditions.client.environment import read_environment
from conditions.client.places import PlaceKind, as_places, kind_of
from conditions.errors import NotFoundError
from smartbkg.modules.shipped import bundled_defaults

DEFAULT_TAG = "SmartBKG_GATGAP"
_PINNED = re.compile(r"(?P<name>.+)@(?P<revision>[0-9]+)")


@dataclass(frozen=True)
class Parent:
    """A checkpoint to start from.

    Args:
        path: its file.
        origin: payload name, revision, tag, in plain values; empty for a file that was named.
    """

    path: Path
    origin: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.origin:
            return str(self.path)
        tag = f" of {self.origin['tag']}" if "tag" in self.origin else ""
        return f"{self.origin['name']}@{self.origin['revision']}{tag}"


@dataclass(frozen=True)
class Wanted:
    """A payload as it is asked for: NAME, or NAME@REVISION.

    >>> Wanted.parse("GATGAPgen.pth@3")
    Wanted(name='GATGAPgen.pth', revision=3)
    """

    name: str
    revision: int | None = None

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """From what was typed; wrong usage where the revision is no number."""
        pinned = _PINNED.fullmatch(text)
        if pinned is not None:
            return cls(pinned["name"], int(pinned["revision"]))
        if "@" in text or not text:
            raise click.UsageError(f"--from takes NAME or NAME@REVISION, as GATGAPgen.pth@3, not {text!r}")
        return cls(text)


def starting_point(settings: dict[str, Any], *, fresh_head: bool) -> Parent | None:
    """What the options of a training say it starts from, taken out of its settings; None for a training from nothing.

    Raises:
        ConditionsError: as `fetch_parent`.
    """
    payload, file = settings.pop("payload"), settings.pop("start_from")
    tags, store, run = settings.pop("tags"), settings.pop("store"), settings.pop("run")
    if payload is not None and file is not None:
        raise click.UsageError("--from a payload or --start-from a file, not both")
    if payload is None and (tags or store):
        raise click.UsageError("--tag and --store say where --from finds its payload: give it, too")
    if payload is not None:
        return fetch_parent(Wanted.parse(payload), tags, store, as_run(run))
    if file is None and fresh_head:
        raise click.UsageError("--fresh-head belongs to a fine-tuning: give --from or --start-from, too")
    return None if file is None else Parent(file)


def fetch_parent(wanted: Wanted, tags: tuple[str, ...], store: str | None, run: Run) -> Parent:
    """Resolve a payload as a job of that run would, or take one revision of it, and fetch its file.

    Tags that can still change may be used: what the training remembers is the digest.

    Raises:
        ConditionsError: no tag gives it for the run, there is no such revision, or its file is damaged.
    """
    with conditions.open(store, tags or None, allow_open=True, bundled=bundled_defaults()) as client:
        stack = client.stack or (DEFAULT_TAG,)
        try:
            resolved = client.get(wanted.name, run, stack=stack)
        except NotFoundError as error:
            if wanted.revision is None:
                raise
            found = str(error)
        else:
            payload = resolved.payload
            if wanted.revision in (None, payload.revision):
                origin = {"name": payload.name, "revision": payload.revision, "tag": resolved.tag}
                return Parent(client.path(resolved), origin)
            found = f"{' '.join(stack)} gives revision {payload.revision} for run {run}"
    return _revision(wanted, store, found)


def _revision(wanted: Wanted, store: str | None, found: str) -> Parent:
    """A revision that no tag gives, from the first store or server that has it; a snapshot knows its tags alone."""
    places = as_places(store) or read_environment().providers or (None,)
    for place in places:
        if place is None or kind_of(place) is not PlaceKind.SNAPSHOT:
            with Settings(None if place is None else os.fspath(place)).open() as catalogue, suppress(NotFoundError):
                payload = catalogue.get_payload(wanted.name, wanted.revision)
                return Parent(catalogue.payload_path(payload), {"name": payload.name, "revision": payload.revision})
    raise NotFoundError(f"no revision {wanted.revision} of payload {wanted.name!r} is to be had here: {found}")
