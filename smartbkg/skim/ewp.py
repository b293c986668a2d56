"""Skims of electroweak penguin decays.

The cuts of `BtoXll`, and why:

* Event: at least 5 good tracks (two leptons, one more of the X, two of the other B), visible energy above 4 GeV,
  R2 below 0.5 against continuum.
* Two leptons of the same flavour and opposite charge from the origin, each above 1.0 GeV in the collision frame
  (most leptons of charm decays are below) and identified with a likelihood share above 0.9. The X stays open.
"""

from __future__ import annotations

from smartbkg.detector.kinematics import ELECTRON_GEV, MUON_GEV
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, TrackList
from smartbkg.skim.skims import DecaySkim

NEAR = (Cut("d0_abs_cm", high=0.5), Cut("z0_abs_cm", high=3.0))

B_TO_X_LL = DecaySkim(
    name="BtoXll",
    code=12160200,
    description="Two opposite leptons of one flavour above 1.0 GeV in an event like that of two B mesons.",
    cuts=(
        Cut("n_tracks", low=5),
        Cut("visible_energy_gev", low=4.0),
        Cut("r2", high=0.5),
        Cut("lepton_p_max_gev", low=1.0),
    ),
    tracks=(
        TrackList("e+", ELECTRON_GEV, (*NEAR, Cut("electron_id", low=0.9), Cut("p_collision_gev", low=1.0))),
        TrackList("mu+", MUON_GEV, (*NEAR, Cut("muon_id", low=0.9), Cut("p_collision_gev", low=1.0))),
    ),
    neutrals=(),
    rules=(Rule("dilepton", (Channel("dilepton -> e+ e-"), Channel("dilepton -> mu+ mu-"))),),
    targets=("dilepton",),
)
SKIMS = (B_TO_X_LL,)
