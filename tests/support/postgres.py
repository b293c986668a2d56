"""A real PostgreSQL for tests and benchmarks: a cluster of its own on 127.0.0.1, and a fresh database for each test.

`cluster()` starts one and yields the URL of its administration database; it ends when the block ends, and when this
process dies. PostgreSQL refuses to run as root, so as root it runs as the user `postgres`. Nothing in it survives, so
nothing is flushed to disk: a killed cluster is thrown away, never recovered.
"""

from __future__ import annotations

import getpass
import itertools
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import URL, make_url

OLDEST_MAJOR = 15  # the oldest server the store promises to run on
START_TIMEOUT_S = 60.0
START_ATTEMPTS = 3  # a free port can be taken by somebody else between asking for it and listening on it
PACKAGE = "postgresql"
READY = "database system is ready to accept connections"
MEMORY_FOLDER_BYTES = 1 << 30  # a database is 8 MB and dropped after its test; containers often give 64 MB in all
THROWAWAY_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",  # a vacuum that starts in the middle would make test times jump
    "shared_buffers": "64MB",
    "max_connections": "80",
}

_database_numbers = itertools.count(1)
_session_admin_url = pytest.StashKey[str]()
_session_templates = pytest.StashKey[dict[Callable[[str], object], str]]()


@contextmanager
def cluster(settings: Mapping[str, str] | None = None, parent: Path | None = None) -> Iterator[str]:
    """Run a new PostgreSQL cluster while the block runs; yields the SQLAlchemy URL of its administration database.

    Args:
        settings: server settings on top of `THROWAWAY_SETTINGS`, such as {"fsync": "on"}.
        parent: where its folder is made; the system's temporary folder when None.
    """
    binaries = find_binaries()
    folder = Path(tempfile.mkdtemp(prefix="conditions-postgresql-", dir=parent))
    try:
        owner = _unprivileged_user()
        if owner is not None:
            shutil.chown(folder, owner.pw_name, owner.pw_gid)
        data = folder / "data"
        _make_data_folder(binaries, data, owner)
        server, port = _start(binaries, data, owner, {**THROWAWAY_SETTINGS, **(settings or {})})
        try:
            yield str(URL.create("postgresql+psycopg", "postgres", host="127.0.0.1", port=port, database="postgres"))
        finally:
            _end(server)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class RestartableCluster:
    """A cluster whose server a test may kill and start again, at the same address with the same data."""

    def __init__(self, data: Path, owner: pwd.struct_passwd | None) -> None:
        self._data, self._owner = data, owner
        # What was committed has left the server's memory, so that it outlives the server, though not the machine.
        self._settings = THROWAWAY_SETTINGS | {"synchronous_commit": "on"}
        self._server, self._port = _start(find_binaries(), data, owner, self._settings)

    @property
    def url(self) -> str:
        """The URL of its administration database."""
        return str(URL.create("postgresql+psycopg", "postgres", host="127.0.0.1", port=self._port, database="postgres"))

    def stop(self) -> None:
        """Kill the server; what was committed stays."""
        _end(self._server)

    def start(self) -> None:
        """Start it again."""
        self._server, _ = _start(find_binaries(), self._data, self._owner, self._settings, self._port)


@contextmanager
def restartable_cluster() -> Iterator[RestartableCluster]:
    """A cluster of its own while the block runs."""
    folder, owner = Path(tempfile.mkdtemp(prefix="conditions-postgresql-")), _unprivileged_user()
    try:
        if owner is not None:
            shutil.chown(folder, owner.pw_name, owner.pw_gid)
        _make_data_folder(find_binaries(), folder / "data", owner)
        running = RestartableCluster(folder / "data", owner)
        try:
            yield running
        finally:
            running.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def create_database(admin_url: str, template: str = "template1") -> str:
    """Make a database with a name of its own as a copy of `template`; returns its URL."""
    name = f"test_{os.getpid()}_{next(_database_numbers)}"
    _administrate(admin_url, "CREATE DATABASE {} TEMPLATE {}", name, template)
    return make_url(admin_url).set(database=name).render_as_string(hide_password=False)


def drop_database(url: str) -> None:
    """Drop the database of this URL, whoever is still connected to it."""
    name = make_url(url).database
    assert name is not None, url
    admin_url = make_url(url).set(database="postgres").render_as_string(hide_password=False)
    _administrate(admin_url, "DROP DATABASE IF EXISTS {} WITH (FORCE)", name)


