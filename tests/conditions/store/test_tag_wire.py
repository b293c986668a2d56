"""The connection that asks for tags from within an event loop notices at once that the database has gone."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest
import uvloop

from conditions.errors import StoreUnavailable
from conditions.store.schema import upgrade
from conditions.store.session import Store, open_store
from support.postgres import cluster, create_database
from support.stores import tag_with


def kill_unheard(process: int) -> None:
    """Let a backend say its last word and go, without having read what was sent to it: the connection is reset."""
    os.kill(process, signal.SIGQUIT)
    os.kill(process, signal.SIGCONT)
    while Path(f"/proc/{process}").exists():
        time.sleep(0.001)


async def ask_one_that_dies(store: Store) -> None:
    wire = store.wire_tags()
    assert wire is not None
    try:
        wire.attach()
        assert set(await wire.facts(["t", "u"])) == {"t"}
        backend = wire._connection.backend_pid
        os.kill(backend, signal.SIGSTOP)
        asked = asyncio.ensure_future(wire.facts(["t"]))
        await asyncio.sleep(0)  # it is sent; the last word and the end of the connection are then found together
        kill_unheard(backend)
        await asked
    finally:
        wire.close()


def test_a_query_in_flight_fails_when_its_backend_dies(tmp_path: Path) -> None:
    """And not only when patience ends, which is what the message would say."""
    with cluster() as admin:
        url = create_database(admin)
        upgrade(url)
        with open_store(url, tmp_path, user="tester") as store:
            tag_with(store, "t", "gain")
            with pytest.raises(StoreUnavailable, match=r"closed the connection|terminating connection|reset"):
                uvloop.run(ask_one_that_dies(store))
