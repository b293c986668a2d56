"""Where conditions are kept: the only room that speaks SQL."""

from conditions.store.check import CheckReport
from conditions.store.session import Store, open_store

__all__ = ["CheckReport", "Store", "open_store"]
