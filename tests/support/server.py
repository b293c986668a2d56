"""A real server for tests: `conditions serve` in processes of its own, on a free port.

`running_server()` starts one for a block; `session_server()` is the one of a kind of database that all tests of a
session share, so tests that use it give their tags and payloads names of their own (`Server.unique`).
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from conditions.rights import Caller
from conditions.server import auth
from conditions.store.schema import upgrade
from support.postgres import create_database, drop_database, session_cluster, session_template

READY = re.compile(r"listening on (http://\S+) \(")
# What says where conditions are, and where an application inside the test session counts its requests.
_FOREIGN = ("CONDITIONS_", "BELLE2_", "PROMETHEUS_MULTIPROC_DIR")
_MAIN = "from conditions.cli import main; main()"
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
_numbers = itertools.count(1)
_session_servers = pytest.StashKey[dict[str, "Server"]]()


@dataclass
class Server:
    """A running server: its address, what it stands on, and the key that its tokens are signed with."""

    url: str
    store_url: str
    files: Path | str
    key: Path
    process: subprocess.Popen[bytes]
    log: Path
    _names: Iterator[int] = field(default_factory=lambda: _numbers)

    def token(
        self,
        user: str = "ada",
        *,
        admin: Sequence[str] = (".*",),
        create_iov: Sequence[str] = (".*",),
        create_payload: Sequence[str] = (".*",),
        lifetime_s: int = 3600,
    ) -> str:
        """A token; by default of somebody who may do everything."""
        caller = Caller(user, tuple(admin), tuple(create_iov), tuple(create_payload))
        return auth.issue(auth.read_key(self.key), caller, datetime.now(UTC), lifetime_s)

    def plain_token(self, user: str = "bob") -> str:
        """A token of somebody with no wider rights."""
        return self.token(user, admin=(), create_iov=(), create_payload=())

    def session(self, token: str | None = None) -> requests.Session:
        """A session that sends the token with every request."""
        session = requests.Session()
        session.trust_env = False
        if token is not None:
            session.headers["X-Authorization"] = f"Bearer {token}"
        return session

    def unique(self, stem: str) -> str:
        """A name that no other test of this session uses."""
        return f"{stem}_{next(self._names)}"

    def workers(self) -> list[int]:
        """The worker processes that are alive."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(STOP_TIMEOUT_S)


@contextmanager
def running_server(
    store_url: str,
    files: Path | str,
    *,
    workers: int = 2,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    writable: bool = True,
    before: Sequence[str] = (),
) -> Iterator[Server]:
    """A server while the block runs.

    Args:
        store_url: its database.
        files: its payload folder or bucket.
        workers: how many processes answer.
        options: more words for `conditions serve`.
        environment: more variables.
        writable: whether it gets a key, so that it believes tokens.
        before: words before the command, such as those of `on_small_disk`; they must end by becoming the command.
    """
    folder = Path(tempfile.mkdtemp(prefix="conditions-server-"))
    try:
        key, log = folder / "key", folder / "log"
        auth.write_private(key, auth.make_secret())
        command = [*before, sys.executable, "-c", _MAIN, "--store", store_url, "--files", str(files), "serve"]
        command += [
            "--port",
            "0",
            "--workers",
            str(workers),
            *(["--token-key", str(key)] if writable else []),
            *options,
        ]
        if shutil.which("setpriv") is not None:
            command = ["setpriv", "--pdeathsig", "TERM", *command]  # a killed test session leaves no server behind
        with log.open("wb") as written:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=written, stderr=written, env=_environment(environment)
            )
        try:
            yield Server(_address(process, log), store_url, files, key, process, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def session_server(config: pytest.Config, kind: str) -> Server:
    """The session's server on `sqlite` or `postgresql`, with 2 workers, started when first asked for."""
    servers = config.stash.setdefault(_session_servers, {})
    if kind not in servers:
        if kind == "postgresql":
            session_cluster(config)  # first, so that it ends last
        ending = ExitStack()
        config.add_cleanup(ending.close)
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="conditions-served-")))
        if kind == "sqlite":
            url = f"sqlite:///{folder}/conditions.sqlite"
            upgrade(url)
        else:
            url = create_database(session_cluster(config), session_template(config, upgrade))
            ending.callback(drop_database, url)
        servers[kind] = ending.enter_context(running_server(url, folder / "payloads"))
    return servers[kind]


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    """The variables of whoever runs the tests, without those that say where conditions are."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} | dict(more or {})


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where the server listens, once it says so."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        found = READY.search(log.read_text(encoding="utf-8", errors="replace"))
        if found is not None:
            return found[1]
        if process.poll() is not None:
            break
        time.sleep(0.02)
    raise RuntimeError(f"the server did not start: {log.read_text(encoding='utf-8', errors='replace')[-4000:]}")


def open_files(server: Server) -> list[str]:
    """What the workers hold open, as the system names it; a file that was removed ends in ` (deleted)`."""
    found = []
    for worker in server.workers():
        for handle in Path(f"/proc/{worker}/fd").iterdir():
            with suppress(OSError):  # closed meanwhile
                found.append(os.readlink(handle))  # noqa: PTH115
    return found
