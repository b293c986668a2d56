"""Requests a second of the run-time lookup over HTTP, beside nginx serving a static file of the same size.

A real `conditions serve` with PostgreSQL behind it; one tag of `--names` payload names is published, a second one with
the same content is OPEN. wrk asks both for random runs over 1, 8 and 32 connections; right before each measurement it
asks nginx, with as many worker processes, for a file as large as an answer, so that both see the same machine. Every
figure is the median of `--rounds`. The client runs on the same processors as the server and the database: processor
time a request says what each of them takes.

Also told: how long the server takes from its start to its first answer (by SQL) and to the first one without SQL, the
memory of a worker and of the process that compiles, and p99 for the published tag while the other one is compiled.
Answers are compared with the database's before anything is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import requests

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from conditions.server import belle2
from conditions.store.schema import upgrade
from conditions.store.session import open_store
from support.long_tags import OPEN, PUBLISHED, RUNS_PER_EXPERIMENT, RUNS_PER_STEP, fill, run_at
from support.postgres import cluster, create_database
from support.server import Server, running_server

SCRIPT = """
local runs, tag = tonumber(os.getenv("BENCH_RUNS")), os.getenv("BENCH_TAG")
local in_experiment = tonumber(os.getenv("BENCH_RUNS_PER_EXPERIMENT"))
math.randomseed(tonumber(os.getenv("BENCH_SEED")))
request = function()
  local place = math.random(0, runs - 1)
  local query = "&expNumber=" .. math.floor(place / in_experiment) .. "&runNumber=" .. place % in_experiment
  return wrk.format("GET", "/v2/iovPayloads?gtName=" .. tag .. query)
end
"""
DONE = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.stderr:write(string.format('{"requests":%d,"us":%d,"p50_us":%d,"p99_us":%d,"max_us":%d,"failed":%d}',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
NGINX = """
worker_processes {workers}; daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; user {user};
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi; server {{ listen 127.0.0.1:{port}; root {folder}; }} }}
"""
COMPILE_TIMEOUT_S = 300.0
CHECKED_RUNS = 20


@dataclass
class Load:
    """What one kind of load gave: medians over the rounds."""

    tag: str
    connections: int
    requests_s: float
    p50_ms: float
    p99_ms: float
    nginx_requests_s: float
    ratio: float
    worker_cpu_us: float
    database_cpu_us: float
    client_cpu_us: float
    failed: int


@dataclass
class Result:
    """Everything about one size."""

    iovs: int
    body_bytes: int = 0
    same_answers: bool = False
    first_answer_s: float = 0.0
    compiled_s: float = 0.0
    worker_mb: list[float] = field(default_factory=list)
    worker_peak_mb: list[float] = field(default_factory=list)
    worker_own_mb: list[float] = field(default_factory=list)
    compiler_peak_mb: float = 0.0
    p99_ms_while_compiling: float = 0.0
    loads: list[Load] = field(default_factory=list)


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 when an answer differs from the database's or a request failed."""
    options = _options(argv)
    for command in ("wrk", "nginx"):
        _need(command)
    results = []
    with ExitStack() as ending:
        admin = ending.enter_context(cluster({"shared_buffers": "512MB", "max_wal_size": "8GB"}))
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="bench-server-")))
        folder.chmod(0o755)  # for nginx' workers
        (folder / "runs.lua").write_text(SCRIPT + DONE)
        (folder / "file.lua").write_text(DONE)
        for iovs in options.iovs:
            url = create_database(admin)
            upgrade(url)
            fill(url, options.names, iovs)
            results.append(_measure(url, folder, iovs, options))
            if not options.json:
                _print(results[-1])
    if options.json:
        print(json.dumps({"names": options.names, "results": [asdict(result) for result in results]}, indent=2))
    return 0 if all(r.same_answers and not any(load.failed for load in r.loads) for r in results) else 1


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench server", description="Requests a second of the run-time lookup.")
    parser.add_argument("--names", type=int, default=200, help="payload names in the tag")
    parser.add_argument("--iovs", type=int, nargs="+", default=[200_000, 2_000_000], help="intervals in the tag")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--workers", type=int, default=2, help="of the server, and of nginx")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


