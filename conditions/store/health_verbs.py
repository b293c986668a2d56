"""A store's verb for those who ask whether it can serve."""

from __future__ import annotations

from conditions.store import queries
from conditions.store.core import StoreCore


class HealthVerbs(StoreCore):
    """Say whether everything that is needed answers."""

    def check_place(self) -> None:
        """Ask nobody whether there is a place for payload files at all.

        Raises:
            StoreUnavailable: nobody said where it is.
        """
        _ = self._files

    def check_database(self) -> None:
        """Ask the database one cheap thing.

        Raises:
            StoreError: it cannot serve at the moment.
        """
        with self._reading() as connection:
            queries.store_id(connection)

    def check_files(self) -> None:
        """Ask the place of the payload files one cheap thing.

        Raises:
            StoreError: it cannot serve at the moment.
        """
        self._files.read_owner()
