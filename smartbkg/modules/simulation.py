"""Simulation and reconstruction of the generated events."""

from __future__ import annotations

from dataclasses import asdict, replace

from smartbkg import __version__
from smartbkg.detector import DetectorConfig, simulate
from smartbkg.framework.module import Module
from smartbkg.framework.path import Path
from smartbkg.framework.store import RECO, Store


def add_simulation(path: Path, *, detector: DetectorConfig | None = None, seed: int | None = None) -> Module:
    """Append the fast simulation, which also reconstructs."""
    return path.add_module(FastSimulation(detector, seed))


class FastSimulation(Module):
    """Puts tracks, clusters, K_S and pi0 candidates into the store as `Reco`.

    Args:
        detector: its numbers; the usual ones when left out.
        seed: of its draws; the job's when left out.
    """

    def __init__(self, detector: DetectorConfig | None = None, seed: int | None = None) -> None:
        self.detector = DetectorConfig() if detector is None else detector
        self.seed = seed

    def initialize(self) -> None:
        """Settle the seed."""
        self._seed = self.job.seed_or(self.seed)

    def declare(self, store: Store) -> None:
        """Reconstructed events, none of them."""
        self.event_batch(store)

    def event_batch(self, store: Store) -> None:
        """Simulate; an event's result depends on its numbers and particles alone."""
        store[RECO] = replace(simulate(store.events, self.detector, self._seed), extra={})

    def terminate(self) -> None:
        """Say in the files what was done."""
        self.job.add_step(
            "simulate",
            self.statistics.ms_per_event,
            seed=self._seed,
            detector={"name": "fast", **asdict(self.detector)},
            versions={"smartbkg": __version__},
        )
