"""The beams of the accelerator, and B pairs produced at them.

Frame: z bisects the electron beam and the reversed positron beam, both beams have a momentum towards +x from their
crossing. Units: GeV, mm (as Pythia's lifetimes). Letters: `B` events; four-vectors are (B, 4) as (px, py, pz, E).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from smartbkg.draws import normal, uniform
from smartbkg.errors import GenerationError

ELECTRON_ENERGY_GEV: Final = 7.004
POSITRON_ENERGY_GEV: Final = 4.002
HALF_CROSSING_ANGLE_RAD: Final = 0.0415
ELECTRON_MASS_GEV: Final = 0.00051099895
# The total energy in the centre of mass spreads by 5.4 MeV. Both beams get the same relative spread d, which gives
# sqrt(s) a relative spread of d / sqrt(2).
SQRT_S_SPREAD_GEV: Final = 0.0054
# x_d = (mass difference) x (lifetime) of the B0, world average (PDG review 2022).
X_D: Final = 0.769
# Redraws of a beam energy below threshold; one draw in ten thousand is, so the tenth is never needed.
MAX_DRAWS: Final = 10

Draw = Callable[[str, int], NDArray[np.float64]]


@dataclass(frozen=True)
class BPairs:
    """B pairs: the Upsilon(4S) (B, 4), both B mesons (B, 2, 4), their PDG codes and proper decay times (B, 2)."""

    upsilon_gev: NDArray[np.float64]
    b_gev: NDArray[np.float64]
    b_mass_gev: float
    pdg: NDArray[np.int64]
    tau_mm: NDArray[np.float64]


def beam_momenta() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nominal four-momenta (px, py, pz, E) of electron and positron.

    >>> electron, positron = beam_momenta()
    >>> total = electron + positron
    >>> round(float(np.sqrt(total[3] ** 2 - (total[:3] ** 2).sum())), 4)
    10.5796
    """
    beams = []
    for energy_gev, direction in ((ELECTRON_ENERGY_GEV, 1.0), (POSITRON_ENERGY_GEV, -1.0)):
        momentum = np.sqrt(energy_gev**2 - ELECTRON_MASS_GEV**2)
        angle = HALF_CROSSING_ANGLE_RAD
        beams.append(np.array([momentum * np.sin(angle), 0.0, direction * momentum * np.cos(angle), energy_gev]))
    return beams[0], beams[1]


def relative_spread() -> float:
    """Relative energy spread of each beam."""
    total = beam_momenta()[0] + beam_momenta()[1]
    return float(np.sqrt(2.0) * SQRT_S_SPREAD_GEV / _mass(total))


def sample_b_pairs(pdg: int, mass_gev: float, tau0_mm: float, keys: tuple[int, int, int, NDArray[np.int64]]) -> BPairs:
    """B pairs from the decay of an Upsilon(4S) made at rest in the centre of mass of the beams.

    The Upsilon(4S) takes the mass of the two beams, whose energies spread; its decay has the angular distribution
    sin^2 theta of two pseudoscalars about the axis of the beams in the centre of mass.

    Neutral pairs oscillate as one coherent state: with both proper times t1, t2 drawn from exponentials, the pair
    has equal flavours with probability (1 - cos(x_d (t1 - t2) / tau)) / 2, as for an antisymmetric initial state
    (A. Carter and A. Sanda, Phys. Rev. D 23, 1567). The codes are those at decay, so a pair may be B0 B0.

    Args:
        pdg: 511 or 521.
        mass_gev: mass of the B meson.
        tau0_mm: its mean proper lifetime times c.
        keys: seed, exp, run and event numbers (B,) that fix all random numbers.
    """
    seed, exp, run, event = keys

    def draw(stream: str, index: int) -> NDArray[np.float64]:
        return uniform(seed, exp, run, event, stream=f"b pair {stream}", index=index)

    electron, upsilon = _draw_beams(2 * mass_gev, keys)  # (B, 4) each
    mass = _mass(upsilon)  # (B,)
    axis = boost(electron, upsilon, mass, into=True)[:, :3]
    direction = _sin_squared_directions(axis / np.linalg.norm(axis, axis=1, keepdims=True), draw)
    momentum = direction * np.sqrt(mass**2 / 4 - mass_gev**2)[:, None]
    pair = [boost(np.column_stack([sign * momentum, mass / 2]), upsilon, mass, into=False) for sign in (1.0, -1.0)]
    tau_mm = -tau0_mm * np.log1p(-np.stack([draw("lifetime", 0), draw("lifetime", 1)], axis=1))  # (B, 2)
    codes = np.broadcast_to([pdg, -pdg], tau_mm.shape).copy()
    if pdg == 511:
        equal = draw("mixing", 0) < 0.5 * (1.0 - np.cos(X_D * (tau_mm[:, 0] - tau_mm[:, 1]) / tau0_mm))
        codes[equal] = np.where(draw("mixing", 1) < 0.5, pdg, -pdg)[equal, None]
    return BPairs(upsilon, np.stack(pair, axis=1), mass_gev, codes, tau_mm)


