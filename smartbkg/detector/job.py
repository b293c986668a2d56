"""A simulation job: a file of generated events in, a file of reconstructed events out, in bounded memory."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from smartbkg import __version__
from smartbkg.detector.config import DetectorConfig
from smartbkg.detector.fast import Detector, FastDetector
from smartbkg.detector.reco import RecoBatch, RecoWriter
from smartbkg.events import EventBatch, read_batches, read_metadata
from smartbkg.workers import in_order


@dataclass(frozen=True)
class SimulateConfig:
    """One job: its seed, its detector, processes side by side, and the command line to keep in the file."""

    seed: int
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    workers: int = 1
    command: str | None = None


def simulate_file(
    events: Path | str, output: Path | str, config: SimulateConfig, *, progress: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Simulate all events of a file; the output takes its name only when it is complete.

    Args:
        events: a file of generated events.
        output: replaced if it is there. Its content depends on events, seed and detector only.
        config: the job.
        progress: called with the number of events written so far.

    Returns:
        The output's metadata; `times_ms.simulate` is the CPU time of simulation an event, without reading and writing.

    Raises:
        FileNotFoundError, NotAnEventFile, ColumnsMissing, BadEvent.
    """
    before = read_metadata(events)
    done, cpu_s = 0, 0.0
    with RecoWriter(output, {**before, "kind": "reco"}) as writer:
        for batch, used_s in _simulated(read_batches(events), config):
            writer.write(batch)
            done += len(batch)
            cpu_s += used_s
            if progress is not None:
                progress(done)
        # Lists for tuples: what a reader of the file gets.
        numbers = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config.detector).items()}
        step = {
            "step": "simulate",
            "command": config.command,
            "seed": config.seed,
            "detector": {"name": "fast", **numbers},
            "versions": {"smartbkg": __version__},
            "input": {"name": Path(events).name, "sha256": file_digest(events)},
        }
        writer.metadata["provenance"] = [*before.get("provenance", []), step]
        writer.metadata["times_ms"] = {**before.get("times_ms", {}), "simulate": 1000 * cpu_s / done if done else 0.0}
    return writer.metadata


def file_digest(path: Path | str) -> str:
    """sha256 of a file's bytes."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _timed(detector: Detector, seed: int, batch: EventBatch) -> tuple[RecoBatch, float]:
    start = time.process_time()
    reco = detector.simulate(batch, seed)
    return reco, time.process_time() - start


def _simulated(batches: Iterator[EventBatch], config: SimulateConfig) -> Iterator[tuple[RecoBatch, float]]:
    """Reconstructed batches in order, and the CPU seconds each took."""
    work = partial(_timed, FastDetector(config.detector), config.seed)
    if config.workers == 1:
        return map(work, batches)
    return in_order(work, batches, config.workers, "its batch of events")
