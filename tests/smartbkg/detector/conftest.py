"""Particles shot into the detector one by one, and real events."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from smartbkg.events import EventBatch
from support.events import Particle, event_batch
from support.generated import generated

MASSES_GEV = {11: 0.000511, 13: 0.105658, 211: 0.13957, 321: 0.493677, 2212: 0.938272, 22: 0.0, 130: 0.497611}
Gun = Callable[..., EventBatch]


@pytest.fixture(scope="session")
def gun() -> Gun:
    """`gun(n, pdg, p_gev, theta_deg, ...)`: n events of one stable particle, evenly spread in azimuth."""

    def shoot(
        n: int, pdg: int = 211, p_gev: float = 1.0, theta_deg: float = 90.0, x_cm: float = 0.0, status: int = 3
    ) -> EventBatch:
        mass, theta = MASSES_GEV[abs(pdg)], math.radians(theta_deg)
        charge = 0.0 if pdg in (22, 130) else math.copysign(1, pdg if abs(pdg) > 20 else -pdg)
        events = []
        for i in range(n):
            phi = 2 * math.pi * i / n - math.pi
            p = (
                p_gev * math.sin(theta) * math.cos(phi),
                p_gev * math.sin(theta) * math.sin(phi),
                p_gev * math.cos(theta),
            )
            start = (x_cm * math.cos(phi), x_cm * math.sin(phi), 0.0)  # in front of its own direction
            events.append([Particle(pdg, -1, status, mass, charge, math.hypot(p_gev, mass), *p, *start)])
        return event_batch(events)

    return shoot


@pytest.fixture(scope="session")
def mixed_events() -> EventBatch:
    """Real B pairs."""
    return generated("mixed", 1500)
