"""Skims of the hadronic B tag: one B of the event fully reconstructed in hadronic decays.

The cuts, and why:

* Event: at least 4 good tracks (the simplest tag has 3 and the other B leaves one), visible energy above 4 GeV
  (two B mesons leave more, beam background and two-photon events less), R2 below 0.4 (continuum is jet-like).
* Tracks: from the origin within 0.5 cm across and 3 cm along the beam; a kaon has at least half of the likelihood of
  all five hypotheses, since a wrong kaon makes most wrong D mesons, a pion a tenth.
* D mesons: mass within 2.5 resolutions of the mode, momentum below 2.6 GeV in the collision frame (the limit for B
  decays). D*: mass difference to the D within 1.2 MeV of 145.4 MeV with a charged pion, 2 MeV of 140.6 and 142.0 MeV
  with a pi0. pi0: 2 resolutions of 7 MeV; from a B or D above 0.3 GeV, where fewer photon pairs are accidental.
* B mesons: Mbc > 5.24 GeV and |delta E| < 0.2 GeV, the users' definition of the skim; it lets in decays that lose a
  photon or slow pi0 of a D* (delta E near -0.14 GeV).
"""

from __future__ import annotations

from smartbkg.detector.kinematics import ELECTRON_GEV, K_SHORT_GEV, KAON_GEV, MUON_GEV, PI0_GEV, PION_GEV
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, NeutralList, Rule, TrackList
from smartbkg.skim.skims import DecaySkim

# PDG 2024, GeV.
D0_GEV, D_PLUS_GEV, D_S_GEV, J_PSI_GEV = 1.86484, 1.86966, 1.96835, 3.09690
D_STAR_PLUS_GEV, D_STAR_ZERO_GEV = 2.01026, 2.00685

NEAR = (Cut("d0_abs_cm", high=0.5), Cut("z0_abs_cm", high=3.0))


def _around(center: float, half: float) -> tuple[Cut, ...]:
    return (Cut("mass_gev", center - half, center + half),)


def _channels(mother: str, mass: float, half_widths: dict[str, float]) -> tuple[Channel, ...]:
    return tuple(Channel(f"{mother} -> {d}", _around(mass, half)) for d, half in half_widths.items())


