"""Skims that measure the detector.

* `SystematicsPhiGamma`: a phi recoiling against a photon measures kaons of high momentum, since its mass tells what
  they are. A phi within 10 MeV of its mass, a photon above 1 GeV in the collision frame, and at most two tracks more:
  the initial-state radiation that makes such events leaves little else.
"""

from __future__ import annotations

from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.cuts import Cut

PHI_GAMMA = DecaySkim(
    name="SystematicsPhiGamma",
    code=11640100,
    description="A phi to two kaons and a photon above 1 GeV, with at most two other tracks.",
    cuts=(Cut("n_tracks", 2, 4), Cut("photon_energy_max_gev", low=1.0)),
    targets=("phi",),
    best="momentum",
)
SKIMS = (PHI_GAMMA,)
