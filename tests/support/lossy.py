"""A way to a server on which answers get lost: the request arrives and is done, and nobody is told."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

TIMEOUT_S = 60


class LossyWay:
    """Passes bytes on both ways; `lose` answers are swallowed, each with its connection."""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self._server = str(where.hostname), int(where.port or 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.lose = 0
        self.n_lost = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server, TIMEOUT_S)
                threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    @staticmethod
    def _pass_on(client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while piece := client.recv(65_536):
                server.sendall(piece)
            server.shutdown(socket.SHUT_WR)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError), server, client:
            while piece := server.recv(65_536):
                if self.lose > 0:
                    self.lose -= 1
                    self.n_lost += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(piece)


@contextmanager
def lossy_way(url: str) -> Iterator[LossyWay]:
    """Such a way while the block runs."""
    way = LossyWay(url)
    try:
        yield way
    finally:
        way.close()
