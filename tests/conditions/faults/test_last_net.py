"""What nobody foresaw, in a layer before the routes: it is JSON all the same, and the worker goes on."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import requests
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from conditions.server.observe import Observed
from conditions.server.protocol import ConditionsProtocol
from conditions.server.service import Service
from conditions.server.settings import ServerSettings
from conditions.store.session import open_store


async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("secret of the house")


async def fails_late(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
    await send({"type": "http.response.body", "body": b"half", "more_body": True})
    raise RuntimeError("secret of the house")


@pytest.fixture
def answer_of(sqlite_url: str, files_dir: Path) -> Callable[[ASGIApp], requests.Response]:
    """The answer of a real server whose application is this one, below the outermost layer."""

    def ask(app: ASGIApp) -> requests.Response:
        with open_store(sqlite_url, files_dir) as store:
            service = Service(ServerSettings(access_log=False), store, None)
            return asyncio.run(_served(Observed(app, service), _ask))

    return ask


async def _ask(url: str) -> requests.Response:
    return await asyncio.get_running_loop().run_in_executor(None, lambda: requests.get(url, timeout=30))


async def _served(app: ASGIApp, act: Callable[[str], Awaitable[requests.Response]]) -> requests.Response:
    """What happens while a server runs."""
    config = uvicorn.Config(app, http=ConditionsProtocol, ws="none", lifespan="off", log_config=None)
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        running = asyncio.ensure_future(server.serve([listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            return await act(f"http://127.0.0.1:{listener.getsockname()[1]}/v2/globalTags")
        finally:
            server.should_exit = True
            await running


def test_a_failure_before_the_answer_is_json(
    answer_of: Callable[[ASGIApp], requests.Response], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = answer_of(fails)
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/json")
    assert set(answer.json()) == {"code", "reason", "message"}
    assert "secret" not in answer.text
    assert "unforeseen error" in caplog.text


def test_a_failure_in_the_middle_of_an_answer_cuts_the_connection(
    answer_of: Callable[[ASGIApp], requests.Response], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(requests.RequestException):
        answer_of(fails_late)
    assert "secret of the house" in caplog.text
