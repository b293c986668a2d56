"""Skims of long-lived particles of a dark sector in B decays.

The cuts, and why:

* `BtoKplusLLP`: a B+ to a kaon and a neutral particle that decays away from the origin to two opposite tracks of
  the same kind. Both miss the origin by 0.2 mm and more, five resolutions at 1 GeV; their mass lies
  outside of that of the K_S; a Lambda has a proton and is not looked for.
* Mbc > 5.2 GeV, and delta E from -1.5 GeV, since the new particle may lose a pi0 or neutrinos of tau leptons, to
  0.3 GeV. R2 below 0.7 leaves continuum to learn its suppression from.
"""

from __future__ import annotations

from smartbkg.detector.kinematics import ELECTRON_GEV, KAON_GEV, MUON_GEV, PION_GEV
from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, TrackList

DISPLACED = Cut("d0_abs_cm", low=0.02)
K_SHORT_BELOW, K_SHORT_ABOVE = (Cut("mass_gev", high=0.477),), (Cut("mass_gev", 0.518, 5.0),)
OUTSIDE_K_SHORT = tuple(
    Channel(f"long_lived -> {pair}", cuts)
    for pair in ("e+:llp e-:llp", "mu+:llp mu-:llp", "pi+:llp pi-:llp", "K+:llp K-:llp")
    for cuts in (K_SHORT_BELOW, K_SHORT_ABOVE)
)
B_TO_K_LLP = DecaySkim(
    name="BtoKplusLLP",
    code=18130100,
    description="B+ to K+ and a pair of tracks from a displaced vertex.",
    cuts=(Cut("n_tracks", low=2), Cut("visible_energy_gev", low=4.0), Cut("r2", high=0.7)),
    targets=("B+",),
    lists=(
        TrackList("e+:llp", ELECTRON_GEV, (DISPLACED, Cut("electron_id", low=0.5))),
        TrackList("mu+:llp", MUON_GEV, (DISPLACED, Cut("muon_id", low=0.5))),
        TrackList("pi+:llp", PION_GEV, (DISPLACED, Cut("pion_id", low=0.1))),
        TrackList("K+:llp", KAON_GEV, (DISPLACED, Cut("kaon_id", low=0.5))),
        Rule("long_lived", OUTSIDE_K_SHORT),
        Rule("B+", (Channel("B+ -> K+ long_lived"),), (Cut("mbc_gev", low=5.2), Cut("delta_e_gev", -1.5, 0.3))),
    ),
)
SKIMS = (B_TO_K_LLP,)
