"""Servers that these tests may spoil: none of another room's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from conditions.store.schema import upgrade
from conditions.store.session import Store, open_store
from support.postgres import create_database, drop_database, session_cluster, session_template
from support.server import Server, running_server

OPTIONS = ["--no-access-log", "--body-idle", "2"]


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def spoilt(
    request: pytest.FixtureRequest, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """A server with 2 workers on each database; all tests of this room share it, so names come from `unique`."""
    folder = tmp_path_factory.mktemp(f"spoilt-{request.param}")
    with ExitStack() as ending:
        url = f"sqlite:///{folder}/conditions.sqlite"
        if request.param == "postgresql":
            url = create_database(session_cluster(pytestconfig), session_template(pytestconfig, upgrade))
            ending.callback(drop_database, url)
        yield ending.enter_context(running_server(url, folder / "payloads", options=OPTIONS))


@pytest.fixture
def behind(spoilt: Server) -> Iterator[Store]:
    """The store that the server stands on, seen without the server."""
    with open_store(spoilt.store_url, spoilt.files, user="tester") as opened:
        yield opened