def _measure(url: str, folder: Path, iovs: int, options: argparse.Namespace) -> Result:
    """Serve one database and measure everything about it."""
    result, steps = Result(iovs), iovs // options.names
    began = time.perf_counter()
    log = ["--no-access-log"]
    with running_server(url, folder / "payloads", workers=options.workers, options=log, writable=False) as server:
        _ask(server, PUBLISHED, steps // 2)
        result.first_answer_s = time.perf_counter() - began
        with _watching_compiler(server) as peak:
            _until_compiled(server, PUBLISHED, options.workers)
            result.compiled_s = time.perf_counter() - began
        result.compiler_peak_mb = peak[0] / 1024
        result.body_bytes = len(_ask(server, PUBLISHED, steps // 2).content)
        result.same_answers = _same(server, url, steps, options.seed)
        (folder / "file").write_bytes(b"x" * result.body_bytes)
        (folder / "file").chmod(0o644)
        with _nginx(folder, options.workers) as static:
            for connections in options.connections:
                result.loads.append(_load(server, static, folder, PUBLISHED, connections, steps, options))
            for pid in server.workers():  # with one tag of this size, and as many answers as are kept
                result.worker_mb.append(_kb(pid, "status", "VmRSS") / 1024)
                result.worker_peak_mb.append(_kb(pid, "status", "VmHWM") / 1024)
                result.worker_own_mb.append(_kb(pid, "smaps_rollup", "Pss") / 1024)
            result.p99_ms_while_compiling = _while_compiling(server, folder, steps, options)
            for connections in options.connections:
                result.loads.append(_load(server, static, folder, OPEN, connections, steps, options))
    return result


def _load(
    server: Server, static: str, folder: Path, tag: str, connections: int, steps: int, options: argparse.Namespace
) -> Load:
    """The same load on nginx and on the server, round after round."""
    pids = {"worker": server.workers(), "database": _children_named("postgres")}
    peer, ours, cpu = [], [], []
    for round_ in range(options.rounds):
        peer.append(_wrk(folder / "file.lua", f"{static}/file", connections, options.seconds, {}))
        before = {who: _cpu_s(each) for who, each in pids.items()}
        values = _values(tag, steps, options.seed + round_)
        ours.append(_wrk(folder / "runs.lua", server.url, connections, options.seconds, values))
        spent = {who: (_cpu_s(each) - before[who]) / ours[-1]["requests"] * 1e6 for who, each in pids.items()}
        cpu.append(spent | {"client": ours[-1]["cpu_s"] / ours[-1]["requests"] * 1e6})

    def middle(rounds: Sequence[dict[str, float]], name: str) -> float:
        return statistics.median(each[name] for each in rounds)

    return Load(
        tag=tag,
        connections=connections,
        requests_s=middle(ours, "requests_s"),
        p50_ms=middle(ours, "p50_us") / 1000,
        p99_ms=middle(ours, "p99_us") / 1000,
        nginx_requests_s=middle(peer, "requests_s"),
        ratio=statistics.median(a["requests_s"] / b["requests_s"] for a, b in zip(ours, peer, strict=True)),
        worker_cpu_us=middle(cpu, "worker"),
        database_cpu_us=middle(cpu, "database"),
        client_cpu_us=middle(cpu, "client"),
        failed=int(sum(each["failed"] for each in ours)),
    )


def _wrk(script: Path, url: str, connections: int, seconds: float, values: dict[str, str]) -> dict[str, float]:
    """One run of wrk, which says its figures in JSON at the end of stderr."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--timeout", "10s", "-s", str(script), url]
    before = os.times()
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ | values)
    after = os.times()
    figures: dict[str, float] = json.loads(done.stderr.strip().splitlines()[-1])
    spent = after.children_user - before.children_user + after.children_system - before.children_system
    return figures | {"requests_s": figures["requests"] / figures["us"] * 1e6, "cpu_s": spent}


def _values(tag: str, steps: int, seed: int) -> dict[str, str]:
    """What the script of random runs is told."""
    runs = {"BENCH_RUNS": str(steps * RUNS_PER_STEP), "BENCH_RUNS_PER_EXPERIMENT": str(RUNS_PER_EXPERIMENT)}
    return runs | {"BENCH_TAG": tag, "BENCH_SEED": str(seed)}


def _while_compiling(server: Server, folder: Path, steps: int, options: argparse.Namespace) -> float:
    """p99 of the published tag at 8 connections while the other one is compiled for the first time."""
    asking = threading.Thread(target=_until_compiled, args=(server, OPEN, options.workers))
    asking.start()
    values = _values(PUBLISHED, steps, options.seed)
    figures = _wrk(folder / "runs.lua", server.url, 8, options.seconds, values)
    asking.join()
    return figures["p99_us"] / 1000


def _ask(server: Server, tag: str, step: int) -> requests.Response:
    """A lookup over a connection of its own, so that any of the workers may answer."""
    run = run_at(step)
    query = {"gtName": tag, "expNumber": run.exp, "runNumber": run.run}
    found = requests.get(f"{server.url}/v2/iovPayloads", params=query, timeout=60)
    found.raise_for_status()
    return found


def _until_compiled(server: Server, tag: str, workers: int) -> None:
    """Ask until all workers answer without SQL, which is seen by the ETag."""
    deadline, in_a_row = time.monotonic() + COMPILE_TIMEOUT_S, 0
    while in_a_row < 12 * workers:
        in_a_row = in_a_row + 1 if "etag" in _ask(server, tag, 0).headers else 0
        if time.monotonic() > deadline:
            raise RuntimeError(f"{tag} was not compiled within {COMPILE_TIMEOUT_S:g} s")
        if in_a_row == 0:
            time.sleep(0.05)


def _same(server: Server, url: str, steps: int, seed: int) -> bool:
    """Whether ready answers are those of the database."""
    draw = random.Random(seed)  # noqa: S311
    with open_store(url, None, user="bench") as store:
        for step in (draw.randrange(steps) for _ in range(CHECKED_RUNS)):
            expected = belle2.covering_json(store.covering_rows(PUBLISHED, run_at(step)), f"{server.url}/")
            if _sorted(_ask(server, PUBLISHED, step).json()) != _sorted(expected):
                return False
    return True


def _sorted(rows: list[dict[str, dict[str, int]]]) -> list[dict[str, dict[str, int]]]:
    return sorted(rows, key=lambda row: row["payloadIov"]["payloadIovId"])


@contextmanager
def _nginx(folder: Path, workers: int) -> Iterator[str]:
    """nginx, serving the folder."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    user = "root" if os.geteuid() == 0 else "nobody"
    (folder / "nginx.conf").write_text(NGINX.format(workers=workers, folder=folder, port=port, user=user))
    process = subprocess.Popen(["nginx", "-c", str(folder / "nginx.conf"), "-p", str(folder)])
    try:
        for _ in range(100):
            try:
                requests.get(f"http://127.0.0.1:{port}/file", timeout=5).raise_for_status()
                break
            except requests.ConnectionError:
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _watching_compiler(server: Server) -> Iterator[list[int]]:
    """The largest memory, in kB, of a process that compiled meanwhile."""
    peak, done = [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.02):
            for worker in server.workers():
                for pid in _children(worker):
                    peak[0] = max(peak[0], _kb(pid, "status", "VmHWM"))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def _children(pid: int) -> list[int]:
    """Processes that any thread of a process started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            continue
    return found


def _children_named(name: str) -> list[int]:
    """Processes of that name below this one."""
    found, seen = [], [os.getpid()]
    while seen:
        for child in _children(seen.pop()):
            seen.append(child)
            if Path(f"/proc/{child}/comm").read_text().strip() == name:
                found.append(child)
    return found


def _cpu_s(pids: Sequence[int]) -> float:
    """Processor time that processes have taken; one that ended counts as nothing."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def _kb(pid: int, file: str, name: str) -> int:
    """A line of a process' own account of its memory."""
    try:
        for line in Path(f"/proc/{pid}/{file}").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0


def _need(command: str) -> None:
    """Install what is missing, or say what to install."""
    if shutil.which(command) is None and shutil.which("apt-get") is not None:
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        for words in (["update", "-q"], ["install", "-y", "-q", "--no-install-recommends", command]):
            subprocess.run([*sudo, "apt-get", *words], check=False, stdout=sys.stderr)
    if shutil.which(command) is None:
        raise SystemExit(f"{command} is missing: install it (Debian: apt-get install {command})")


def _print(result: Result) -> None:
    """One size as a table."""
    print(f"\n{result.iovs:,} IoVs, answers of {result.body_bytes:,} bytes, same answers: {result.same_answers}")
    print(f"  first answer {result.first_answer_s:.1f} s after the start, without SQL after {result.compiled_s:.1f} s")
    memory = ", ".join(f"{rss:.0f}" for rss in result.worker_mb)
    peaks = ", ".join(f"{rss:.0f}" for rss in result.worker_peak_mb)
    own = ", ".join(f"{pss:.0f}" for pss in result.worker_own_mb)
    print(f"  workers: {memory} MB resident (peak {peaks}; shared pages counted once: {own}); ", end="")
    print(f"the process that compiles: {result.compiler_peak_mb:.0f} MB at its peak")
    print(f"  p99 of the published tag while the other is compiled: {result.p99_ms_while_compiling:.1f} ms")
    print(
        "  tag        conn.  requests/s   p50 ms   p99 ms   nginx/s  ratio   µs CPU a request: worker database client"
    )
    for load in result.loads:
        print(
            f"  {load.tag:<10}{load.connections:>6}{load.requests_s:>12,.0f}{load.p50_ms:>9.2f}{load.p99_ms:>9.2f}"
            f"{load.nginx_requests_s:>10,.0f}{load.ratio:>7.2f}{load.worker_cpu_us:>25.0f}"
            f"{load.database_cpu_us:>9.0f}{load.client_cpu_us:>7.0f}{f'  FAILED {load.failed}' if load.failed else ''}",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
