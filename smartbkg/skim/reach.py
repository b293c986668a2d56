"""What a partial combination can still become, so that hopeless ones are dropped early and no other.

Masses and energies only add up; each daughter to come brings at most the largest energy and momentum among the
candidates of its group. Letters: `K` combinations.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartbkg.skim.candidates import Candidates, Float, Index, invariant_mass
from smartbkg.skim.cuts import Cut
from smartbkg.skim.frame import BEAM_GEV

# Sums in another order differ in the last bits; what lies this near a limit is left to the cut itself.
ROUNDING_GEV = 1e-9


@dataclass(frozen=True)
class Reach:
    """Limits that a finished combination must keep, as far as its daughters bound them."""

    mass_high: float = math.inf
    energy_low: float = -math.inf
    energy_high: float = math.inf
    p_low: float = -math.inf
    p_high: float = math.inf

    @classmethod
    def of(cls, cuts: Iterable[Cut]) -> Reach:
        """The tightest limits that follow from cuts on mass_gev, p_gev, delta_e_gev and mbc_gev."""
        mass_high, energy_high, p_high = [math.inf], [math.inf], [math.inf]
        energy_low, p_low = [-math.inf], [-math.inf]
        for cut in cuts:
            if cut.variable == "mass_gev":
                mass_high.append(cut.high)
            elif cut.variable == "p_gev":
                p_low.append(cut.low)
                p_high.append(cut.high)
            elif cut.variable == "delta_e_gev":
                energy_low.append(BEAM_GEV + cut.low)
                energy_high.append(BEAM_GEV + cut.high)
            elif cut.variable == "mbc_gev" and cut.low > 0:
                p_high.append(math.sqrt(max(BEAM_GEV**2 - cut.low**2, 0.0)))
        return cls(min(mass_high), max(energy_low), min(energy_high), max(p_low), min(p_high))

    def possible(self, momentum: Float, rest: Iterable[tuple[Candidates, Index]]) -> NDArray[np.bool_]:
        """(K,) False for combinations that cannot keep the limits.

        Args:
            momentum: (4, K) of the daughters joined so far.
            rest: For each daughter to come its list, and (K,) the group of it that each combination uses.
        """
        rest = list(rest)
        masses = sum(candidates.mass_gev for candidates, _ in rest)
        kept = np.ones(momentum.shape[1], dtype=bool)
        if math.isfinite(self.mass_high):
            kept &= invariant_mass(momentum) + masses <= self.mass_high + ROUNDING_GEV
        if math.isfinite(self.energy_high):
            kept &= momentum[0] + masses <= self.energy_high + ROUNDING_GEV
        if math.isfinite(self.energy_low):
            brought = sum(candidates.largest[0][group] for candidates, group in rest)
            kept &= momentum[0] + brought >= self.energy_low - ROUNDING_GEV
        if math.isfinite(self.p_low) or math.isfinite(self.p_high):
            p = np.sqrt(momentum[1] ** 2 + momentum[2] ** 2 + momentum[3] ** 2)
            turned = sum(candidates.largest[1][group] for candidates, group in rest)
            kept &= (p + turned >= self.p_low - ROUNDING_GEV) & (p - turned <= self.p_high + ROUNDING_GEV)
        return kept
