"""The store: tags, payloads and intervals in a database, payload bytes in a folder.

Every change is one transaction with its audit rows. What a state forbids is refused here, under the lock of the
tag's row. The verbs stand in one file a noun; what they share is in `core.py`.
"""

from __future__ import annotations

import getpass
import os
from pathlib import Path

from sqlalchemy.engine import URL

from conditions.errors import BadInputError
from conditions.payload import check_text
from conditions.store import schema
from conditions.store.batch_verbs import BatchVerbs
from conditions.store.engine import database_url, make_engine, sqlite_path
from conditions.store.health_verbs import HealthVerbs
from conditions.store.history_verbs import HistoryVerbs
from conditions.store.index_verbs import IndexVerbs
from conditions.store.iov_verbs import IovVerbs
from conditions.store.payload_verbs import PayloadVerbs
from conditions.store.places import is_bucket
from conditions.store.plan_verbs import PlanVerbs
from conditions.store.tag_verbs import TagVerbs
from conditions.store.wire_verbs import WireVerbs


def open_store(
    url: str | os.PathLike[str] | None = None,
    files: str | os.PathLike[str] | None = None,
    user: str | None = None,
    *,
    pool_size: int = 5,
) -> Store:
    """Open a store. An embedded one is made when it is not there, and brought up to date when it is old.

    Args:
        url: database URL, or path of a SQLite file or of its folder; None means `CONDITIONS_URL`, else the
            user's own store.
        files: payload folder, or s3://BUCKET/PREFIX; None means `CONDITIONS_FILES` for a server and for the store
            that `CONDITIONS_URL` names, else `payloads` beside the SQLite file.
        user: who changes things, for the audit trail; None means `CONDITIONS_USER`, `BELLE2_USER`, or the
            user of this process.
        pool_size: connections that are kept open; a server wants as many as it has threads.

    Raises:
        SchemaMismatch: the database is a server's and not up to date, or is newer than this program.
        StoreUnavailable: it cannot be reached.
    """
    where = database_url(url)
    engine = make_engine(where, pool_size)
    try:
        revision = schema.prepare(where, engine)
    except BaseException:
        engine.dispose()
        raise
    return Store(where, engine, _files_folder(where, files), check_text("user", _user(user)), revision)


class Store(TagVerbs, PayloadVerbs, IovVerbs, IndexVerbs, PlanVerbs, WireVerbs, HistoryVerbs, BatchVerbs, HealthVerbs):
    """A conditions store; `open_store` makes one. `revision` is that of its schema."""


def _files_folder(url: URL, files: str | os.PathLike[str] | None) -> Path | str | None:
    """The payload folder or bucket, None when nobody named one for a server's database."""
    path = sqlite_path(url)
    # An embedded store that was named by hand must not take, or repair away, the files of the one in the environment.
    if files is None and (path is None or path == _usual_file()):
        files = os.environ.get("CONDITIONS_FILES") or None
    if files is not None and is_bucket(files):
        return str(files)
    if files is not None:
        return Path(files).expanduser().absolute()
    return None if path is None else path.parent / "payloads"


def _usual_file() -> Path | None:
    """The file of the store that the environment names; None when it names a server, ours or a database's."""
    if os.environ.get("CONDITIONS_URL", "").startswith(("http://", "https://")):
        return None
    return sqlite_path(database_url(None))


def _user(user: str | None) -> str:
    """Who changes things."""
    name = user or os.environ.get("CONDITIONS_USER") or os.environ.get("BELLE2_USER")
    if name:
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a container's user without an entry in passwd
        raise BadInputError("this process' user has no name; set CONDITIONS_USER") from error
