"""Stores for tests: each on both databases, made by the migrations, with a payload folder of its own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from conditions.store.schema import upgrade
from conditions.store.session import Store, open_store
from support.bucket import BucketServer, new_prefix, session_bucket_server
from support.postgres import create_database, drop_database, session_cluster, session_template
from support.server import Server, session_server

TESTER = "tester"  # who did it, in the audit rows of a test's store


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test sees the store, the stack or the user of whoever runs it."""
    for name in list(os.environ):
        if name.startswith(("CONDITIONS_", "BELLE2_")) and name != "CONDITIONS_STRESS":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-home"))


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file; a copy of it is a fresh store."""
    path = tmp_path_factory.mktemp("template") / "conditions.sqlite"
    upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture
def files_dir(tmp_path: Path) -> Path:
    """Where the payload files of this test's store lie; the store makes it."""
    return tmp_path / "payloads"


@pytest.fixture
def bucket_server(pytestconfig: pytest.Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BucketServer:
    """The session's S3 server, with its address and key in the environment; the cache is the test's own."""
    server = session_bucket_server(pytestconfig)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CONDITIONS_CACHE", str(tmp_path / "cache"))
    return server


@pytest.fixture
def bucket_url(bucket_server: BucketServer) -> str:
    """URL of a place in the bucket that no other test uses."""
    return new_prefix()


@pytest.fixture
def sqlite_url(tmp_path: Path, sqlite_template: Path) -> str:
    """URL of a fresh, migrated SQLite store."""
    path = tmp_path / "conditions.sqlite"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """URL of a fresh, migrated PostgreSQL store."""
    url = create_database(session_cluster(pytestconfig), session_template(pytestconfig, upgrade))
    yield url
    drop_database(url)


@pytest.fixture
def empty_postgres_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """URL of a new PostgreSQL database without a table."""
    url = create_database(session_cluster(pytestconfig))
    yield url
    drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """URL of a fresh, migrated store; a test that asks for it runs once on each database."""
    return str(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres_url"))


@pytest.fixture
def other_url(request: pytest.FixtureRequest, store_url: str, tmp_path: Path) -> str:
    """URL of a second, empty store of the same kind, made by itself: copies of a template share the template's id."""
    is_sqlite = store_url.startswith("sqlite")
    url = f"sqlite:///{tmp_path}/other.sqlite" if is_sqlite else str(request.getfixturevalue("empty_postgres_url"))
    upgrade(url)
    return url


@pytest.fixture
def other(other_url: str, files_dir: Path) -> Iterator[Store]:
    """A second, empty store that was given the first one's payload folder."""
    with open_store(other_url, files_dir, user=TESTER) as opened:
        yield opened


@pytest.fixture
def store(store_url: str, files_dir: Path) -> Iterator[Store]:
    """A fresh, empty store; a test that asks for it runs once on each database."""
    with open_store(store_url, files_dir, user=TESTER) as opened:
        yield opened


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> Server:
    """The session's server, once on each database; other tests use it, too, so names come from `server.unique`."""
    return session_server(pytestconfig, str(request.param))
