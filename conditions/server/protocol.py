"""The HTTP connection: uvicorn's, with JSON for what is no HTTP, and patience that ends.

A TLS hello on the plain port is dropped without a byte: clients that try https first then go on with http.
"""

from __future__ import annotations

import asyncio
from asyncio.events import TimerHandle
from typing import Any, Final

import orjson
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from conditions.server.problems import RequestRefused, problem

MAX_HEAD_BYTES: Final = 64 * 1024  # request line and headers together
HEAD_TIMEOUT_S: Final = 30.0  # from the first byte of a request to the end of its headers
LINGER_S: Final = 5.0  # how long a client that is refused may go on sending before the connection goes
_TLS_HANDSHAKE: Final = 0x16


class ConditionsProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._fresh = True
        self._in_head = True
        self._in_body = False
        self._head_bytes = 0
        self._patience: TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self.transport = _Lingering(transport, self)  # type: ignore[assignment]
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless it is TLS, or more than a head may have."""
        if self._fresh:
            self._fresh = False
            if data[0] == _TLS_HANDSHAKE:
                self.transport.abort()
                return
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes:
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(RequestRefused(431, f"the headers have more than {MAX_HEAD_BYTES} bytes"))
            elif self._patience is None:
                self._wait()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._in_body = True, False
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """All headers are there."""
        self._in_head, self._in_body, self._head_bytes = False, True, 0
        if self._patience is not None:
            self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The whole body is there."""
        self._in_head, self._in_body = True, False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Say in JSON that this is no HTTP."""
        self._refuse(RequestRefused(400, msg))

    @property
    def in_body(self) -> bool:
        """Whether a body is still to come."""
        return self._in_body

    def _refuse(self, error: RequestRefused) -> None:
        """Answer what is no request, unless an answer is under way already; then the connection goes."""
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # for the application, which is in the middle of this request
            self.cycle.message_event.set()
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            status, body, _ = problem(error)
            content = orjson.dumps(body)
            head = [STATUS_LINE[status], b"content-type: application/json\r\nconnection: close\r\n"]
            head.append(b"content-length: %d\r\n\r\n" % len(content))
            self.transport.write(b"".join([*head, content]))
        self.transport.close()

    def _wait(self) -> None:
        self._patience = self.loop.call_later(HEAD_TIMEOUT_S, self._lose_patience)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _lose_patience(self) -> None:
        """The head of a request did not come in time."""
        self._patience = None
        if self.transport.is_closing():
            return
        if self._head_bytes:
            self._refuse(RequestRefused(408, f"the headers did not come within {HEAD_TIMEOUT_S:g} s"))
        else:
            self.transport.close()


class _Lingering:
    """A transport that, when it is closed in the middle of a request's body, lets the client read the answer first.

    Closing with bytes unread would reset the connection, and the client might never see why it was refused.
    """

    def __init__(self, transport: asyncio.Transport, protocol: ConditionsProtocol) -> None:
        self._transport, self._protocol = transport, protocol
        self._timer: TimerHandle | None = None
        self.write = transport.write  # the one method that is called often

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def is_closing(self) -> bool:
        """Whether the connection ends."""
        return self._timer is not None or self._transport.is_closing()

    def close(self) -> None:
        """End the connection: at once, or once the client had time to read."""
        if self._timer is not None or self._transport.is_closing():
            self._transport.close()
        elif self._protocol.in_body and self._transport.can_write_eof():
            self._transport.write_eof()
            self._timer = self._protocol.loop.call_later(LINGER_S, self._transport.abort)
        else:
            self._transport.close()