TRACKS = (
    TrackList("pi+", PION_GEV, (*NEAR, Cut("pion_id", low=0.1))),
    TrackList("K+", KAON_GEV, (*NEAR, Cut("kaon_id", low=0.5))),
    TrackList("e+", ELECTRON_GEV, (*NEAR, Cut("electron_id", low=0.9))),
    TrackList("mu+", MUON_GEV, (*NEAR, Cut("muon_id", low=0.9))),
)
NEUTRALS = (
    NeutralList("K_S0", K_SHORT_GEV, (Cut("mass_gev", 0.4906, 0.5046),)),
    NeutralList("pi0", PI0_GEV, (Cut("mass_gev", 0.120, 0.148), Cut("p_gev", low=0.3))),
    NeutralList("pi0:slow", PI0_GEV, (Cut("mass_gev", 0.120, 0.148), Cut("p_gev", high=0.45))),
)
IN_B_DECAY = (Cut("p_gev", high=2.6),)
# Half width of the mass window, GeV: 2.5 resolutions as measured on true candidates (2.5 to 3.7 MeV for charged
# modes, 9 to 12 MeV with a pi0). Modes with more than 50 wrong candidates a true one are left out.
D_ZERO = {
    "K- pi+": 0.010,
    "K- K+": 0.008,
    "K- pi+ pi+ pi-": 0.007,
    "K_S0 pi+ pi-": 0.008,
    "K- K+ K_S0": 0.008,
    "K_S0 pi0": 0.035,
    "K- pi+ pi0": 0.025,
}
D_PLUS = {
    "K- pi+ pi+": 0.009,
    "K- K+ pi+": 0.007,
    "K_S0 pi+": 0.010,
    "K_S0 pi+ pi+ pi-": 0.008,
    "K_S0 pi+ pi0": 0.025,
    "K- pi+ pi+ pi0": 0.016,
}
D_S = {"K- K+ pi+": 0.008, "K_S0 K+": 0.008}
CHARM = (
    Rule("J/psi", (Channel("J/psi -> e+ e-"), Channel("J/psi -> mu+ mu-")), _around(J_PSI_GEV, 0.05), J_PSI_GEV),
    Rule("D0", _channels("D0", D0_GEV, D_ZERO), IN_B_DECAY, D0_GEV),
    Rule("D+", _channels("D+", D_PLUS_GEV, D_PLUS), IN_B_DECAY, D_PLUS_GEV),
    Rule("D_s+", _channels("D_s+", D_S_GEV, D_S), IN_B_DECAY, D_S_GEV),
    Rule(
        "D*+",
        (
            Channel("D*+ -> D0 pi+", (Cut("delta_m_gev", 0.1442, 0.1466),)),
            Channel("D*+ -> D+ pi0:slow", (Cut("delta_m_gev", 0.1386, 0.1426),)),
        ),
        mass_gev=D_STAR_PLUS_GEV,
    ),
    Rule(
        "D*0",
        (Channel("D*0 -> D0 pi0:slow", (Cut("delta_m_gev", 0.1400, 0.1440),)),),
        mass_gev=D_STAR_ZERO_GEV,
    ),
)
TAG = (Cut("mbc_gev", low=5.24), Cut("delta_e_gev", -0.2, 0.2))
# Two classes of channels ask for more than the users' definition: several pions with a pi0 on a D*, where most
# combinations are wrong, and two charmed mesons with a kaon, whose delta E is known to 6 MeV.
MANY_PIONS, TWO_CHARM = (Cut("delta_e_gev", -0.05, 0.05),), (Cut("delta_e_gev", -0.04, 0.04),)
B_PLUS: dict[str, tuple[Cut, ...]] = {
    "J/psi K+": (),
    "J/psi K_S0 pi+": (),
    "J/psi K+ pi+ pi-": (),
    "anti-D0 pi+": (),
    "anti-D0 K+": (),
    "anti-D0 pi+ pi0": (),
    "anti-D0 pi+ pi+ pi-": (),
    "anti-D*0 pi+": (),
    "anti-D*0 pi+ pi0": (),
    "anti-D*0 pi+ pi+ pi-": (),
    "D*- pi+ pi+": (),
    "D*- pi+ pi+ pi0": MANY_PIONS,
    "D- pi+ pi+": (),
    "D_s+ anti-D0": (),
    "D_s+ anti-D*0": (),
    "anti-D0 D0 K+": TWO_CHARM,
    "anti-D*0 D0 K+": TWO_CHARM,
    "D*+ D*- K+": (),
    "anti-D0 D*+ K_S0": TWO_CHARM,
}
B_ZERO: dict[str, tuple[Cut, ...]] = {
    "J/psi K_S0": (),
    "J/psi K+ pi-": (),
    "D- pi+": (),
    "D- K+": (),
    "D- pi+ pi0": (),
    "D- pi+ pi+ pi-": (),
    "D*- pi+": (),
    "D*- pi+ pi0": (),
    "D*- pi+ pi+ pi-": (),
    "D*- pi+ pi+ pi- pi0": MANY_PIONS,
    "anti-D0 pi+ pi-": (),
    "D_s+ D-": (),
    "D_s+ D*-": (),
    "D_s+ anti-D0 pi-": TWO_CHARM,
    "D*- D0 K+": TWO_CHARM,
    "D- D0 K+": TWO_CHARM,
    "D*- D*+ K_S0": (),
    "D*- D+ K_S0": TWO_CHARM,
    "D*- D*0 K+": (),
}

FEI_HADRONIC = DecaySkim(
    name="feiHadronic",
    code=11180500,
    description="A B+ or B0 fully reconstructed in hadronic decays, Mbc > 5.24 GeV and |delta E| < 0.2 GeV.",
    cuts=(Cut("n_tracks", low=4), Cut("visible_energy_gev", low=4.0), Cut("r2", high=0.4)),
    tracks=TRACKS,
    neutrals=NEUTRALS,
    rules=(
        *CHARM,
        Rule("B+", tuple(Channel(f"B+ -> {d}", cuts) for d, cuts in B_PLUS.items()), TAG),
        Rule("B0", tuple(Channel(f"B0 -> {d}", cuts) for d, cuts in B_ZERO.items()), TAG),
    ),
    targets=("B+", "B0"),
)
SKIMS = (FEI_HADRONIC,)
