"""A store's verb for those who ask whether it can serve."""

from __future__ import annotations

from conditions.store import queries
from conditions.store.core import StoreCore


class HealthVerbs(StoreCore):
    """Say whether everything that is needed answers."""

    def check_ready(self) -> None:
        """Ask the database and the payload files one cheap thing each.

        Raises:
            StoreError: one of them cannot serve at the moment.
        """
        with self._reading() as connection:
            queries.store_id(connection)
        self._files.read_owner()
