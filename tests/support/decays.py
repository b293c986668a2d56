"""Events with a chosen decay: B pairs in which one B decays as asked, and fast particles of continuum.

A decay is a tuple: the particle and what it decays to, `("anti-D0", "K+", "pi-")`; a name alone is stable, but a
pi0 decays to two photons. Every step conserves momentum; the directions are random.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector import DetectorConfig, RecoBatch, simulate
from smartbkg.skim.decays import charge_of, conjugate
from smartbkg.skim.frame import COLLISION_GEV, TOTAL_ENERGY_GEV, TOTAL_PX_GEV, TOTAL_PZ_GEV
from support.events import Particle, event_batch

Float = NDArray[np.float64]
Decay = Any  # a name, or a tuple of a name and decays

# A detector that loses no track to chance: what a skim loses then is its own.
SHARP = replace(DetectorConfig(), track_efficiency=1.0, punch_through=0.0, ring_missing=0.0, cluster_efficiency=1.0)
STABLE = {"gamma": 22, "e-": 11, "mu-": 13, "pi+": 211, "K+": 321, "p+": 2212, "nu": 12}
# GeV; resonances without their width.
MASSES_GEV = {
    name: float(mass)
    for line in (
        "gamma 0 nu 0 e- 0.000511 mu- 0.105658 pi+ 0.13957 K+ 0.493677 p+ 0.938272",
        "pi0 0.134977 eta 0.547862 rho0 0.77 rho+ 0.77 omega 0.78266 eta' 0.95778 phi 1.01946",
        "K_S0 0.497611 K*0 0.8955 K*+ 0.8917 Lambda0 1.115683 prompt_lambda 1.115683 long_lived 1.5",
        "D0 1.86484 D+ 1.86966 D*+ 2.01026 D*0 2.00685 Lambda_c+ 2.28646",
        "J/psi 3.0969 psi(2S) 3.6861 chi_c1 3.51067 Upsilon 9.4604 eta_b 9.3987 B+ 5.27941 B0 5.27972 tau- 1.77686",
    )
    for name, mass in zip(line.split()[::2], line.split()[1::2], strict=True)
}
FLIGHT_CM = {"K_S0": 2.68, "Lambda0": 7.9, "long_lived": 5.0}  # mean lifetimes, times c
OTHER_B = ("pions", "pi+", "pi-", "pi+", "pi-", "pi0")


def b_events(decay: Decay, n_events: int = 60, seed: int = 1, *, anti: bool = False) -> RecoBatch:
    """B pairs in which one decays as asked and the other to pions, reconstructed."""
    rng = np.random.default_rng(seed)
    wanted = conjugated(decay) if anti else decay
    return _reconstructed([_two_bodies((wanted, mass_of(wanted)), (OTHER_B, 5.27972), rng) for _ in range(n_events)])


def continuum_events(decay: Decay, p_gev: float, n_events: int = 60, seed: int = 1, *, anti: bool = False) -> RecoBatch:
    """Events in which a particle flies with a momentum in the collision frame, against pions."""
    rng = np.random.default_rng(seed)
    wanted = conjugated(decay) if anti else decay
    energy = COLLISION_GEV - math.hypot(p_gev, mass_of(wanted))
    recoil = math.sqrt(energy**2 - p_gev**2)
    return _reconstructed([_two_bodies((wanted, mass_of(wanted)), (OTHER_B, recoil), rng) for _ in range(n_events)])


def whole_events(*parts: Decay, n_events: int = 60, seed: int = 1) -> RecoBatch:
    """Events in which the collision makes these particles and nothing else."""
    rng = np.random.default_rng(seed)
    total = np.array([TOTAL_ENERGY_GEV, TOTAL_PX_GEV, 0.0, TOTAL_PZ_GEV])
    events: list[list[Particle]] = [[] for _ in range(n_events)]
    for event in events:
        _decay(event, ("collision", *parts), total, np.zeros(3), rng)
    return _reconstructed(events)


def conjugated(decay: Decay) -> Decay:
    """The decay of the antiparticle."""
    if isinstance(decay, str):
        return decay if decay in ("nu", "pions") else conjugate(decay)
    return tuple(conjugated(part) for part in decay)


def mass_of(decay: Decay) -> float:
    """Nominal mass of the particle, GeV."""
    name = decay if isinstance(decay, str) else decay[0]
    return MASSES_GEV[name] if name in MASSES_GEV else MASSES_GEV[conjugate(name)]


def _reconstructed(events: list[list[Particle]]) -> RecoBatch:
    return simulate(event_batch(events), SHARP, 1)


def _two_bodies(first: tuple[Decay, float], second: tuple[Decay, float], rng: np.random.Generator) -> list[Particle]:
    total = np.array([TOTAL_ENERGY_GEV, TOTAL_PX_GEV, 0.0, TOTAL_PZ_GEV])
    particles: list[Particle] = []
    for (decay, _), momentum in zip(
        (first, second), _split(total, COLLISION_GEV, first[1], second[1], rng), strict=True
    ):
        _decay(particles, decay, momentum, np.zeros(3), rng)
    return particles


def _decay(out: list[Particle], decay: Decay, momentum: Float, vertex: Float, rng: np.random.Generator) -> None:
    """Append what is left of a particle of that momentum (4,)."""
    if decay == "pi0":
        decay = ("pi0", "gamma", "gamma")
    if isinstance(decay, str):
        out.append(_stable(decay, momentum, vertex))
        return
    mass = math.sqrt(momentum[0] ** 2 - momentum[1:] @ momentum[1:])
    flight = FLIGHT_CM.get(decay[0]) or FLIGHT_CM.get(conjugate(decay[0]), 0.0)
    vertex = vertex + flight * momentum[1:] / mass
    rest = list(decay[1:])
    while len(rest) > 2:  # one after the other from what is left, which gets a random mass
        below = sum(map(mass_of, rest[1:]))
        left = below + rng.uniform(0.1, 0.9) * (mass - mass_of(rest[0]) - below)
        one, momentum = _split(momentum, mass, mass_of(rest[0]), left, rng)
        _decay(out, rest.pop(0), one, vertex, rng)
        mass = left
    for part, p in zip(rest, _split(momentum, mass, mass_of(rest[0]), mass_of(rest[1]), rng), strict=True):
        _decay(out, part, p, vertex, rng)


def _stable(name: str, momentum: Float, vertex: Float) -> Particle:
    code = STABLE[name] if name in STABLE else -STABLE[conjugate(name)]
    e, px, py, pz = map(float, momentum)
    x, y, z = map(float, vertex)
    return Particle(code, -1, 3, mass_of(name), charge_of(name), e, px, py, pz, x, y, z)


def _split(mother: Float, mass: float, m1: float, m2: float, rng: np.random.Generator) -> tuple[Float, Float]:
    """Four-momenta of two daughters in a random direction."""
    p = math.sqrt((mass**2 - (m1 + m2) ** 2) * (mass**2 - (m1 - m2) ** 2)) / (2 * mass)
    cosine, phi = rng.uniform(-1, 1), rng.uniform(0, 2 * math.pi)
    sine = math.sqrt(1 - cosine**2)
    along = p * np.array([sine * math.cos(phi), sine * math.sin(phi), cosine])
    first = _boosted(np.array([math.hypot(p, m1), *along]), mother, mass)
    return first, mother - first


def _boosted(p: Float, frame: Float, mass: float) -> Float:
    u, gamma = frame[1:] / mass, frame[0] / mass
    along = p[1:] @ u
    return np.array([gamma * p[0] + along, *(p[1:] + u * (along / (gamma + 1) + p[0]))])
