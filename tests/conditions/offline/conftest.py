"""One small store for what needs no second database: the offline files are the same for both."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from conditions.store.session import Store, open_store


@pytest.fixture
def embedded(sqlite_url: str, files_dir: Path) -> Iterator[Store]:
    """A fresh, empty embedded store."""
    with open_store(sqlite_url, files_dir, user="tester") as opened:
        yield opened
