"""Skims of bottomonium that is reconstructed as a whole.

* `BottomoniumEtabExclusive`: the Upsilon(4S), or an h_b that it has passed through, sends out one photon, and all
  of the rest is an eta_b, looked for in decays to four to ten charged particles without a pi0. Everything is seen:
  charge 0, 10.0 to 11.2 GeV, less than 0.5 GeV of momentum missing. The photon has 0.3 to
  1.6 GeV in the collision frame (1.1 GeV from the Upsilon(4S) to an eta_b of 9.4 GeV, 0.5 GeV from the h_b) and is of
  no pi0.
"""

from __future__ import annotations

from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import NeutralList, Without

ETA_B = DecaySkim(
    name="BottomoniumEtabExclusive",
    code=15420100,
    description="A photon of 0.3 to 1.6 GeV that is of no pi0, and charged particles with all of the other energy.",
    cuts=(
        Cut("n_tracks", 4, 10),
        Cut("n_pi0s", 0, 0),
        Cut("total_charge", 0, 0),
        Cut("visible_energy_gev", 10.0, 11.2),
        Cut("missing_p_gev", high=0.5),
    ),
    targets=("gamma:transition",),
    lists=(
        NeutralList("gamma:any", 0.0, (Cut("p_gev", 0.3, 1.6),)),
        Without("gamma:transition", "gamma:any", ("pi0:veto",)),
    ),
    best="momentum",
)
SKIMS = (ETA_B,)
