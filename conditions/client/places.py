"""Where conditions can be kept, told by the looks of an address: a server, a snapshot file, or a store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path
from typing import Final, TypeAlias

Place: TypeAlias = str | os.PathLike[str]
STORE_FILE: Final = "conditions.sqlite"


class PlaceKind(Enum):
    """What answers at a place."""

    SERVER = "server"
    SNAPSHOT = "snapshot"
    STORE = "store"


def kind_of(place: Place) -> PlaceKind:
    """What kind of place this is; a SQLite file says in its header whether it is a snapshot."""
    text = os.fspath(place)
    if text.lower().startswith(("http://", "https://")):
        return PlaceKind.SERVER
    from conditions.offline.snapshot import is_snapshot  # loads sqlite3, which a server does not need

    path = path_of(text)
    return PlaceKind.SNAPSHOT if path is not None and is_snapshot(path) else PlaceKind.STORE


def path_of(place: Place) -> Path | None:
    """The file or folder that a place names; None for what is reached by a URL."""
    text = os.fspath(place).removeprefix("sqlite:///")
    return None if "://" in text else Path(text).expanduser().absolute()


def as_places(where: Place | Sequence[Place] | None) -> tuple[Place, ...]:
    """The places that were named; a text may name several with spaces between them, as the environment does.

    A path may hold spaces, too: a text is several places only if it is no existing path, and some word of it alone
    is an existing path or, beside others, a URL.
    """
    if where is None:
        return ()
    if not isinstance(where, str):
        return (where,) if isinstance(where, os.PathLike) else tuple(where)
    words = where.split()
    if len(words) < 2 or _exists(where):
        return (where.strip(),) if where.strip() else ()
    n_urls = sum("://" in word for word in words)
    is_list = n_urls > 1 or (n_urls and kind_of(words[0]) is PlaceKind.SERVER) or any(map(_exists, words))
    return tuple(words) if is_list else (where,)


def usual_store() -> Path:
    """The file of the user's own store, which is used where nothing is configured."""
    import platformdirs

    return platformdirs.user_data_path("conditions") / STORE_FILE


def shown_place(place: Place) -> str:
    """A place for messages: without user and password."""
    text = os.fspath(place)
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text
    shown = rest.partition("?")[0]
    if scheme.lower() in ("http", "https"):
        authority, slash, path = shown.partition("/")
        return f"{scheme}://{authority.rpartition('@')[2]}{slash}{path}"
    return f"{scheme}://{shown.rpartition('@')[2]}"  # the password of a database may hold a slash


def shown_places(places: Iterable[Place]) -> str:
    """Several places for messages."""
    return ", ".join(map(shown_place, places))


def _exists(text: str) -> bool:
    path = path_of(text)
    try:
        return path is not None and path.exists()
    except (OSError, ValueError):  # too long, or a NUL
        return False
