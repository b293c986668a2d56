"""Names of databases, and what becomes of foreign errors."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL
from sqlalchemy.exc import OperationalError

from conditions.errors import BadInputError, StoreBusy, StoreError, StoreFull, StoreUnavailable
from conditions.iov import Run
from conditions.store.engine import database_url, make_engine, our_errors, shown, sqlite_path, writing
from conditions.store.schema import upgrade
from conditions.store.session import Store, open_store
from support.stores import tag_with


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("postgresql://h/db", "postgresql+psycopg://h/db"),
        ("postgresql+psycopg://u@h:5/db", "postgresql+psycopg://u@h:5/db"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("/a/b.sqlite", "sqlite:////a/b.sqlite"),
        ("/a/folder", "sqlite:////a/folder/conditions.sqlite"),
    ],
)
def test_a_place_becomes_a_url(where: str, expected: str) -> None:
    assert str(database_url(where)) == expected


def test_a_folder_with_a_dot_is_still_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run.7"
    folder.mkdir()
    assert sqlite_path(database_url(folder)) == folder / "conditions.sqlite"


@pytest.mark.parametrize(
    "where", ["mysql://h/db", "sqlite://", "sqlite:///:memory:", "http://h", "postgresql://h:x/db"]
)
def test_other_places_are_refused(where: str) -> None:
    with pytest.raises(BadInputError):
        database_url(where)


def test_a_password_is_never_shown() -> None:
    assert shown(database_url("postgresql://ada:secret@h/db")) == "postgresql://ada:***@h/db"
    options = "password=secret&sslpassword=secret&sslmode=require"
    assert shown(database_url(f"postgresql://ada@h/db?{options}")) == "postgresql://ada@h/db?sslmode=require"


@pytest.mark.parametrize("where", ["postgresql://ada:secret@h:x/db", "postgresql://h:secret/db", "a b://ada:secret@h"])
def test_a_url_that_cannot_be_read_is_not_repeated(where: str) -> None:
    with pytest.raises(BadInputError, match="cannot be read") as caught:
        database_url(where)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


def test_a_store_stays_the_same_when_the_process_goes_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with open_store("sqlite:///s.sqlite") as store:
        store.create_tag("mc16")
        store.close()
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        assert [tag.name for tag in store.list_tags()] == ["mc16"]


def test_settings_of_every_sqlite_connection(sqlite_url: str) -> None:
    engine = make_engine(database_url(sqlite_url))
    try:
        with engine.connect() as connection:
            read = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in SETTINGS}
    finally:
        engine.dispose()
    assert read == SETTINGS


SETTINGS = {"journal_mode": "wal", "foreign_keys": 1, "synchronous": 2, "busy_timeout": 60_000}


def test_a_writer_holds_the_lock_from_its_first_look(sqlite_url: str) -> None:
    url = database_url(sqlite_url)
    engine = make_engine(url)
    other = sqlite3.connect(str(url.database), timeout=0, isolation_level=None)
    try:
        with writing(engine).begin() as connection:
            connection.execute(text("SELECT count(*) FROM tags")).scalar_one()
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
    finally:
        other.close()
        engine.dispose()


@pytest.mark.parametrize("act", [open_store, upgrade])
def test_a_sqlite_that_is_too_old_is_named_with_the_version_that_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Callable[[Path], object]
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version", "3.34.1")
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreUnavailable, match=r"s.sqlite cannot be used: .* SQLite 3\.34\.1, 3\.35\.0 or newer"):
        act(tmp_path / "s.sqlite")
    assert list(tmp_path.iterdir()) == []


def test_resolution_uses_no_operator_that_came_after_the_oldest_sqlite(sqlite_url: str, files_dir: Path) -> None:
    def allow(action: int, _argument: str | None, function: str | None, *_rest: object) -> int:
        newer = action == sqlite3.SQLITE_FUNCTION and function in ("->", "->>")  # 3.38
        return sqlite3.SQLITE_DENY if newer else sqlite3.SQLITE_OK

    with open_store(sqlite_url, files_dir, user="tester") as store:
        tag_with(store, "mc16", "gat")
        with store._engine.connect() as connection:  # the pool hands the same connection out again
            driver: Any = connection.connection.dbapi_connection
            driver.set_authorizer(allow)
        assert list(store.resolve("mc16", Run(0, 0), ["gat"], allow_open=True)) == ["gat"]


class DriverError(Exception):
    """As the driver raises it, with the server's code."""

    def __init__(self, message: str, sqlstate: str | None = None) -> None:
        self.sqlstate = sqlstate
        self.sqlite_errorname: str | None = None
        super().__init__(message)


