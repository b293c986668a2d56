"""Skims of the hadronic B tag: one B of the event fully reconstructed in hadronic decays.

The cuts, and why:

* Event: at least 4 good tracks (the simplest tag has 3 and the other B leaves one), visible energy above 4 GeV
  (two B mesons leave more, beam background and two-photon events less), R2 below 0.4 (continuum is jet-like).
* Tracks: from the origin within 0.5 cm across and 3 cm along the beam; kaons and pions by likelihood share, tight
  for the kaons since a wrong kaon makes most wrong D mesons.
* D mesons: mass within 3 resolutions (all charged: 5 MeV; with one pi0: 12 MeV) and momentum below 2.6 GeV in the
  collision frame, the limit for B decays. D*: mass difference to the D within 2 MeV of 145.4 (142.0, 140.7) MeV.
* B mesons: Mbc > 5.24 GeV and |delta E| < 0.2 GeV, the users' definition of the skim. Its wide sideband is full of
  wrong combinations in channels with several slow pions, so these channels ask for a D* or a harder cut on delta E.
"""

from __future__ import annotations

from smartbkg.detector.kinematics import ELECTRON_GEV, K_SHORT_GEV, KAON_GEV, MUON_GEV, PI0_GEV, PION_GEV
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, NeutralList, Rule, TrackList
from smartbkg.skim.skims import DecaySkim

# PDG 2024, GeV.
D0_GEV, D_PLUS_GEV, D_S_GEV, J_PSI_GEV = 1.86484, 1.86966, 1.96835, 3.09690
D_STAR_PLUS_GEV, D_STAR_ZERO_GEV = 2.01026, 2.00685
CHARGED_WINDOW_GEV, PI0_WINDOW_GEV = 0.015, 0.030

NEAR = (Cut("d0_abs_cm", high=0.5), Cut("z0_abs_cm", high=3.0))


def _around(center: float, half: float) -> tuple[Cut, ...]:
    return (Cut("mass_gev", center - half, center + half),)


def _channels(mother: str, mass: float, charged: tuple[str, ...], with_pi0: tuple[str, ...]) -> tuple[Channel, ...]:
    return (
        *(Channel(f"{mother} -> {d}", _around(mass, CHARGED_WINDOW_GEV)) for d in charged),
        *(Channel(f"{mother} -> {d}", _around(mass, PI0_WINDOW_GEV)) for d in with_pi0),
    )


TRACKS = (
    TrackList("pi+", PION_GEV, (*NEAR, Cut("pion_id", low=0.3))),
    TrackList("K+", KAON_GEV, (*NEAR, Cut("kaon_id", low=0.6))),
    TrackList("e+", ELECTRON_GEV, (*NEAR, Cut("electron_id", low=0.9))),
    TrackList("mu+", MUON_GEV, (*NEAR, Cut("muon_id", low=0.9))),
)
NEUTRALS = (
    NeutralList("K_S0", K_SHORT_GEV, (Cut("mass_gev", 0.4906, 0.5046),)),
    NeutralList("pi0", PI0_GEV, (Cut("mass_gev", 0.120, 0.148), Cut("p_gev", low=0.3))),
    NeutralList("pi0:slow", PI0_GEV, (Cut("mass_gev", 0.120, 0.148), Cut("p_gev", high=0.45))),
)
IN_B_DECAY = (Cut("p_gev", high=2.6),)
CHARM = (
    Rule("J/psi", (Channel("J/psi -> e+ e-"), Channel("J/psi -> mu+ mu-")), _around(J_PSI_GEV, 0.05), J_PSI_GEV),
    Rule(
        "D0",
        _channels(
            "D0",
            D0_GEV,
            ("K- pi+", "K- pi+ pi+ pi-", "K_S0 pi+ pi-", "K- K+", "K- K+ K_S0"),
            ("K- pi+ pi0", "K_S0 pi0", "K_S0 pi+ pi- pi0"),
        ),
        IN_B_DECAY,
        D0_GEV,
    ),
    Rule(
        "D+",
        _channels(
            "D+",
            D_PLUS_GEV,
            ("K- pi+ pi+", "K_S0 pi+", "K_S0 pi+ pi+ pi-", "K- K+ pi+"),
            ("K- pi+ pi+ pi0", "K_S0 pi+ pi0"),
        ),
        IN_B_DECAY,
        D_PLUS_GEV,
    ),
    Rule("D_s+", _channels("D_s+", D_S_GEV, ("K- K+ pi+", "K_S0 K+"), ()), IN_B_DECAY, D_S_GEV),
    Rule(
        "D*+",
        (
            Channel("D*+ -> D0 pi+", (Cut("delta_m_gev", 0.1434, 0.1474),)),
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
B_PLUS = (
    "J/psi K+",
    "J/psi K_S0 pi+",
    "anti-D0 pi+",
    "anti-D0 K+",
    "anti-D0 pi+ pi0",
    "anti-D0 pi+ pi+ pi-",
    "anti-D*0 pi+",
    "anti-D*0 pi+ pi0",
    "anti-D*0 pi+ pi+ pi-",
    "D*- pi+ pi+",
    "D- pi+ pi+",
    "D_s+ anti-D0",
    "D_s+ anti-D*0",
)
B_ZERO = (
    "J/psi K_S0",
    "J/psi K+ pi-",
    "D- pi+",
    "D- K+",
    "D- pi+ pi0",
    "D- pi+ pi+ pi-",
    "D*- pi+",
    "D*- pi+ pi0",
    "D*- pi+ pi+ pi-",
    "anti-D0 pi+ pi-",
    "D_s+ D-",
    "D_s+ D*-",
)

FEI_HADRONIC = DecaySkim(
    name="feiHadronic",
    code=11180500,
    description="A B+ or B0 fully reconstructed in hadronic decays, Mbc > 5.24 GeV and |delta E| < 0.2 GeV.",
    cuts=(Cut("n_tracks", low=4), Cut("visible_energy_gev", low=4.0), Cut("r2", high=0.4)),
    tracks=TRACKS,
    neutrals=NEUTRALS,
    rules=(
        *CHARM,
        Rule("B+", tuple(Channel(f"B+ -> {d}") for d in B_PLUS), TAG),
        Rule("B0", tuple(Channel(f"B0 -> {d}") for d in B_ZERO), TAG),
    ),
    targets=("B+", "B0"),
)
SKIMS = (FEI_HADRONIC,)
