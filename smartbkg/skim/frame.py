"""The center-of-mass frame of the collision, for reconstructed momenta.

Units: GeV. Letters: `N` objects of all events.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from smartbkg.generate.beams import beam_momenta

Float = NDArray[np.float64]

_ELECTRON, _POSITRON = beam_momenta()
TOTAL_PX_GEV, _, TOTAL_PZ_GEV, TOTAL_ENERGY_GEV = (float(v) for v in _ELECTRON + _POSITRON)
COLLISION_GEV = math.sqrt(TOTAL_ENERGY_GEV**2 - TOTAL_PX_GEV**2 - TOTAL_PZ_GEV**2)
BEAM_GEV = COLLISION_GEV / 2


def to_collision_frame(momentum: Float, mass: Float | float) -> Float:
    """Four-momenta (4, N) as E, px, py, pz in the center-of-mass frame, of laboratory momenta (3, N)."""
    px, py, pz = momentum
    energy = np.sqrt(px**2 + py**2 + pz**2 + mass**2)
    gamma = TOTAL_ENERGY_GEV / COLLISION_GEV
    ux, uz = TOTAL_PX_GEV / COLLISION_GEV, TOTAL_PZ_GEV / COLLISION_GEV  # gamma * beta
    along = (px * ux + pz * uz) / (gamma + 1)
    return np.stack([gamma * energy - px * ux - pz * uz, px + (along - energy) * ux, py, pz + (along - energy) * uz])
