"""What a request may be, looked at before the application sees it: well written, not too large, not too slow.

A body that is too large or stops coming ends the request in the application with an error, and its answer, whatever
it is, is replaced by ours; so no framework in between can turn it into something else.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from conditions.errors import ConditionsError
from conditions.server.problems import RequestRefused, send_problem, unforeseen
from conditions.server.service import Service

UPLOADS: Final = re.compile(r"/v2/package/[^/]+/module/[^/]+/payload|/v1/batch")  # the rest is JSON, held in memory
STRANGERS_BYTES: Final = 4 << 20  # without a token only questions can be asked: 10,000 runs and names are less
_BAD_ESCAPE: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_CONTROL: Final = re.compile(rb"%(?:[01][0-9A-Fa-f]|7[Ff])|[\x00-\x1f\x7f]")
_NUMBER: Final = re.compile(rb"[0-9]{1,18}")


class Limits:
    """The layer around the application that refuses what it should not have to deal with."""

    def __init__(self, app: ASGIApp, service: Service) -> None:
        self.app, self.service = app, service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on a request that may be."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] in ("GET", "HEAD") and b"%" not in scope["raw_path"] and b"%" not in scope["query_string"]:
            await _Guarded(self.app, scope, receive, send, self.service).run()
            return
        try:
            _check_writing(scope)
        except RequestRefused as error:
            await send_problem(scope, receive, send, error)
            return
        await _Guarded(self.app, scope, receive, send, self.service).run()


class _Guarded:
    """One request on its way through the application."""

    def __init__(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, service: Service) -> None:
        self._app, self._scope, self._receive, self._send, self._service = app, scope, receive, send, service
        settings = service.settings
        self._idle_s = settings.body_idle_s
        self._is_upload = UPLOADS.fullmatch(scope["path"]) is not None
        most = settings.max_body_bytes if self._is_upload else settings.max_json_bytes
        self._limit = min(most, settings.max_body_bytes)
        self._bytes = 0
        self._ended = self._started = self._done = self._is_known = False
        self._fault: ConditionsError | None = None

    async def run(self) -> None:
        """Hand the request to the application, and make sure of an answer."""
        declared = _declared(self._scope)
        refused = declared if isinstance(declared, RequestRefused) else self._refusal(declared)
        if refused is not None:
            await send_problem(self._scope, self._receive, self._send, refused)
            return
        try:
            await self._app(self._scope, self.receive, self.send)
        except Exception as error:  # the last net: nothing below may answer in words of its own
            fault = self._fault or (error if isinstance(error, ConditionsError) else unforeseen(error))
            if self._done:  # the application has answered, and only tells us
                return
            if self._started:
                raise
            self._fault = None
            await send_problem(self._scope, self._receive, self._send, fault)
            return
        if self._fault is not None and not self._started:
            await send_problem(self._scope, self._receive, self._send, self._fault)

    async def receive(self) -> Message:
        """The next piece of the body, if it comes in time and there is room for it."""
        if self._fault is not None:
            raise self._fault
        if self._ended:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._idle_s)
        except TimeoutError:
            self._fault = RequestRefused(408, f"the body stopped coming for {self._idle_s:g} s", _CLOSE)
            raise self._fault from None
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._ended = not message.get("more_body", False)
            self._fault = self._refusal(self._bytes)
        else:
            self._fault = RequestRefused(400, "the client went away before the end of the body")
        if self._fault is not None:
            raise self._fault
        return message

    async def send(self, message: Message) -> None:
        """Pass on the answer, unless the body was refused meanwhile: then ours comes instead."""
        if self._fault is not None and not self._started:
            return
        self._started = True
        self._done = message["type"] == "http.response.body" and not message.get("more_body", False)
        await self._send(message)

    def _refusal(self, n_bytes: int) -> ConditionsError | None:
        """Why a body of so many bytes is not taken, None when it is; uploads look at the token before the body."""
        if n_bytes > self._limit:
            text = f"the request has {n_bytes} bytes or more, {self._limit} are the most that are taken"
            return RequestRefused(413, text, _CLOSE)
        if n_bytes <= STRANGERS_BYTES or self._is_upload or self._is_known:
            return None
        try:
            self._is_known = bool(self._service.caller(self._scope).name)
        except ConditionsError as error:
            return error
        if self._is_known:
            return None
        text = f"the request has {n_bytes} bytes or more, {STRANGERS_BYTES} are the most without a token"
        return RequestRefused(413, text, _CLOSE)


_CLOSE: Final = {"Connection": "close"}  # what is left of the body is not read


def _declared(scope: Scope) -> int | RequestRefused:
    """How many bytes a request says that it has; 0 when it does not say."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            if _NUMBER.fullmatch(value.strip()) is None:
                return RequestRefused(400, "Content-Length is no number that can be meant", _CLOSE)
            return int(value)
    return 0


def _check_writing(scope: Scope) -> None:
    """Refuse paths and queries whose escapes are broken, hide control characters, or are not UTF-8."""
    for what, text in (("path", scope["raw_path"]), ("query", scope["query_string"])):
        if _BAD_ESCAPE.search(text) is not None:
            raise RequestRefused(400, f"the {what} holds a % that begins no escape")
        if _CONTROL.search(text) is not None:
            raise RequestRefused(400, f"the {what} holds a control character")
        try:
            re.sub(rb"%([0-9A-Fa-f]{2})", lambda found: bytes([int(found[1], 16)]), text).decode("utf-8")
        except UnicodeDecodeError:
            raise RequestRefused(400, f"the {what} is not UTF-8") from None
