"""The outermost layer: a number for each request, a line of JSON in the log, and the metrics; `/health`, `/ready`.

A line says who did what: the user of the token, the action (the name of the route's function), status, duration,
bytes. Lines are collected for a tenth of a second, so that a busy server does not wait for its log with each request.
What a token, a query or a body holds is not in them.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conditions.errors import ConditionsError
from conditions.server import metrics
from conditions.server.metrics import Metrics, Seen
from conditions.server.problems import LOG, RequestRefused, problem_response, send_problem, unforeseen
from conditions.server.responses import json_response
from conditions.server.service import Service

FLUSH_S: Final = 0.1
FLUSH_BYTES: Final = 64 * 1024
CLIENT_LEFT: Final = 499  # no status was sent: what other servers write for it, too
SHOWN_CHARACTERS: Final = 300  # of a path or an agent
_NUMBER: Final = re.compile(rb"[A-Za-z0-9._\-]{1,64}")
# Lookups that are answered before any route is looked for; others have the path of their route.
_READY: Final = frozenset(
    {
        "/v2/iovPayloads",
        "/v2/iovPayloads/",
        "/payloadiovs",
        "/payloadiovs/",
        "/v2/payloadiovs",
        "/v2/payloadiovs/",
        "/v1/resolve",
    }
)


class Observed:
    """The whole application, observed."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self._app = app
        self._metrics: Metrics | None = Metrics()
        self._log = AccessLog() if service.settings.access_log else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, and remember it."""
        if scope["type"] == "http":
            await _Passage(self._app, self._metrics, self._log, scope, receive, send).run()
            return
        if scope["type"] == "lifespan" and not metrics.begin_worker():
            self._metrics = None
        try:
            await self._app(scope, receive, send)
        finally:
            if self._log is not None:
                self._log.flush()


class AccessLog:
    """Lines of JSON on stderr, several with one write."""

    def __init__(self, target: int | None = None) -> None:
        self._target = sys.stderr.fileno() if target is None else target
        self._lines: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def write(self, line: dict[str, Any]) -> None:
        """Write a line, soon."""
        data = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        self._lines.append(data)
        self._size += len(data)
        if self._size >= FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)

    def flush(self) -> None:
        """Write what has been collected."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        data = b"".join(self._lines)
        self._lines.clear()
        self._size = 0
        try:
            while data:
                data = data[os.write(self._target, data) :]
        except OSError:  # nobody reads the log any more: no reason to refuse an answer
            return


class _Passage:
    """One request on its way."""

    def __init__(
        self, app: ASGIApp, counted: Metrics | None, log: AccessLog | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self._app, self._metrics, self._log = app, counted, log
        self._scope, self._receive, self._send = scope, receive, send
        self._bytes_in = self._bytes_out = 0
        self._status = CLIENT_LEFT
        self._is_remembered = False
        self._number = _number_of(scope)
        scope["conditions.request"] = self._number

    async def run(self) -> None:
        self._method, self._path, self._begin = self._scope["method"], self._scope["path"], time.perf_counter()
        if self._metrics is not None:
            metrics.RUNNING.inc()
        try:
            await self._app(self._scope, self._received, self._sent)
        except Exception as error:  # the server around us would say this in words of its own, and not in JSON
            if self._status != CLIENT_LEFT:
                raise
            await send_problem(self._scope, self._receive, self._sent, unforeseen(error))
        finally:
            self._remember()

    def _remember(self) -> None:
        """Count and log, once: before the last piece is sent, so that who has an answer finds it counted."""
        if self._is_remembered:
            return
        self._is_remembered = True
        seconds = time.perf_counter() - self._begin
        route = _route_of(self._scope, self._path)
        method = self._method if self._method in _METHODS else "other"
        if self._metrics is not None:
            metrics.RUNNING.dec()
            self._metrics.count(Seen(route, method, self._status, seconds, self._bytes_in, self._bytes_out))
        if self._log is not None:
            self._log.write(self._line(self._method, self._path, route, seconds))

    async def _received(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._bytes_in += len(message.get("body", b""))
        return message

    async def _sent(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", self._number.encode())]}
            if self._method == "HEAD" or self._status in _WITHOUT_BODY:
                self._remember()  # who asked needs no more than the head
        elif message["type"] == "http.response.body":
            self._bytes_out += 0 if self._method == "HEAD" else len(message.get("body", b""))
            if not message.get("more_body", False):
                self._remember()
        await self._send(message)

    def _line(self, method: str, path: str, route: str, seconds: float) -> dict[str, Any]:
        scope = self._scope
        client = scope.get("client")
        return {
            "time": datetime.now(UTC),
            "request": self._number,
            "user": scope.get("conditions.user", ""),
            "action": _action_of(scope),
            "method": method,
            "path": path[:SHOWN_CHARACTERS].encode(errors="replace").decode(),
            "route": route,
            "status": self._status,
            "seconds": round(seconds, 6),
            "bytes_in": self._bytes_in,
            "bytes_out": self._bytes_out,
            "client": "" if client is None else client[0],
            "agent": _header(scope, b"user-agent")[:SHOWN_CHARACTERS].decode("latin-1"),
            "worker": os.getpid(),
        }


_WITHOUT_BODY: Final = (204, 304)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def routes(service: Service) -> list[Route]:
    """What operators ask: `/health` of the process, `/ready` of all it stands on, `/metrics`."""

    async def health(_request: Request) -> Response:
        return json_response({"status": "ok"})

    async def ready(_request: Request) -> Response:
        for what, check in (("database", service.store.check_database), ("payload files", service.store.check_files)):
            try:
                await service.run(check)
            except ConditionsError as error:
                LOG.warning("not ready: %s", error)  # an answer names neither host nor folder
                said = f"not ready: the {what} cannot be reached ({type(error).__name__}); the server's log says why"
                return problem_response(RequestRefused(503, said))
        return json_response({"status": "ok"})

    async def show_metrics(_request: Request) -> Response:
        text = await service.run(metrics.shown)
        return Response(text, headers={"Content-Type": metrics.CONTENT_TYPE, "Cache-Control": "no-store"})

    return [Route("/health", health), Route("/ready", ready), Route("/metrics", show_metrics)]


def _number_of(scope: Scope) -> str:
    """The request's number: that which a proxy gave, when it looks like one, else a new one."""
    given = _header(scope, b"x-request-id")
    return given.decode() if _NUMBER.fullmatch(given) else os.urandom(8).hex()


def _header(scope: Scope, wanted: bytes) -> bytes:
    for name, value in scope["headers"]:
        if name == wanted:
            found: bytes = value
            return found
    return b""


def _route_of(scope: Scope, path: str) -> str:
    """The path of the route with names in braces; one word for all paths that are none."""
    route = scope.get("route")
    template = getattr(route, "path", None)
    if template is None or scope.get("endpoint") is None:
        return path if path in _READY else "none"
    return f"{scope.get('root_path', '')}{template}"


def _action_of(scope: Scope) -> str:
    """What was asked for, in one word or two."""
    said = scope.get("conditions.action") or getattr(scope.get("endpoint"), "__name__", None)
    if said is None:
        return "look up" if scope["path"] in _READY else "none"
    return str(said)
