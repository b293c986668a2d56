"""The processes of a server: one that watches, and workers that answer, all at one listening socket.

Workers are forked from a process that has imported everything and has looked at the database, so one that died is
replaced in hundredths of a second. Each watches a pipe that only the parent can write to: when the parent is gone,
whatever took it, the workers end, too.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Final

import uvicorn

from conditions.errors import StoreUnavailable
from conditions.server.app import make_app, open_service_store
from conditions.server.auth import token_check
from conditions.server.index_folder import index_folder
from conditions.server.protocol import ConditionsProtocol
from conditions.server.settings import ServerSettings
from conditions.store.session import Store

BACKLOG: Final = 2_048
KEEP_ALIVE_S: Final = 60  # longer than clients and proxies pause between two requests of one job
PAUSE_S: Final = 0.2  # how often the parent looks around
SLOWEST_REPLACEMENT_S: Final = 10.0  # between two workers that die at once, one after the other
HEALTHY_S: Final = 5.0  # a worker that lived that long was no failed start
KILL_AFTER_S: Final = 5.0  # past the time that requests have when the server is stopped
LOG: Final = logging.getLogger("conditions.server")
_PUBLIC: Final = "the file that 'conditions token key --pair' wrote beside it, with .pub"


def serve(settings: ServerSettings, say: Callable[[str], None]) -> int:
    """Run a server until it is stopped by SIGTERM or SIGINT; returns the exit code.

    Args:
        settings: how it runs.
        say: told the address once all workers answer, and what is not wise before.

    Raises:
        SchemaMismatch, StoreUnavailable: the database cannot be used; no worker was started.
        BadInputError: the token key cannot be used.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    check = token_check(settings)
    if check is not None and check.key.is_private:
        say(f"warning: {settings.token_key} is a private key; a server needs the public one only ({_PUBLIC})")
    listener = _listen(settings)
    store = open_service_store(settings)
    store.close()  # a worker makes connections of its own
    with index_folder(settings.indexes) as folder:
        parent = _Parent(replace(settings, indexes=str(folder)), store, listener)
        return parent.run(lambda: say(_greeting(settings, listener, writable=check is not None)))


class _Parent:
    """Starts workers, replaces those that die, ends all of them."""

    def __init__(self, settings: ServerSettings, store: Store, listener: socket.socket) -> None:
        self._settings, self._store, self._listener = settings, store, listener
        self._workers: dict[int, float] = {}  # process -> when it was started
        self._stopping = 0
        self._lifeline, self._lifeline_end = os.pipe()
        self._ready, self._ready_end = os.pipe()
        self._not_before = 0.0
        self._pause = 0.0

    def run(self, ready: Callable[[], None]) -> int:
        """Until a signal says stop."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for _ in range(self._settings.workers):
            self._start()
        answering = 0
        while not self._stopping:
            readable, _, _ = select.select([self._ready], [], [], PAUSE_S)
            if readable:
                before, answering = answering, answering + len(os.read(self._ready, 64))
                if before < self._settings.workers <= answering:
                    ready()
            self._replace()
        return self._end()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stopping += 1

    def _start(self) -> None:
        """Fork a worker."""
        process = os.fork()
        if process == 0:
            code = 1
            try:
                os.close(self._lifeline_end)
                os.close(self._ready)
                _work(self._settings, self._store, self._listener, self._lifeline, self._ready_end)
                code = 0
            except BaseException:
                LOG.exception("a worker failed")
            finally:
                logging.shutdown()
                os._exit(code)
        self._workers[process] = time.monotonic()

    def _replace(self) -> None:
        """Start a worker for each that has died; more slowly when they die at once."""
        now = time.monotonic()
        for process, started in list(self._workers.items()):
            found, status = os.waitpid(process, os.WNOHANG)
            if found == 0:
                continue
            del self._workers[process]
            LOG.warning("worker %d ended with %d; another one takes its place", process, status)
            failed = now - started < HEALTHY_S
            self._pause = min(SLOWEST_REPLACEMENT_S, max(0.1, self._pause * 2)) if failed else 0.0
            self._not_before = now + self._pause
        while len(self._workers) < self._settings.workers and now >= self._not_before and not self._stopping:
            self._start()

    def _end(self) -> int:
        """Let workers finish what they are at, then end those that do not."""
        self._listener.close()
        os.close(self._lifeline_end)
        deadline = time.monotonic() + self._settings.shutdown_s + KILL_AFTER_S
        self._signal(signal.SIGTERM)
        while self._workers:
            for process in list(self._workers):
                if os.waitpid(process, os.WNOHANG)[0]:
                    del self._workers[process]
            if time.monotonic() > deadline or self._stopping > 1:
                self._signal(signal.SIGKILL)
                deadline, self._stopping = float("inf"), 1
            time.sleep(PAUSE_S / 10)
        return 0

    def _signal(self, number: signal.Signals) -> None:
        for process in self._workers:
            os.kill(process, number)


class _Server(uvicorn.Server):
    """One worker's server, which says when it answers, and ends when its parent is gone."""

    def __init__(self, config: uvicorn.Config, lifeline: int, ready: int) -> None:
        super().__init__(config)
        self._lifeline, self._ready = lifeline, ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        loop = asyncio.get_running_loop()
        loop.add_reader(self._lifeline, self._orphaned, loop)
        os.write(self._ready, b"1")

    def _orphaned(self, loop: asyncio.AbstractEventLoop) -> None:
        """The other end of the pipe was closed."""
        loop.remove_reader(self._lifeline)
        self.should_exit = True


def _work(settings: ServerSettings, store: Store, listener: socket.socket, lifeline: int, ready: int) -> None:
    """What a worker does."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # uvicorn listens to them, and raises them again at its end
    config = uvicorn.Config(
        make_app(settings, store),
        http=ConditionsProtocol,
        ws="none",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # trusted only when told so, and only for what the base URL is
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(settings.shutdown_s),
    )
    _Server(config, lifeline, ready).run([listener])


def _listen(settings: ServerSettings) -> socket.socket:
    """The socket that all workers accept from."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.set_inheritable(True)
    except OSError as error:
        raise StoreUnavailable(f"{settings.host}:{settings.port}", error.strerror or str(error)) from error
    return listener


def _greeting(settings: ServerSettings, listener: socket.socket, *, writable: bool) -> str:
    """The address, and what is worth knowing about it."""
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    workers = f"{settings.workers} worker{'s' if settings.workers > 1 else ''}"
    rights = "" if writable else "; read-only, because there is no --token-key"
    return f"listening on {url} ({workers}{rights})"
