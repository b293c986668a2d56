"""Particle identification: log-likelihoods of five hypotheses from four measurements a track.

Each measurement has a value expected under each hypothesis, in units of its own resolution, and the track's value
is the true one's plus unit noise: a gaussian separation that depends on momentum. Letters: `C` tracks, `H` the
five hypotheses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.config import DetectorConfig
from smartbkg.detector.draws import EventDraws
from smartbkg.detector.kinematics import ELECTRON_GEV, KAON_GEV, MUON_GEV, PION_GEV, PROTON_GEV, Float

HYPOTHESES = ("electron", "muon", "pion", "kaon", "proton")
CODES = np.array([11, 13, 211, 321, 2212])
MASSES_GEV = np.array([ELECTRON_GEV, MUON_GEV, PION_GEV, KAON_GEV, PROTON_GEV])
MUON = 1


def log_likelihoods(
    pdg: NDArray[np.int64], momentum: Float, draws: EventDraws, config: DetectorConfig
) -> dict[str, Float]:
    """Log-likelihood of each hypothesis, up to a constant a track: `ll_<hypothesis>` (C,)."""
    truth = np.searchsorted(CODES, np.abs(pdg))  # (C,)
    seen = truth.copy()
    punch = (truth > MUON) & (draws.uniform("punch through") < config.punch_through)
    seen[punch] = MUON
    has_ring = draws.uniform("ring present") >= config.ring_missing
    total = np.zeros((len(HYPOTHESES), len(momentum)))  # (H, C)
    for stream, expected, true in (
        ("ring", ring_angle(momentum, config) * has_ring, truth),
        ("energy loss", energy_loss(momentum, config), truth),
        ("shower", _step(momentum, config.shower_separation, 0), truth),
        ("range", _step(momentum, config.range_separation, MUON), seen),
    ):
        value = expected[true, np.arange(len(momentum))] + draws.normal(stream)  # (C,)
        total -= 0.5 * (value - expected) ** 2
    return {f"ll_{name}": total[i] for i, name in enumerate(HYPOTHESES)}


def ring_angle(momentum: Float, config: DetectorConfig) -> Float:
    """Expected Cherenkov angle (H, C) relative to a pion's, in units of its resolution, saturating.

    Below threshold the angle is 0, which separates as well as the cap allows.
    """
    cosine = np.minimum(np.hypot(momentum, MASSES_GEV[:, None]) / (momentum * config.ring_index), 1.0)
    angle = np.arccos(cosine) / config.ring_rad
    relative = angle - angle[2]
    return np.asarray(config.ring_cap * np.tanh(relative / config.ring_cap))


def energy_loss(momentum: Float, config: DetectorConfig) -> Float:
    """Expected logarithm of the specific energy loss (H, C), in units of its resolution.

    The Bethe curve: fall as 1/beta^2, relativistic rise of 50 % between beta*gamma 3 and the plateau at 100.
    """
    beta_gamma = momentum / MASSES_GEV[:, None]
    beta2 = beta_gamma**2 / (1 + beta_gamma**2)
    rise = 0.5 / np.log(100 / 3) * np.clip(np.log(beta_gamma / 3), 0, np.log(100 / 3))
    return np.asarray((np.log1p(rise) - np.log(beta2)) / config.dedx_resolution)


def _step(momentum: Float, rise: tuple[float, float, float], special: int) -> Float:
    """One hypothesis apart from the others by a separation growing linearly from 0 at `low` to its height."""
    low, high, height = rise
    expected = np.zeros((len(HYPOTHESES), len(momentum)))
    expected[special] = height * np.clip((momentum - low) / (high - low), 0, 1)
    return expected
