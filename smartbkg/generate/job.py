"""Runs a generation job: blocks in order, in this process or in several, and the file they go to."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from smartbkg import __version__
from smartbkg.errors import GenerationError
from smartbkg.events import EventBatch, EventWriter
from smartbkg.generate.beams import (
    ELECTRON_ENERGY_GEV,
    HALF_CROSSING_ANGLE_RAD,
    POSITRON_ENERGY_GEV,
    SQRT_S_SPREAD_GEV,
    X_D,
)
from smartbkg.generate.config import BLOCK_EVENTS, GenerateConfig
from smartbkg.workers import in_order

# Blocks that go to the file together: 4,000 events, some 6 MB, one row group.
BLOCKS_PER_WRITE: Final = 8


@dataclass(frozen=True)
class Block:
    """The job's events of one block, the CPU time of all events of the block, and the decay table they came from."""

    batch: EventBatch
    cpu_ms_per_event: float
    decays: dict[str, Any]


def generate(config: GenerateConfig) -> Iterator[EventBatch]:
    """The job's events, a block at a time, made in this process.

    Raises:
        MissingExtra: Pythia is not installed.
        GenerationError: Pythia refused its settings or lost an event.
    """
    for block in _blocks(config, workers=1):
        yield block.batch


def generate_file(
    config: GenerateConfig,
    path: Path | str,
    workers: int = 1,
    *,
    command: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Write the job's events to a file, which takes its name only when it is complete.

    Args:
        config: the job.
        path: the file; replaced if it is there.
        workers: processes; the content does not depend on it.
        command: kept in the file's metadata.
        progress: called with the number of events written so far.

    Returns:
        The file's metadata.
    """
    if workers < 1:
        raise GenerationError(f"workers must be 1 or more, found {workers}")
    pending: list[EventBatch] = []
    done, cpu_ms = 0, 0.0
    with EventWriter(path, _metadata(config, command), extra={}) as writer:
        for block in _blocks(config, workers):
            pending.append(block.batch)
            done += len(block.batch)
            cpu_ms += block.cpu_ms_per_event * len(block.batch)
            writer.metadata["provenance"][0]["decays"] = block.decays
            if len(pending) == BLOCKS_PER_WRITE:
                writer.write(EventBatch.concat(pending))
                pending.clear()
            if progress is not None:
                progress(done)
        if pending:
            writer.write(EventBatch.concat(pending))
        writer.metadata["times_ms"] = {"generate": cpu_ms / done if done else 0.0}
    return writer.metadata


def _metadata(config: GenerateConfig, command: str | None) -> dict[str, Any]:
    step = {
        "step": "generate",
        "command": command,
        "config": config.to_json(),
        "generator": "Pythia 8",
        "versions": {"smartbkg": __version__, "pythia8mc": _version("pythia8mc")},
        "block_events": BLOCK_EVENTS,
        "beams": {
            "electron_gev": ELECTRON_ENERGY_GEV,
            "positron_gev": POSITRON_ENERGY_GEV,
            "half_crossing_angle_rad": HALF_CROSSING_ANGLE_RAD,
            "sqrt_s_spread_gev": SQRT_S_SPREAD_GEV,
        },
        "b_mixing": {"coherent": True, "x_d": X_D},
    }
    return {"kind": "events", "provenance": [step]}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None  # the job itself says what is missing


def _blocks(config: GenerateConfig, workers: int) -> Iterator[Block]:
    if not config.blocks:
        return
    if workers > 1 and len(config.blocks) > 1:
        n_workers = min(workers, len(config.blocks))
        yield from in_order(partial(_make_block, config), config.blocks, n_workers, "its block of events")
        return
    maker = _BlockMaker(config)
    for number in config.blocks:
        yield maker.make(number)


class _BlockMaker:
    """One process's generator."""

    def __init__(self, config: GenerateConfig) -> None:
        from smartbkg.generate.pythia import PythiaSource

        self._config = config
        self._source = PythiaSource(config)

    def make(self, number: int) -> Block:
        start = time.process_time()
        batch = self._source.block(number)
        cpu_ms = (time.process_time() - start) * 1000
        rows = self._config.rows(number)
        whole = rows == slice(0, BLOCK_EVENTS)
        return Block(batch if whole else batch[rows], cpu_ms / BLOCK_EVENTS, self._source.decays)


@lru_cache(maxsize=1)
def _maker(config: GenerateConfig) -> _BlockMaker:
    """A worker process's generator, made with its first block."""
    return _BlockMaker(config)


def _make_block(config: GenerateConfig, number: int) -> Block:
    return _maker(config).make(number)
