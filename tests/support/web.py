"""A plain HTTP server in a process of its own, which serves a folder and writes down every request.

It is a proxy, too: a request for another server is passed on, and written down with its path and the answer's status.
What `refuse` names is not passed on but answered 404, as by a server that does not have it.

A test may ask for faults: `faults({"/path": [{"status": 503}, {"cut_bytes": 10}]})` makes the first request of that
path fail with 503, the second send too little, and all later ones succeed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

LOG, FAULTS, REFUSED = "requests.log", "faults.json", "refused"


class Web:
    """The server, from outside."""

    def __init__(self, process: subprocess.Popen[str], url: str, folder: Path, notes: Path) -> None:
        self.process, self.url, self.folder, self.notes = process, url, folder, notes

    def requests(self, begin: str = "") -> list[str]:
        """Method and path of each request so far whose path begins like this."""
        log = self.notes / LOG
        lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
        return [line for line in lines if line.split(" ", 1)[1].startswith(begin)]

    def faults(self, by_path: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """What goes wrong with the next requests of a path, one entry a request."""
        temporary = self.notes / "faults.new"
        temporary.write_text(json.dumps(by_path), encoding="utf-8")
        temporary.replace(self.notes / FAULTS)

    def refuse(self, *begins: str) -> None:
        """Paths, by their begin, that the proxy does not pass on."""
        (self.notes / REFUSED).write_text(" ".join(begins), encoding="utf-8")

    def kill(self) -> None:
        """Kill the server; connections are refused from now on."""
        self.process.kill()
        self.process.wait(30)


@contextmanager
def web_server(folder: Path, notes: Path) -> Iterator[Web]:
    """Serve a folder while the block runs; `notes` is a folder for the log and the faults."""
    folder.mkdir(parents=True, exist_ok=True)
    notes.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, str(folder), str(notes)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Web(process, process.stdout.readline().strip(), folder, notes)
    finally:
        process.kill()
        process.wait(30)
        process.stdout.close()


class _Handler(SimpleHTTPRequestHandler):
    """Serves files, with the faults that were asked for."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are written one after the other
    notes: Path
    lock = threading.Lock()

    def do_GET(self) -> None:
        if self.path.startswith("http://"):
            self._pass_on()
            return
        fault = self._fault()
        if "status" in fault:
            body = json.dumps({"code": fault["status"], "reason": "fault", "message": "on purpose"}).encode()
            self.send_response(fault["status"])
            if "retry_after" in fault:
                self.send_header("Retry-After", str(fault["retry_after"]))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        elif "cut_bytes" in fault or "flip" in fault:
            self._damaged(fault)
        elif "die" in fault:
            os._exit(1)
        else:
            super().do_GET()

    def do_HEAD(self) -> None:
        if self.path.startswith("http://"):
            self._pass_on()
            return
        self._fault()
        super().do_HEAD()

    def do_POST(self) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        """Ask the server that the request is for, as a proxy does."""
        parts = urlsplit(self.path)
        path = urlunsplit(parts._replace(scheme="", netloc=""))
        refused = [begin for begin in self._refused() if path.startswith(begin)]
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name: value for name, value in self.headers.items() if name.lower() != "proxy-connection"}
        if refused:
            status, given, answer = 404, [("Content-Type", "text/html")], b"<html>not here</html>"
        else:
            connection = HTTPConnection(parts.netloc, timeout=60)
            connection.request(self.command, path, body or None, headers)
            response = connection.getresponse()
            status, given, answer = response.status, response.getheaders(), response.read()
            connection.close()
        with self.lock, (self.notes / LOG).open("a", encoding="utf-8") as stream:
            stream.write(f"{self.command} {path} {status}\n")
        self.send_response(status)
        for name, value in given:
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, value)
        length = {name.lower(): value for name, value in given}.get("content-length", str(len(answer)))
        self.send_header("Content-Length", length if self.command == "HEAD" else str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _refused(self) -> list[str]:
        refused = self.notes / REFUSED
        return refused.read_text(encoding="utf-8").split() if refused.exists() else []

    def _damaged(self, fault: Mapping[str, Any]) -> None:
        body = Path(self.translate_path(self.path)).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if "flip" in fault:
            self.wfile.write(bytes([body[0] ^ 1]) + body[1:])
        else:
            self.wfile.write(body[: len(body) - fault["cut_bytes"]])
            self.close_connection = True

    def _fault(self) -> Mapping[str, Any]:
        """Write the request down, and find its fault."""
        with self.lock:
            path = self.path.split("?")[0]
            log = self.notes / LOG
            earlier = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
            with log.open("a", encoding="utf-8") as stream:
                stream.write(f"{self.command} {self.path}\n")
            faults = self.notes / FAULTS
            wanted = json.loads(faults.read_text(encoding="utf-8")).get(path, []) if faults.exists() else []
            turn = sum(line.split(" ", 1)[1].split("?")[0] == path for line in earlier)
            found: Mapping[str, Any] = wanted[turn] if turn < len(wanted) else {}
            return found

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing on stderr."""


def _serve(folder: str, notes: str) -> None:
    _Handler.notes = Path(notes)

    def handler(*args: Any) -> _Handler:
        return _Handler(*args, directory=folder)

    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
