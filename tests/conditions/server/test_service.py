"""What all routes share: threads that may block, who asks, and what the server is called."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from conditions.errors import ReadOnly, StoreBusy, TokenRefused
from conditions.rights import ANONYMOUS, Caller
from conditions.server import auth
from conditions.server.service import WAITING_PER_THREAD, Service
from conditions.server.settings import ServerSettings
from conditions.store.session import open_store

KEY = auth.secret_key(b"k" * 32)


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Service]]:
    made: list[Service] = []

    def service(*, writable: bool = True, **settings: Any) -> Service:
        store = open_store(tmp_path / "c.sqlite")
        made.append(Service(ServerSettings(**settings), store, auth.TokenCheck(KEY) if writable else None))
        return made[-1]

    yield service
    for each in made:
        each.close()


def scope(*headers: tuple[str, str], server: tuple[str, int] | None = ("10.0.0.1", 80)) -> dict[str, Any]:
    pairs = [(name.lower().encode(), value.encode()) for name, value in headers]
    return {"type": "http", "scheme": "http", "server": server, "headers": pairs}


@pytest.mark.parametrize(
    ("settings", "headers", "expected"),
    [
        ({}, [("Host", "db.example:8000")], "http://db.example:8000/"),
        ({}, [("Host", "[::1]:8000")], "http://[::1]:8000/"),
        ({}, [], "http://10.0.0.1:80/"),
        ({}, [("Host", 'a"><script>')], "http://10.0.0.1:80/"),
        ({}, [("Host", "a/b")], "http://10.0.0.1:80/"),
        ({}, [("Host", "a"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "b")], "http://a/"),
        ({"trust_proxy": True}, [("Host", "a"), ("X-Forwarded-Proto", "https")], "https://a/"),
        ({"trust_proxy": True}, [("Host", "a"), ("X-Forwarded-Host", "b, c")], "http://b/"),
        ({"trust_proxy": True}, [("Host", "a"), ("X-Forwarded-Proto", "javascript")], "http://a/"),
        ({"public_url": "https://conditions.example/db"}, [("Host", "a")], "https://conditions.example/db/"),
        ({"public_url": "https://conditions.example/db/"}, [], "https://conditions.example/db/"),
    ],
)
def test_the_base_url_is_what_the_client_used_or_the_operator_said(
    make: Callable[..., Service], settings: dict[str, Any], headers: list[tuple[str, str]], expected: str
) -> None:
    assert make(**settings).base_url(scope(*headers)) == expected


def test_either_header_carries_a_token_and_the_log_learns_the_name(make: Callable[..., Service]) -> None:
    service, token = make(), auth.issue(KEY, Caller("ada"), datetime.now(UTC), 60)
    for header in ("Authorization", "X-Authorization"):
        asked = scope((header, f"bearer  {token} "))
        assert service.caller(asked).name == asked["conditions.user"] == "ada"
    # What is in X-Authorization counts: a proxy may have put its own word into the other one.
    assert service.caller(scope(("Authorization", "Basic YTpi"), ("X-Authorization", f"Bearer {token}"))).name == "ada"


def test_without_a_token_one_is_anonymous_and_changes_nothing(make: Callable[..., Service]) -> None:
    service = make()
    assert service.caller(scope()) == service.caller(scope(("Authorization", "Basic YTpi"))) == ANONYMOUS
    with pytest.raises(TokenRefused):
        service.changer(scope(), "do that")
    with pytest.raises(TokenRefused):
        service.caller(scope(("Authorization", "Bearer nonsense")))


def test_without_a_key_nobody_changes_anything(make: Callable[..., Service]) -> None:
    service, token = make(writable=False), auth.issue(KEY, Caller("ada"), datetime.now(UTC), 60)
    assert service.caller(scope(("Authorization", f"Bearer {token}"))) == ANONYMOUS
    with pytest.raises(ReadOnly):
        service.changer(scope(("Authorization", f"Bearer {token}")), "do that")


def test_the_history_has_the_name_of_the_token(make: Callable[..., Service]) -> None:
    service = make()
    service.store_for(Caller("ada")).create_tag("x")
    assert service.store.tag_history("x")[0].who == "ada"


def test_calls_wait_for_a_thread_until_too_many_do(make: Callable[..., Service]) -> None:
    service, gate = make(threads=1), threading.Event()

    async def crowd() -> list[Any]:
        calls = [asyncio.ensure_future(service.run(gate.wait)) for _ in range(WAITING_PER_THREAD)]
        await asyncio.sleep(0)
        with pytest.raises(StoreBusy):
            await service.run(gate.wait)
        gate.set()
        return await asyncio.gather(*calls)

    assert asyncio.run(crowd()) == [True] * WAITING_PER_THREAD
    assert asyncio.run(service.run(max, 3, 5)) == 5


def test_a_call_that_reads_from_the_request_ends_before_the_request_does(make: Callable[..., Service]) -> None:
    service, gate, done = make(threads=1), threading.Event(), threading.Event()

    def slow() -> None:
        gate.wait()
        done.set()

    async def give_up() -> bool:
        call = asyncio.ensure_future(service.finish(slow))
        await asyncio.sleep(0.01)
        call.cancel()
        await asyncio.sleep(0.01)
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await call
        return done.is_set()

    assert asyncio.run(give_up())


def test_calls_of_clients_that_left_are_counted_until_they_end(make: Callable[..., Service]) -> None:
    service, gate = make(threads=1), threading.Event()

    async def crowd() -> None:
        calls = [asyncio.ensure_future(service.run(gate.wait)) for _ in range(WAITING_PER_THREAD)]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        with pytest.raises(StoreBusy):
            await service.run(gate.wait)
        gate.set()

    asyncio.run(crowd())


def test_long_calls_leave_threads_to_short_ones(make: Callable[..., Service]) -> None:
    service, gate = make(threads=2), threading.Event()

    async def crowd() -> list[Any]:
        calls = [asyncio.ensure_future(service.run_long(gate.wait)) for _ in range(WAITING_PER_THREAD)]
        await asyncio.sleep(0)
        assert await asyncio.wait_for(service.run(max, 3, 5), 30) == 5
        with pytest.raises(StoreBusy):
            await service.run_long(gate.wait)
        gate.set()
        return await asyncio.gather(*calls)

    assert asyncio.run(crowd()) == [True] * WAITING_PER_THREAD
