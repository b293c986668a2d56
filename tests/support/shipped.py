"""A small copy of what comes along with an installation: published tags in a snapshot, with random networks."""

from __future__ import annotations

from pathlib import Path

import pytest

from conditions.store import open_store
from smartbkg.defaults import SNAPSHOT, TAGS, VARIABLE
from support.providers import snapshot_of
from support.trained import publish_trained
from support.trained_multiskim import publish_random


def ship(folder: Path, seed: int = 1) -> Path:
    """The snapshot of a GATGAP and a multi-skim network, which nobody evaluated."""
    maker = folder.parent / f"{folder.name}-maker"
    with open_store(maker / "store.sqlite") as store:
        publish_trained(store, maker / "gatgap", seed=seed)
        publish_random(store, maker / "multiskim", seed=seed)
        return snapshot_of(store, folder / SNAPSHOT, *TAGS, details=True, files=True)


def installed(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Such a snapshot in the place of the one that came along, with nothing else configured and an empty home."""
    for name in ("CONDITIONS_TAGS", "BELLE2_CONDB_GLOBALTAG", "CONDITIONS_URL", "CONDITIONS_METADATA"):
        monkeypatch.delenv(name, raising=False)
    for name in ("BELLE2_CONDB_METADATA", "BELLE2_CONDB_SERVERLIST", "CONDITIONS_FILES", "CONDITIONS_TESTING"):
        monkeypatch.delenv(name, raising=False)
    path = ship(folder / "shipped")
    monkeypatch.setenv("XDG_DATA_HOME", str(folder / "home"))
    monkeypatch.setattr("smartbkg.defaults.FOLDER", path.parent)
    monkeypatch.setenv(VARIABLE, "on")
    return path