@pytest.mark.parametrize(
    ("raised", "ours"),
    [
        (DriverError("database or disk is full"), StoreFull),
        (DriverError("could not extend file", "53100"), StoreFull),
        (DriverError("database is locked"), StoreBusy),
        (DriverError("deadlock detected", "40P01"), StoreBusy),
        (DriverError("connection refused"), StoreUnavailable),
    ],
)
def test_foreign_errors_never_leave(raised: DriverError, ours: type[StoreError]) -> None:
    url = database_url("postgresql://ada:secret@h/db")
    with pytest.raises(ours, match=r"ada:\*\*\*@h/db") as caught, our_errors(url):
        raise OperationalError("SELECT 1", {}, raised)
    assert isinstance(caught.value.__cause__, OperationalError)
    assert "SELECT" not in str(caught.value)


def write_fails(url: URL) -> None:
    """As SQLite says it when writing fails for any reason but ENOSPC."""
    raised = DriverError("disk I/O error")
    raised.sqlite_errorname = "SQLITE_IOERR_WRITE"
    with our_errors(url):
        raise OperationalError("INSERT", {}, raised)


def test_a_dying_disk_is_not_taken_for_a_full_one(sqlite_url: str, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StoreUnavailable, match=r"conditions.sqlite cannot be used: disk I/O error .SQLITE_IOERR_WRITE"):
        write_fails(database_url(sqlite_url))
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("reason", "ours"), [(errno.EIO, StoreUnavailable), (errno.ENOSPC, StoreFull), (errno.EDQUOT, StoreFull)]
)
def test_why_a_write_failed_is_asked_of_the_disk(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, reason: int, ours: type[StoreError]
) -> None:
    def refuse(_handle: int) -> None:
        raise OSError(reason, os.strerror(reason))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ours):
        write_fails(database_url(sqlite_url))


GROW = """
import sys
from conditions.errors import StoreFull
from conditions.store import open_store
with open_store(sys.argv[1], user="tester") as store:
    try:
        for n in range(100):
            store.create_tag(f"tag{n}", description="x" * 60_000)
    except StoreFull as error:
        print(error)
    store.list_tags()
"""


def test_a_database_that_reaches_the_limit_of_its_process_is_full(sqlite_url: str) -> None:
    script = ["prlimit", "--fsize=2000000", sys.executable, "-c", GROW, sqlite_url]
    done = subprocess.run(script, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("no space left in ")


def test_two_transactions_that_cross_end_with_one_told_to_try_again(postgres_url: str, files_dir: Path) -> None:
    """Each holds the tag the other wants next."""
    import threading

    with open_store(postgres_url, files_dir, user="tester") as store:
        for name in ("a", "b"):
            store.create_tag(name)
        together, busy = threading.Barrier(2), []

        def change(first: str, second: str) -> None:
            try:
                with store.transaction():
                    store.modify_tag(first, description=first)
                    together.wait()
                    store.modify_tag(second, description=first)
            except StoreBusy as error:
                busy.append(error)

        threads = [threading.Thread(target=change, args=names) for names in (("a", "b"), ("b", "a"))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(busy) == 1
        assert "crossed" in str(busy[0])
        assert {store.get_tag(name).description for name in ("a", "b")} in ({"a"}, {"b"})


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite"
    path.write_text("these are my notes, not a database, and they are long enough to be read as a header" * 20)
    with pytest.raises(StoreUnavailable, match=r"notes.sqlite cannot be used: file is not a database"):
        open_store(path)


def test_a_store_that_vanished_is_named(store: Store) -> None:
    with store._writer.begin() as connection:
        connection.execute(
            text("DROP TABLE audit" if connection.dialect.name == "sqlite" else "DROP TABLE audit CASCADE")
        )
    with pytest.raises(StoreUnavailable, match="audit"):
        store.create_tag("mc16")
    assert store.list_tags() == []
