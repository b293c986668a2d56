"""Makes the client of a job: its providers, payload cache and locations, testing payloads and record."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from conditions.client.bundled import Bundled, WithBundled
from conditions.client.cache import PayloadCache
from conditions.client.chain import Chain, Provider
from conditions.client.client import Client, ClientConfig
from conditions.client.environment import Environment, read_environment
from conditions.client.places import Place, PlaceKind, as_places, kind_of, path_of, shown_place, usual_store
from conditions.client.record import JobRecord
from conditions.client.replay import ReplaySource
from conditions.client.transport import Source
from conditions.errors import StoreUnavailable

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OpenConfig:
    """What may be said when conditions are opened; see `conditions.open`."""

    user: str | None = None
    allow_open: bool = False
    record: bool | str | os.PathLike[str] = False
    replay: JobRecord | str | os.PathLike[str] | None = None
    bundled: Bundled | None = None


def open_client(
    where: Place | Sequence[Place] | None, stack: Sequence[str] | str | None, config: OpenConfig = OpenConfig()
) -> Client:
    """The client of `conditions.open`."""
    environment = read_environment()
    cache = PayloadCache()
    source = _source(as_places(where), environment, cache, config)
    surroundings = ClientConfig(record=bool(config.record))
    if config.record and not isinstance(config.record, bool):
        surroundings = replace(surroundings, record_to=config.record)
    # What is replayed was told to the job with its testing payloads on top.
    if environment.testing and config.replay is None:
        from conditions.offline.testing import TestingPayloads

        surroundings = replace(surroundings, testing=tuple(TestingPayloads(path) for path in environment.testing))
    if environment.payloads:
        from conditions.client.files import PayloadLocations

        surroundings = replace(surroundings, files=PayloadLocations(environment.payloads, cache))
    tags = environment.tags if stack is None else stack
    if config.replay is not None:
        record = config.replay if isinstance(config.replay, JobRecord) else JobRecord.read(Path(config.replay))
        source = ReplaySource(record, source, cache)
        tags = record.stacks()[0] if stack is None and record.stacks() else tags
    return Client(source, tags, allow_open=config.allow_open, config=surroundings)


def open_source(
    place: Place, cache: PayloadCache, *, user: str | None = None, must_exist: bool = False, patient: bool = True
) -> Source:
    """What answers at a place.

    Args:
        place: a server, a snapshot or a store.
        cache: where fetched payload files are kept.
        user: on whose behalf.
        must_exist: whether an embedded store that is not there is an error; else it makes itself.
        patient: whether to wait for a server that is being restarted; not when somebody else can be asked.

    Raises:
        StoreError: nobody does.
    """
    kind = kind_of(place)
    if kind is PlaceKind.SERVER:
        from conditions.client.http_source import HttpSource

        return HttpSource(os.fspath(place), cache, patient=patient)
    path = path_of(place)
    if kind is PlaceKind.SNAPSHOT and path is not None:
        from conditions.client.snapshot_files import SnapshotWithFiles

        return SnapshotWithFiles(path, cache)
    # A store of one's own makes itself; one among several providers that is not there was not meant to be empty.
    if must_exist and path is not None and (not path.exists() or (path.is_file() and not path.stat().st_size)):
        raise StoreUnavailable(
            path, "it is empty: no snapshot and no store" if path.exists() else "there is no such file"
        )
    return _store(place, user)


def _source(places: tuple[Place, ...], environment: Environment, cache: PayloadCache, config: OpenConfig) -> Source:
    """Where conditions come from: what is configured, and what came along for what nobody there knows."""
    bundled = config.bundled
    if bundled is None:
        return _configured(places, environment, cache, config)
    if not places and not environment.providers and not _is_there(usual_store()):
        # Nothing is configured, and nobody ever made a store here: one that is empty would help nobody.
        log.info("conditions come from %s, %s: nothing else is configured", bundled.what, bundled.path)
        return open_source(bundled.path, cache, user=config.user, must_exist=True)
    return WithBundled(_configured(places, environment, cache, config), bundled, cache)


def _configured(places: tuple[Place, ...], environment: Environment, cache: PayloadCache, config: OpenConfig) -> Source:
    """One place by itself, or several as a chain."""
    chosen = places or environment.providers
    if not chosen:
        return _store(None, config.user)
    if len(chosen) == 1:
        # One that makes itself is empty: where something came along, it would answer in the place of a mistyped store.
        must_exist = config.bundled is not None or (not places and not environment.makes_store)
        return open_source(chosen[0], cache, user=config.user, must_exist=must_exist)
    openers = {
        place: partial(open_source, place, cache, user=config.user, must_exist=True, patient=False) for place in chosen
    }
    return Chain([Provider(shown_place(place), opener) for place, opener in openers.items()])


def _is_there(path: Path) -> bool:
    """Whether a file is there; StoreUnavailable where that cannot be seen, since it may be one."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise StoreUnavailable(path, error.strerror or str(error)) from error
    return True


def _store(place: Place | None, user: str | None) -> Source:
    """A store with its database at hand."""
    from conditions.store.session import open_store  # loads sqlalchemy, which other places do not need

    return open_store(place, user=user)
