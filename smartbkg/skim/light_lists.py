"""Standard lists without charm: tracks, neutrals, light resonances, hyperons and charmonium.

The cuts, and why:

* Tracks come from the origin within 0.5 cm across and 3 cm along the beam; a kaon or proton has at least half of
  the likelihood of all five hypotheses, since a wrong one makes most wrong candidates, a pion a tenth, a lepton 0.9.
* Daughters of hyperons and of long-lived neutral particles miss the origin instead, by far more than the resolution
  of the impact parameter (25 um at 1 GeV).
* pi0 within 2 resolutions of 7 MeV; from a B or D above 0.3 GeV, where fewer photon pairs are accidental, the slow
  ones of a D* below 0.45 GeV. Photons above 0.1 GeV in the laboratory, where beam background is left behind.
* Charmonium of tags is clean; the loose lists take muons that the iron does not tell from pions (below 0.6 GeV), and
  masses 200 MeV down for electrons, which radiate.
* Resonances within their width: rho 150 MeV, K* 75 MeV on either side; narrow ones within 2.5 resolutions.
"""

from __future__ import annotations

from smartbkg.detector.kinematics import (
    ELECTRON_GEV,
    K_SHORT_GEV,
    KAON_GEV,
    MUON_GEV,
    PI0_GEV,
    PION_GEV,
    PROTON_GEV,
)
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, ListSpec, NeutralList, Rule, TrackList, Without

# PDG 2024, GeV.
RHO_GEV, K_STAR_GEV, PHI_GEV, OMEGA_GEV = 0.77526, 0.89555, 1.01946, 0.78266
ETA_GEV, ETA_PRIME_GEV, LAMBDA_GEV = 0.547862, 0.95778, 1.115683
J_PSI_GEV, PSI_2S_GEV = 3.09690, 3.68610

NEAR = (Cut("d0_abs_cm", high=0.5), Cut("z0_abs_cm", high=3.0))
ELECTRON, MUON = (*NEAR, Cut("electron_id", low=0.9)), (*NEAR, Cut("muon_id", low=0.9))
# Most leptons of charm decays are slower than this, most of B -> X l nu faster.
FROM_B = Cut("p_collision_gev", low=1.0)
PI0_MASS = Cut("mass_gev", 0.120, 0.148)


def around(center: float, half: float) -> tuple[Cut, ...]:
    """A mass window."""
    return (Cut("mass_gev", center - half, center + half),)


TRACKS = (
    TrackList("pi+", PION_GEV, (*NEAR, Cut("pion_id", low=0.1))),
    TrackList("K+", KAON_GEV, (*NEAR, Cut("kaon_id", low=0.5))),
    TrackList("p+", PROTON_GEV, (*NEAR, Cut("proton_id", low=0.5))),
    TrackList("e+", ELECTRON_GEV, ELECTRON),
    TrackList("mu+", MUON_GEV, MUON),
    TrackList("e+:loose", ELECTRON_GEV, (*NEAR, Cut("electron_id", low=0.5))),
    TrackList("mu+:loose", MUON_GEV, (*NEAR, Cut("muon_id", low=0.1))),
    TrackList("e+:hard", ELECTRON_GEV, (*ELECTRON, FROM_B)),
    TrackList("mu+:hard", MUON_GEV, (*MUON, FROM_B)),
    TrackList("pi+:displaced", PION_GEV, (Cut("d0_abs_cm", low=0.1), Cut("pion_id", low=0.1))),
    TrackList("p+:displaced", PROTON_GEV, (Cut("d0_abs_cm", low=0.02), Cut("proton_id", low=0.5))),
)
NEUTRALS = (
    NeutralList("K_S0", K_SHORT_GEV, (Cut("mass_gev", 0.4906, 0.5046),)),
    NeutralList("pi0", PI0_GEV, (PI0_MASS, Cut("p_gev", low=0.3))),
    NeutralList("pi0:slow", PI0_GEV, (PI0_MASS, Cut("p_gev", high=0.45))),
    # Photon pairs of a hard photon with a weak one are mostly accidental: they must not veto it.
    NeutralList("pi0:veto", PI0_GEV, (Cut("mass_gev", 0.115, 0.153), Cut("energy_min_gev", low=0.08))),
    NeutralList("gamma", 0.0, (Cut("energy_gev", low=0.1),)),
    NeutralList("gamma:clean", 0.0, (Cut("energy_gev", low=0.3),)),
    # D -> V gamma: 0.8 GeV in the D's frame, far above what a slow pi0 leaves.
    NeutralList("gamma:V", 0.0, (Cut("energy_gev", low=0.5),)),
    NeutralList("gamma:hard", 0.0, (Cut("p_gev", low=1.4),)),
)
RESONANCES = (
    Rule("rho+", (Channel("rho+ -> pi+ pi0"),), around(RHO_GEV, 0.15)),
    Rule("rho0", (Channel("rho0 -> pi+ pi-"),), around(RHO_GEV, 0.15)),
    Rule("K*0", (Channel("K*0 -> K+ pi-"),), around(K_STAR_GEV, 0.075)),
    Rule("K*+", (Channel("K*+ -> K_S0 pi+"), Channel("K*+ -> K+ pi0")), around(K_STAR_GEV, 0.075)),
    Rule("phi", (Channel("phi -> K+ K-"),), around(PHI_GEV, 0.010)),
    Rule(
        "eta",
        (Channel("eta -> gamma:clean gamma:clean", around(ETA_GEV, 0.030)),),
        mass_gev=ETA_GEV,
    ),
    Rule("eta:veto", (Channel("eta:veto -> gamma:hard gamma:clean"),), around(ETA_GEV, 0.035)),
    Rule("omega", (Channel("omega -> pi0 pi+ pi-"),), around(OMEGA_GEV, 0.025)),
    Rule(
        "eta'",
        (
            Channel("eta' -> eta pi+ pi-", around(ETA_PRIME_GEV, 0.015)),
            Channel("eta' -> rho0 gamma", around(ETA_PRIME_GEV, 0.020)),
        ),
        mass_gev=ETA_PRIME_GEV,
    ),
    Rule("Lambda0", (Channel("Lambda0 -> p+:displaced pi-:displaced"),), around(LAMBDA_GEV, 0.004)),
    Without("gamma:single", "gamma:hard", ("pi0:veto", "eta:veto")),
)
CHARMONIUM = (
    Rule(
        "J/psi",
        (Channel("J/psi -> e+ e-"), Channel("J/psi -> mu+ mu-")),
        around(J_PSI_GEV, 0.05),
        J_PSI_GEV,
    ),
    Rule(
        "J/psi:loose",
        (
            Channel("J/psi:loose -> e+:loose e-:loose", (Cut("mass_gev", 2.90, 3.17),)),
            Channel("J/psi:loose -> mu+:loose mu-:loose", (Cut("mass_gev", 3.00, 3.17),)),
        ),
        mass_gev=J_PSI_GEV,
    ),
    Rule(
        "psi(2S):loose",
        (
            Channel("psi(2S):loose -> e+:loose e-:loose", (Cut("mass_gev", 3.50, 3.76),)),
            Channel("psi(2S):loose -> mu+:loose mu-:loose", (Cut("mass_gev", 3.60, 3.76),)),
            Channel("psi(2S):loose -> J/psi:loose pi+ pi-", around(PSI_2S_GEV, 0.012)),
        ),
        mass_gev=PSI_2S_GEV,
    ),
)
LISTS: tuple[ListSpec, ...] = (*TRACKS, *NEUTRALS, *RESONANCES, *CHARMONIUM)
