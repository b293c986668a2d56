"""Where payload files are looked for before the provider is asked: folders and base URLs, in order.

    /cvmfs/conditions              a folder, its files hashed or flat
    https://example.org/payloads   a base URL, with the usual path below it

What is found is compared with the payload's digest; other bytes are passed over.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote

from conditions.client.cache import PayloadCache
from conditions.client.http import IMPATIENT, HttpClient, HttpConfig
from conditions.client.places import PlaceKind, kind_of
from conditions.errors import CacheError, ConditionsError, ServerUnreachable
from conditions.payload import Payload

log = logging.getLogger(__name__)


class Location(Protocol):
    """A place that may have a payload's file."""

    def find(self, payload: Payload) -> Path | None:
        """The payload's verified file, None when it is not there."""
        ...


class PayloadLocations:
    """Locations in order.

    Args:
        places: folders and base URLs.
        cache: where files from base URLs are kept.
    """

    def __init__(self, places: Sequence[str], cache: PayloadCache) -> None:
        self._locations = [_location(place, cache) for place in places]

    def find(self, payload: Payload) -> Path | None:
        """The payload's verified file from the first location that has it."""
        return next((path for each in self._locations if (path := each.find(payload)) is not None), None)


class BaseUrl:
    """Payload files below a URL; one that cannot be reached is not asked again in this job."""

    def __init__(self, url: str, cache: PayloadCache) -> None:
        self._http: HttpClient | None = HttpClient(url, IMPATIENT)
        self._cache = cache

    def find(self, payload: Payload) -> Path | None:
        """The payload's file, from the cache or from below the URL."""
        http = self._http
        if http is None:
            return self._cache.find(payload)
        try:
            return self._cache.path_of(payload, lambda sink: http.fetch(conventional_path(payload), sink))
        except ServerUnreachable as error:
            log.warning("payload location %s is passed over from now on: %s", http.url, error.reason)
            self._http = None
        except CacheError:
            raise  # no other location has another cache
        except ConditionsError as error:
            log.warning("%s does not come from %s: %s", payload, http.url, error)
        return None


def conventional_path(payload: Payload) -> str:
    """Where a payload lies below a base URL, ready for a request."""
    return below(f"dbstore/{payload.name}/dbstore_{payload.name}_rev_{payload.revision}.root")


def below(path: str) -> str:
    """A path below a base URL, ready for a request."""
    return quote(path.lstrip("/"), safe="/:+@!$&'()*,;=-._~")


def fetch_below(base_url: str, path: str, sink: BinaryIO, config: HttpConfig = IMPATIENT) -> None:
    """Write the bytes at a path below a base URL into a stream."""
    http = HttpClient(base_url, config)
    try:
        http.fetch(below(path), sink)
    finally:
        http.close()


def _location(place: str, cache: PayloadCache) -> Location:
    if kind_of(place) is PlaceKind.SERVER:
        return BaseUrl(place, cache)
    from conditions.offline.locations import PayloadFolder

    return PayloadFolder(place)
