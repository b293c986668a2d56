"""What a job did: events, batches and times of each module."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any


class Stopwatch:
    """Time since it was made."""

    def __init__(self) -> None:
        self._cpu_s, self._wall_s = time.process_time(), time.perf_counter()

    @property
    def cpu_s(self) -> float:
        """CPU seconds of this process, all its threads."""
        return time.process_time() - self._cpu_s

    @property
    def wall_s(self) -> float:
        """Seconds by the clock."""
        return time.perf_counter() - self._wall_s


@dataclass
class ModuleStatistics:
    """Counts and times of one module. Times are CPU seconds of this process, and seconds by the clock."""

    name: str
    n_events: int = 0
    n_batches: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    setup_wall_s: float = 0.0  # initialize, runs, terminate: what does not grow with the events

    @property
    def ms_per_event(self) -> float:
        """CPU milliseconds an event; 0 when it saw none."""
        return 1e3 * self.cpu_s / self.n_events if self.n_events else 0.0

    def add_batch(self, n_events: int, started: Stopwatch) -> None:
        """Count a batch and the time since it began."""
        self.n_events += n_events
        self.n_batches += 1
        self.add_time(started)

    def add_time(self, started: Stopwatch) -> None:
        """Count time only."""
        self.cpu_s += started.cpu_s
        self.wall_s += started.wall_s


@dataclass
class Statistics:
    """Result of `process`: all modules in path order; `print` shows a table."""

    n_events: int = 0  # read from the source
    n_finished: int = 0  # came to the end of the main path
    n_runs: int = 0
    modules: list[ModuleStatistics] = field(default_factory=list)

    def __getitem__(self, name: str) -> ModuleStatistics:
        for module in self.modules:
            if module.name == name:
                return module
        raise KeyError(f"no module {name!r} in this job; it ran {', '.join(m.name for m in self.modules)}")

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `--json`."""
        return asdict(self)

    def __str__(self) -> str:
        width = max([len("module"), *(len(m.name) for m in self.modules)])
        lines = [f"{'module':<{width}} {'events':>9} {'batches':>8} {'CPU s':>8} {'ms/event':>9} {'setup s':>8}"]
        lines += [
            f"{m.name:<{width}} {m.n_events:>9} {m.n_batches:>8} {m.cpu_s:>8.2f} {m.ms_per_event:>9.3f} "
            f"{m.setup_wall_s:>8.2f}"
            for m in self.modules
        ]
        runs = "run" if self.n_runs == 1 else "runs"
        return "\n".join([*lines, f"{self.n_events} events of {self.n_runs} {runs}, {self.n_finished} to the end"])
