"""How fast payloads come in: many files with their intervals in one request and one transaction, through a server.

`conditions serve` stands before PostgreSQL (durable: every commit waits for the disk) and before SQLite, with a
payload folder on disk. A client sends all files in one batch; the peer, measured in the same run on a part of the
files, sends each file and each interval by requests of its own, as clients of the Belle II interface must. Memory is
the most that any worker process has had, before and after.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from conditions import IntervalOfValidity, Run
from conditions.batch import Batch, NewIov, NewPayload
from conditions.client.remote import RemoteStore
from conditions.store.schema import upgrade

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
from support.belle2 import Belle2Client
from support.postgres import cluster, create_database
from support.server import Server, running_server

TAG = "bulk"
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def main(argv: list[str] | None = None) -> int:
    """Measure and print; 1 when a payload or an interval is missing afterwards."""
    options = _options(argv)
    results = []
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="bench-upload-")))
        files = _make_files(folder / "new", options)
        for database in options.databases:
            admin = ending.enter_context(cluster(DURABLE)) if database == "postgresql" else None
            url = create_database(admin) if admin else f"sqlite:///{folder}/bulk.sqlite"
            upgrade(url)
            with running_server(url, folder / f"files-{database}") as server:
                results.append({"database": database} | _measure(server, files, options))
    if options.json:
        print(json.dumps({"payloads": options.payloads, "size_bytes": options.size, "results": results}, indent=2))
    else:
        _print(results, options)
    return 0 if all(result["complete"] for result in results) else 1


def _options(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tools/bench upload", description="Payloads a second in one transaction.")
    parser.add_argument("--payloads", type=int, default=10_000, help="files in the batch, each with an interval")
    parser.add_argument("--size", type=int, default=2_000, help="bytes in each file")
    parser.add_argument("--names", type=int, default=200, help="payload names that the files are revisions of")
    parser.add_argument("--peer", type=int, default=200, help="files that the peer sends one by one")
    parser.add_argument("--rounds", type=int, default=3, help="batches, each of new bytes into a new tag")
    parser.add_argument("--databases", nargs="+", default=["postgresql", "sqlite"], choices=["sqlite", "postgresql"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


def _make_files(folder: Path, options: argparse.Namespace) -> list[list[Path]]:
    """Files for each round and for the peer, no two alike."""
    draw = random.Random(options.seed)  # noqa: S311 - bytes to measure with
    rounds = []
    for number in range(options.rounds + 1):
        here = folder / str(number)
        here.mkdir(parents=True)
        count = options.peer if number == options.rounds else options.payloads
        for index in range(count):
            (here / f"{index}").write_bytes(draw.randbytes(options.size))
        rounds.append([here / f"{index}" for index in range(count)])
    return rounds


def _measure(server: Server, rounds: list[list[Path]], options: argparse.Namespace) -> dict[str, object]:
    *batches, single = rounds
    memory = [_memory_mib(server)]
    seconds = []
    complete = True
    with RemoteStore(server.url, token=server.token("bench")) as remote:
        _submit(remote, "first", single[:10], options)  # warm
        memory.append(_memory_mib(server))
        for number, files in enumerate(batches):
            began = time.perf_counter()
            _submit(remote, f"{TAG}_{number}", files, options)
            seconds.append(time.perf_counter() - began)
            memory.append(_memory_mib(server))
            complete &= len(remote.list_iovs(f"{TAG}_{number}")) == len(files)
        complete &= remote.tag_digest(f"{TAG}_0") != remote.tag_digest("first")
    began = time.perf_counter()
    client = Belle2Client(server.url, server.token("bench"))
    tag = client.create_tag("one_by_one", "", "bench")
    for index, path in enumerate(single):
        number = client.upload(_name(index, options), path.read_bytes())
        client.create_iov(tag["globalTagId"], number, (0, index, 0, index))
    peer = (time.perf_counter() - began) / len(single)
    each = statistics.median(seconds) / options.payloads
    return {
        "seconds": [round(value, 2) for value in seconds],
        "payloads_per_s": round(1 / each),
        "peer_payloads_per_s": round(1 / peer),
        "ratio": round(peer / each, 1),
        "worker_mib": memory,
        "complete": complete,
    }


def _submit(remote: RemoteStore, tag: str, files: list[Path], options: argparse.Namespace) -> None:
    """One batch: every file a revision of its name, valid for one run."""
    payloads = tuple(NewPayload(_name(index, options), path) for index, path in enumerate(files))
    digests = [_md5(path) for path in files]
    iovs = tuple(
        NewIov(_name(index, options), IntervalOfValidity.of_run(Run(0, index)), md5=digests[index])
        for index in range(len(files))
    )
    result = remote.submit(Batch(tag, payloads, iovs, create=True))
    if result.n_added != len(files):
        raise SystemExit(f"{result.n_added} rows of {len(files)} came into {tag}")


def _name(index: int, options: argparse.Namespace) -> str:
    return f"payload{index % options.names:03d}"


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _memory_mib(server: Server) -> int:
    """The most memory that any worker has had, MiB."""
    peaks = []
    for pid in server.workers():
        status = Path(f"/proc/{pid}/status").read_text()
        peaks.append(int(status.split("VmHWM:")[1].split()[0]) // 1024)
    return max(peaks)


def _print(results: list[dict[str, object]], options: argparse.Namespace) -> None:
    print(f"{options.payloads} payloads of {options.size} bytes with an interval each, one request, one transaction")
    print(f"{'database':<12}{'payloads/s':>12}{'one by one/s':>14}{'ratio':>8}{'seconds':>26}  peak of a worker, MiB")
    for row in results:
        print(
            f"{row['database']:<12}{row['payloads_per_s']:>12}{row['peer_payloads_per_s']:>14}{row['ratio']:>8}"
            f"{row['seconds']!s:>26}  start, after 10, then each round: {row['worker_mib']}"
        )


if __name__ == "__main__":
    sys.exit(main())
