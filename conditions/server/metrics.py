"""Prometheus metrics that are right with several worker processes.

Workers are forked from one process, and each writes its counts into files of a folder that all of them share; whoever
is asked adds up the files of all. A worker that died leaves its counts, so that none goes backwards.
"""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"


def _shared_folder() -> str:
    """The folder of the metrics: the operator's, or one for this process and its children, removed at its end."""
    given = os.environ.get(VARIABLE)
    if given:
        return given
    folder, owner = tempfile.mkdtemp(prefix="conditions-metrics-"), os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not in a child, whose parent and siblings still count
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    os.environ[VARIABLE] = folder
    return folder


# The library looks at the variable once, when it is imported.
FOLDER: Final = _shared_folder()

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest  # noqa: E402
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead  # noqa: E402

# From a ready answer (0.2 ms) to a batch of 10,000 payloads.
BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
RESERVED_BYTES: Final = 256 * 1024  # a route, method and status take 190 bytes
LOG: Final = logging.getLogger("conditions.server")
_OWN: Final = CollectorRegistry()  # the files of the folder are what is shown, never this

REQUESTS: Final = Counter(
    "conditions_requests", "Requests by route, method and status.", ("route", "method", "status"), registry=_OWN
)
SECONDS: Final = Histogram(
    "conditions_request_seconds", "Time until an answer was sent.", ("route",), buckets=BOUNDS_S, registry=_OWN
)
BYTES_IN: Final = Counter("conditions_received_bytes", "Bytes of requests' bodies.", ("route",), registry=_OWN)
BYTES_OUT: Final = Counter("conditions_sent_bytes", "Bytes of answers' bodies.", ("route",), registry=_OWN)
RUNNING: Final = Gauge(
    "conditions_requests_running", "Requests that are being answered.", registry=_OWN, multiprocess_mode="livesum"
)
WORKERS: Final = Gauge("conditions_workers", "Processes that answer.", registry=_OWN, multiprocess_mode="livesum")


@dataclass(frozen=True, slots=True)
class Seen:
    """One request that has been answered."""

    route: str
    method: str
    status: int
    seconds: float
    bytes_in: int
    bytes_out: int


class Metrics:
    """Counts requests; what has been looked up once is kept, for that is most of the cost."""

    def __init__(self) -> None:
        self._requests: dict[tuple[str, str, int], Counter] = {}
        self._of_route: dict[str, tuple[Histogram, Counter, Counter]] = {}

    def count(self, seen: Seen) -> None:
        """Count one request."""
        place = seen.route, seen.method, seen.status
        requests = self._requests.get(place)
        if requests is None:
            requests = self._requests[place] = REQUESTS.labels(seen.route, seen.method, str(seen.status))
        of_route = self._of_route.get(seen.route)
        if of_route is None:
            of_route = SECONDS.labels(seen.route), BYTES_IN.labels(seen.route), BYTES_OUT.labels(seen.route)
            self._of_route[seen.route] = of_route
        requests.inc()
        of_route[0].observe(seen.seconds)
        if seen.bytes_in:
            of_route[1].inc(seen.bytes_in)
        of_route[2].inc(seen.bytes_out)


def begin_worker() -> bool:
    """Say that this process answers; returns whether it may count.

    The library writes into mapped files, and a write for which the disk has no space left kills the process. So the
    space is taken beforehand, and a worker that gets none counts nothing.
    """
    paths = [Path(FOLDER) / f"{kind}_{os.getpid()}.db" for kind in ("counter", "histogram", "gauge_livesum")]
    try:
        for path in paths:
            with path.open("ab") as file:
                os.posix_fallocate(file.fileno(), 0, RESERVED_BYTES)
    except OSError as error:
        for path in paths:
            path.unlink(missing_ok=True)
        LOG.warning("nothing is counted, for %s cannot be written: %s", FOLDER, error)
        return False
    WORKERS.set(1)
    return True


def shown() -> bytes:
    """The metrics of all processes."""
    for pid in _dead():
        mark_process_dead(pid)  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def _dead() -> set[int]:
    """Processes that have left files with what only counts for the living."""
    names = [name for name in os.listdir(FOLDER) if name.startswith("gauge_live")]  # noqa: PTH208 - names are enough
    pids = {int(name.rpartition("_")[2].removesuffix(".db")) for name in names}
    return {pid for pid in pids if not _is_alive(pid)}


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