def session_cluster(config: pytest.Config) -> str:
    """The one cluster of this test session, started when first asked for; pytest ends it, also after failures."""
    if _session_admin_url not in config.stash:
        ending = ExitStack()
        config.stash[_session_admin_url] = ending.enter_context(cluster(parent=_memory_folder()))
        config.add_cleanup(ending.close)
    return config.stash[_session_admin_url]


def session_template(config: pytest.Config, fill: Callable[[str], object]) -> str:
    """Name of a database that `fill(url)` has filled once in this session; copies of it are cheap."""
    templates = config.stash.setdefault(_session_templates, {})
    if fill not in templates:
        url = create_database(session_cluster(config))
        fill(url)
        templates[fill] = str(make_url(url).database)
    return templates[fill]


def find_binaries() -> Path:
    """The folder of initdb and postgres: Debian's newest version, else PATH, else freshly installed when root."""
    found = _installed_binaries()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        subprocess.run(["apt-get", "update", "-qq"], check=False, capture_output=True)
        command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", PACKAGE]
        subprocess.run(
            command, check=False, capture_output=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        )
        found = _installed_binaries()
    if found is None:
        raise RuntimeError(
            f"no PostgreSQL >= {OLDEST_MAJOR} server found in /usr/lib/postgresql/*/bin or on PATH: "
            f"install it (Debian: apt-get install {PACKAGE}) or put its bin folder on PATH"
        )
    return found


def _memory_folder() -> Path | None:
    """Where databases are made 2.5 times faster than on disk; None where there is too little of it."""
    memory = Path("/dev/shm")  # noqa: S108
    enough = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= MEMORY_FOLDER_BYTES
    return memory if enough else None


def _installed_binaries() -> Path | None:
    candidates = list(Path("/usr/lib/postgresql").glob("*/bin"))
    on_path = shutil.which("initdb")
    if on_path is not None:
        candidates.append(Path(on_path).resolve().parent)
    usable = [(major, folder) for folder in candidates if (major := _major_version(folder)) >= OLDEST_MAJOR]
    return max(usable)[1] if usable else None


def _major_version(folder: Path) -> int:
    if not (folder / "initdb").is_file() or not (folder / "postgres").is_file():
        return 0
    said = subprocess.run([folder / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"\) (\d+)", said)
    return int(found[1]) if found else 0


def _unprivileged_user() -> pwd.struct_passwd | None:
    """The user to run the server as when we are root; None when we run as ourselves."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def _as_user(owner: pwd.struct_passwd | None) -> dict[str, Any]:
    if owner is None:
        return {}
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _make_data_folder(binaries: Path, data: Path, owner: pwd.struct_passwd | None) -> None:
    options = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]
    command: list[str | Path] = [binaries / "initdb", "-D", data, *options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=data.parent, **_as_user(owner))
    if done.returncode != 0:
        who = owner.pw_name if owner else getpass.getuser()
        raise RuntimeError(f"initdb as {who} in {data} failed: {done.stderr.strip()}")


def _start(
    binaries: Path,
    data: Path,
    owner: pwd.struct_passwd | None,
    settings: Mapping[str, str],
    chosen_port: int | None = None,
) -> tuple[subprocess.Popen[str], int]:
    """Start the server in the foreground as our child; returns it with its port once it accepts connections."""
    for _ in range(START_ATTEMPTS):
        port, said = chosen_port or _free_port(), [""]
        every = {**settings, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "port": str(port)}
        command: list[str | Path] = [binaries / "postgres", "-D", data]
        command += itertools.chain.from_iterable(("-c", f"{name}={value}") for name, value in every.items())
        if shutil.which("setpriv") is not None:
            command = ["setpriv", "--pdeathsig", "INT", *command]  # a killed test session leaves no server behind
        server: subprocess.Popen[str] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=data.parent, **_as_user(owner)
        )
        assert server.stderr is not None
        ready = threading.Event()
        threading.Thread(target=_read_log, args=(server.stderr, said, ready), daemon=True).start()
        if ready.wait(START_TIMEOUT_S) and READY in said[-1]:
            return server, port
        _end(server)
    raise RuntimeError(f"PostgreSQL from {binaries} does not start: {''.join(said[-20:])}")


def _read_log(stream: IO[str], said: list[str], ready: threading.Event) -> None:
    """Keep what the server says until it is ready, or dead; read all later lines, so that it never waits for us."""
    with stream:
        for line in stream:
            if not ready.is_set():
                said.append(line)
            if READY in line:
                ready.set()
    ready.set()


def _end(server: subprocess.Popen[str]) -> None:
    server.send_signal(signal.SIGQUIT)  # at once, without a last checkpoint: nothing in it is kept
    server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _administrate(admin_url: str, statement: str, *names: str) -> None:
    where = make_url(admin_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))
