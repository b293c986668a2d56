"""The detector interface, and the fast simulation behind it.

Acceptance, efficiency and resolution are applied to the generated particles; no interaction is followed step by
step. Every draw belongs to its event and particle, so an event gives the same result alone, in any batch, and
whichever other events were filtered away.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.calorimeter import find_clusters
from smartbkg.detector.composites import find_k_shorts, find_pi0s
from smartbkg.detector.config import DetectorConfig
from smartbkg.detector.reco import RecoBatch
from smartbkg.detector.tracking import find_tracks
from smartbkg.errors import BadEvent
from smartbkg.events import EventBatch, MCParticles, MCStatus

# Far above any beam, and far below where squares leave the range of the files' 32-bit floats.
LARGEST_GEV = 1e6


class Detector(Protocol):
    """What turns generated events into reconstructed ones; a full simulation can take the fast one's place."""

    def simulate(self, batch: EventBatch, seed: int) -> RecoBatch:
        """Reconstructed events, one for each generated one, in their order."""
        ...


@dataclass(frozen=True)
class FastDetector:
    """The fast simulation with its numbers."""

    config: DetectorConfig = field(default_factory=DetectorConfig)

    def simulate(self, batch: EventBatch, seed: int) -> RecoBatch:
        """Tracks, clusters, K_S and pi0 candidates of each event; extra info comes along.

        Raises:
            BadEvent: a particle that reaches the detector has numbers that cannot be.
        """
        stable = _reaches_detector(batch.particles)
        _check_numbers(batch, stable)
        found = find_tracks(batch, stable, self.config, seed)
        clusters = find_clusters(batch, stable, found.particle, self.config, seed)
        return RecoBatch(
            exp=batch.exp,
            run=batch.run,
            event=batch.event,
            event_type=batch.event_type,
            tracks=found.tracks,
            clusters=clusters,
            k_shorts=find_k_shorts(batch, found, self.config),
            pi0s=find_pi0s(batch, clusters, self.config),
            extra=dict(batch.extra),
        )


def simulate(batch: EventBatch, config: DetectorConfig, seed: int) -> RecoBatch:
    """The fast simulation of a batch; the same as `FastDetector(config).simulate(batch, seed)`."""
    return FastDetector(config).simulate(batch, seed)


def _reaches_detector(particles: MCParticles) -> NDArray[np.bool_]:
    """(N,) stable particles that are neither virtual nor part of the initial state."""
    hidden = MCStatus.VIRTUAL | MCStatus.INITIAL
    return np.asarray(((particles.status & MCStatus.STABLE) != 0) & ((particles.status & hidden) == 0))


def _check_numbers(batch: EventBatch, stable: NDArray[np.bool_]) -> None:
    parts = batch.particles
    good = np.isfinite(parts.x_cm) & np.isfinite(parts.y_cm) & np.isfinite(parts.z_cm)
    for value in (parts.px_gev, parts.py_gev, parts.pz_gev, parts.energy_gev, parts.mass_gev):
        good &= np.abs(value) < LARGEST_GEV  # False for what is no number
    wrong = np.flatnonzero(stable & ~good)
    if len(wrong):
        event = int(batch.event_index[wrong[0]])
        raise BadEvent(
            f"event {batch.event[event]} of run {batch.exp[event]},{batch.run[event]}: particle "
            f"{wrong[0] - batch.offsets[event]} has a momentum, energy, mass or vertex that is not finite, or "
            f"more than {LARGEST_GEV:.0e} GeV"
        )