def boost(
    p: NDArray[np.float64], frame: NDArray[np.float64], frame_mass: NDArray[np.float64], *, into: bool
) -> NDArray[np.float64]:
    """Four-vectors (B, 4) boosted into (or out of) the rest frame of others (B, 4)."""
    sign = -1.0 if into else 1.0
    u = sign * frame[:, :3] / frame_mass[:, None]  # gamma beta
    gamma = frame[:, 3] / frame_mass
    along = (p[:, :3] * u).sum(axis=1)
    energy = gamma * p[:, 3] + along
    vector = p[:, :3] + u * (along / (gamma + 1.0) + p[:, 3])[:, None]
    return np.column_stack([vector, energy])


def _draw_beams(
    threshold_gev: float, keys: tuple[int, int, int, NDArray[np.int64]]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Electron and Upsilon(4S) four-momenta (B, 4); energies too small for a pair are drawn again."""
    seed, exp, run, event = keys
    beams = beam_momenta()
    electron, total = np.empty((len(event), 4)), np.empty((len(event), 4))
    missing = np.arange(len(event))
    for attempt in range(MAX_DRAWS):
        drawn = []
        for side, beam in enumerate(beams):
            shift = normal(seed, exp, run, event[missing], stream="beam energy", index=2 * attempt + side)
            energy = beam[3] * (1.0 + relative_spread() * shift)
            momentum = np.sqrt(energy**2 - ELECTRON_MASS_GEV**2)
            drawn.append(np.column_stack([momentum[:, None] * beam[:3] / np.linalg.norm(beam[:3]), energy]))
        electron[missing], total[missing] = drawn[0], drawn[0] + drawn[1]
        missing = missing[_mass(total[missing]) <= threshold_gev]
        if not len(missing):
            return electron, total
    raise GenerationError(f"the beams stay below the threshold of {threshold_gev} GeV in {MAX_DRAWS} draws")


def _sin_squared_directions(axis: NDArray[np.float64], draw: Draw) -> NDArray[np.float64]:
    """Unit vectors (B, 3) with density 3/4 sin^2 theta in cos theta about each axis (B, 3)."""
    # The root in [-1, 1] of the cubic (2 + 3c - c^3) / 4 = u.
    cosine = 2.0 * np.sin(np.arcsin(2.0 * draw("angle", 0) - 1.0) / 3.0)
    sine = np.sqrt(np.maximum(0.0, 1.0 - cosine**2))
    phi = 2.0 * np.pi * draw("angle", 1)
    first = np.cross(axis, [0.0, 1.0, 0.0])  # the beams have no y component, so this is never zero
    first /= np.linalg.norm(first, axis=1, keepdims=True)
    second = np.cross(axis, first)
    transverse = np.cos(phi)[:, None] * first + np.sin(phi)[:, None] * second
    return np.asarray(cosine[:, None] * axis + sine[:, None] * transverse)


def _mass(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(p[..., 3] ** 2 - (p[..., :3] ** 2).sum(axis=-1)))
