"""A snapshot whose payload files may also be fetched: from the folder beside it, else from the URL it names."""

from __future__ import annotations

from pathlib import Path

from conditions.client.cache import PayloadCache
from conditions.client.files import fetch_below
from conditions.errors import PayloadNotHere
from conditions.offline.snapshot import SnapshotSource
from conditions.payload import Payload


class SnapshotWithFiles(SnapshotSource):
    """A snapshot as a job reads it.

    Args:
        path: the snapshot.
        cache: where fetched files are kept.
    """

    def __init__(self, path: Path, cache: PayloadCache) -> None:
        super().__init__(path)
        self._cache = cache

    def payload_path(self, payload: Payload) -> Path:
        """The payload's verified file: from the folder beside the snapshot, the cache, or the snapshot's base URL."""
        try:
            return super().payload_path(payload)
        except PayloadNotHere:
            found = self._cache.find(payload)
            if found is not None:
                return found
            url = self.payload_url(payload)
            if url is None:
                raise
        base_url, path = url
        return self._cache.path_of(payload, lambda sink: fetch_below(base_url, path, sink))
