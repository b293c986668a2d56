"""The schema's revision: what the database has, what this program needs, and the way from one to the other.

An embedded SQLite store makes and upgrades itself. A server's schema is changed by its operator only:
`conditions db init`, `conditions db upgrade`.
"""

from __future__ import annotations

import errno
import glob
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Connection, Engine, inspect, text
from sqlalchemy.engine import URL

from conditions.errors import SchemaMismatch, StoreUnavailable
from conditions.store.engine import database_url, make_engine, our_errors, shown, sqlite_path, writing
from conditions.store.files import flush_folder

if TYPE_CHECKING:
    from alembic.config import Config

HEAD: Final = "0002"  # the newest migration; written down because asking alembic costs 0.2 s at every start
_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)  # file systems where a file has one name only
_UPGRADE_LOCK: Final = 0x636F6E64  # any number, the same for all upgrades of one PostgreSQL database

_SNAPSHOT_TABLES: Final = frozenset({"baseUrls", "globaltags", "iovs", "payloadNames"})


def head() -> str:
    """The schema revision this program needs."""
    return HEAD


def current(url: str | os.PathLike[str] | URL | None = None) -> str | None:
    """The schema revision a database has, None when it has none. Makes nothing."""
    where = _as_url(url)
    path = sqlite_path(where)
    if path is not None and not path.exists():
        return None
    engine = make_engine(where)
    try:
        return read_revision(where, engine)
    finally:
        engine.dispose()


def upgrade(url: str | os.PathLike[str] | URL | None = None) -> str:
    """Bring a database to the schema of this program, making it when it is empty; returns the revision.

    Any number of processes may do this at once: one does it, the others find it done.

    Raises:
        SchemaMismatch: the schema is newer than this program.
        StoreUnavailable: the database is not ours, or cannot be reached.
    """
    where = _as_url(url)
    path = sqlite_path(where)
    if path is not None and not path.exists():
        _make_sqlite(path)
    else:
        _upgrade_in_place(where)
    return HEAD


def prepare(url: URL, engine: Engine) -> str:
    """Make sure that a store that is being opened has the schema; returns the revision.

    Raises:
        SchemaMismatch: a server's schema is not the one this program needs.
    """
    path = sqlite_path(url)
    if path is not None and not path.exists():
        upgrade(url)
    found = read_revision(url, engine)
    if found == HEAD:
        return found
    if path is not None:
        return upgrade(url)
    advice = "run 'conditions db init'" if found is None else "run 'conditions db upgrade' with the newest program"
    raise SchemaMismatch(shown(url), found, HEAD, advice)


def read_revision(url: URL, engine: Engine) -> str | None:
    """The schema revision behind an engine, None for an empty database.

    Raises:
        StoreUnavailable: there are tables, but not ours.
    """
    with our_errors(url), engine.connect() as connection:
        return _read_revision(url, connection)


def unfinished(path: Path) -> list[Path]:
    """Folders in which a SQLite store was made by processes that died; when it is there, nobody needs them."""
    return sorted(path.parent.glob(f"{_unfinished_prefix(glob.escape(path.name))}*"))


def migrations_folder() -> Path:
    """Where the migrations lie: inside the installed package, or at the top of the source tree."""
    package = Path(__file__).parents[1]
    for folder in (package / "_migrations", package.parent / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise StoreUnavailable(package, "its migrations are missing; install the package again")


def alembic_config() -> Config:
    """What alembic must know to find the migrations."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _as_url(url: str | os.PathLike[str] | URL | None) -> URL:
    return url if isinstance(url, URL) else database_url(url)


def _read_revision(url: URL, connection: Connection) -> str | None:
    """The revision a connection sees."""
    tables = inspect(connection).get_table_names()
    if "alembic_version" in tables:
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        return None if found is None else str(found)
    if _SNAPSHOT_TABLES.issubset(tables):
        advice = "look into it with 'conditions snapshot show', give it to jobs in CONDITIONS_METADATA"
        raise StoreUnavailable(shown(url), f"it is a snapshot and no store: {advice}")
    if tables:
        raise StoreUnavailable(shown(url), f"it is another program's database, with tables {', '.join(tables[:3])}")
    return None


def _make_sqlite(path: Path) -> None:
    """Make a database beside its place and give it the name when it is complete, unless somebody was quicker."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_unfinished_prefix(path.name), dir=path.parent) as folder:
            made = Path(folder) / path.name
            _upgrade_in_place(URL.create("sqlite", database=str(made)))
            os.link(made, path)
            flush_folder(path.parent)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno == errno.ENOENT and path.exists():  # somebody was quicker, and a repair took what we made
            return
        if error.errno in _NO_LINKS:
            _upgrade_in_place(URL.create("sqlite", database=str(path)))
            return
        raise StoreUnavailable(path, error.strerror or str(error)) from error


def _unfinished_prefix(name: str) -> str:
    return f".new-{name}-"


def _upgrade_in_place(url: URL) -> None:
    """Run the migrations that are missing, all in one transaction."""
    from alembic import command
    from alembic.script import ScriptDirectory

    config = alembic_config()
    engine = make_engine(url)
    try:
        with our_errors(url), writing(engine).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
            found = _read_revision(url, connection)
            known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
            if found is not None and found not in known:
                raise SchemaMismatch(shown(url), found, HEAD, "the database is newer; install a newer program")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    finally:
        engine.dispose()
