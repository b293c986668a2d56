"""What all routes share: the store, the threads that may block in it, who asks, and what the server is called."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final, ParamSpec, TypeVar

from starlette.types import Scope

from conditions.errors import ReadOnly, StoreBusy, TokenRefused
from conditions.rights import ANONYMOUS, Caller
from conditions.server.auth import TokenCheck
from conditions.server.sending import PayloadBytes
from conditions.server.settings import ServerSettings
from conditions.store.session import Store

P = ParamSpec("P")
T = TypeVar("T")
WAITING_PER_THREAD: Final = 64  # calls that may wait for a thread; more would only wait longer than clients do
LONG_CALLS: Final = 2  # of those that read whole tags: each may take a minute, a processor and a gigabyte
STREAMS: Final = 4  # long lists that are being sent at once; each holds a connection to the database
_HOST: Final = re.compile(rb"[A-Za-z0-9.\-_]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")


class Service:
    """One worker's store and rules. `tokens` None: nothing can be changed here."""

    def __init__(self, settings: ServerSettings, store: Store, tokens: TokenCheck | None) -> None:
        self.settings, self.store, self.tokens = settings, store, tokens
        self.threads = ThreadPoolExecutor(settings.threads, "store")
        self.bytes = PayloadBytes(store, self, redirect=settings.redirect)
        self.streams = asyncio.Semaphore(STREAMS)
        self._long = asyncio.Semaphore(max(1, min(LONG_CALLS, settings.threads - 1)))
        self._public = None if settings.public_url is None else settings.public_url.rstrip("/") + "/"
        self._busy = self._waiting_long = 0

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that blocks, in one of the threads.

        Raises:
            StoreBusy: too many wait for a thread already.
        """
        if self._busy >= self.settings.threads * WAITING_PER_THREAD:
            raise StoreBusy("the server", f"{self._busy} requests wait for the store")
        self._busy += 1
        call = asyncio.get_running_loop().run_in_executor(self.threads, lambda: function(*args, **kwargs))
        call.add_done_callback(self._ended)
        # A client that leaves does not stop the call, which may be changing something.
        return await asyncio.shield(call)

    def _ended(self, _call: asyncio.Future[T]) -> None:
        self._busy -= 1

    async def run_long(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, for what reads whole tags: a few at once, so that there are always threads for short calls."""
        if self._waiting_long >= WAITING_PER_THREAD:
            raise StoreBusy("the server", f"{self._waiting_long} requests that read whole tags wait")
        self._waiting_long += 1
        try:
            async with self._long:
                return await self.run(function, *args, **kwargs)
        finally:
            self._waiting_long -= 1

    async def finish(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """As `run`, and wait for the call's end even when this request is given up: it reads from the request."""
        call = asyncio.ensure_future(self.run(function, *args, **kwargs))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            await asyncio.wait([call])
            raise

    def caller(self, scope: Scope) -> Caller:
        """Who asks; `ANONYMOUS` without a token. The name is left in the scope, for the log.

        Raises:
            TokenRefused: there is a token, and it is not good.
        """
        token = _token(scope)
        if token is None or self.tokens is None:
            return ANONYMOUS
        caller = self.tokens.caller(token)
        scope["conditions.user"] = caller.name
        return caller

    def changer(self, scope: Scope, action: str) -> Caller:
        """Who wants to change something.

        Raises:
            ReadOnly: nobody can, this server has no key.
            TokenRefused: there is no token, or no good one.
        """
        if self.tokens is None:
            raise ReadOnly
        caller = self.caller(scope)
        if not caller.name:
            raise TokenRefused(f"nobody may {action} without a token")
        return caller

    def store_for(self, caller: Caller) -> Store:
        """The store, with the caller's name in the history of what is changed."""
        return self.store.acting_as(caller.name)

    def base_url(self, scope: Scope) -> str:
        """What the client reaches this server under; ends with a slash."""
        if self._public is not None:
            return self._public
        headers = dict(scope["headers"])
        scheme, host = scope.get("scheme", "http"), headers.get(b"host", b"")
        if self.settings.trust_proxy:
            scheme = _first(headers.get(b"x-forwarded-proto", b"")).decode("latin-1").lower() or scheme
            scheme = scheme if scheme in ("http", "https") else "http"
            host = _first(headers.get(b"x-forwarded-host", b"")) or host
        if _HOST.fullmatch(host) is None:
            name, port = scope.get("server") or ("localhost", None)
            host = (f"{name}:{port}" if port else name).encode()
        return f"{scheme}://{host.decode()}/"

    def close(self) -> None:
        """Let calls end, then let go of the store."""
        self.threads.shutdown(wait=True, cancel_futures=True)
        with suppress(Exception):
            self.store.close()


def _token(scope: Scope) -> str | None:
    """The token of a request; X-Authorization is what older clients say, for proxies eat the other one."""
    headers = scope["headers"]
    for wanted in (b"x-authorization", b"authorization"):
        for name, value in headers:
            if name == wanted:
                kind, _, token = value.decode("latin-1").strip().partition(" ")
                if kind.lower() == "bearer" and token.strip():
                    return str(token.strip())
                if wanted == b"x-authorization":
                    raise TokenRefused("X-Authorization is not 'Bearer TOKEN'")
    return None


def _first(values: bytes) -> bytes:
    """What the proxy nearest to the client has said."""
    return values.split(b",")[0].strip()
