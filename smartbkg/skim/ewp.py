"""Skims of electroweak penguin decays.

The cuts, and why:

* Event: at least 5 good tracks (two leptons, one more of the X, two of the other B; 4 beside a photon or with
  neutrinos), visible energy above 4 GeV, R2 below 0.5 against continuum.
* `BtoXll`: two leptons of the same flavour and opposite charge from the origin, each above 1.0 GeV in the collision
  frame (most leptons of charm decays are below) and identified with a likelihood share above 0.9. The X stays open.
* `BtoXll_LFV`: the same with an electron and a muon, which no decay of the Standard Model makes at one vertex.
* `BToXgamma`: a photon of 1.6 to 2.8 GeV, where b -> s gamma lies (half the b mass, smeared by its motion), of no
  pi0 or eta candidate: these make nearly all hard photons.
* `inclusiveBplusToKplusNuNu`: a kaon of 1.0 to 2.7 GeV, which the dineutrino mass below 4 GeV asks for; 4 to 9
  good tracks of nearly no total charge and no lepton of a semileptonic decay; missing energy above 2.5 GeV,
  since two neutrinos take on average half of the B, with a momentum that points into the detector.
"""

from __future__ import annotations

from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, Selection

TWO_LEPTONS = (
    Cut("n_tracks", low=5),
    Cut("visible_energy_gev", low=4.0),
    Cut("r2", high=0.5),
    Cut("lepton_p_max_gev", low=1.0),
)

B_TO_X_LL = DecaySkim(
    name="BtoXll",
    code=12160200,
    description="Two opposite leptons of one flavour above 1.0 GeV in an event like that of two B mesons.",
    cuts=TWO_LEPTONS,
    targets=("dilepton",),
    lists=(Rule("dilepton", (Channel("dilepton -> e+:hard e-:hard"), Channel("dilepton -> mu+:hard mu-:hard"))),),
    best="momentum",
)
B_TO_X_LL_LFV = DecaySkim(
    name="BtoXll_LFV",
    code=12160300,
    description="An electron and a muon of opposite charge above 1.0 GeV in an event like that of two B mesons.",
    cuts=TWO_LEPTONS,
    targets=("dilepton",),
    lists=(Rule("dilepton", (Channel("dilepton -> e+:hard mu-:hard"), Channel("dilepton -> mu+:hard e-:hard"))),),
    best="momentum",
)
B_TO_X_GAMMA = DecaySkim(
    name="BToXgamma",
    code=12160100,
    description="A photon of 1.6 to 2.8 GeV that is of no pi0 or eta, in an event like that of two B mesons.",
    cuts=(Cut("n_tracks", low=4), Cut("visible_energy_gev", low=4.0), Cut("r2", high=0.5)),
    targets=("gamma:penguin",),
    lists=(Selection("gamma:penguin", ("gamma:single",), (Cut("p_gev", 1.6, 2.8),)),),
    best="momentum",
)
B_TO_K_NU_NU = DecaySkim(
    name="inclusiveBplusToKplusNuNu",
    code=12160400,
    description="A kaon of 1.0 to 2.7 GeV with missing energy in an event like that of two B mesons.",
    cuts=(
        Cut("n_tracks", 4, 9),
        Cut("total_charge", -1, 1),
        Cut("r2", high=0.4),
        Cut("visible_energy_gev", low=4.0),
        Cut("missing_energy_gev", low=2.5),
        Cut("missing_cos_theta", -0.9, 0.95),
        Cut("lepton_p_max_gev", high=0.8),
    ),
    targets=("K+:signal",),
    lists=(Selection("K+:signal", ("K+",), (Cut("p_gev", 1.0, 2.7),)),),
    best="momentum",
)
SKIMS = (B_TO_X_LL, B_TO_X_LL_LFV, B_TO_X_GAMMA, B_TO_K_NU_NU)
