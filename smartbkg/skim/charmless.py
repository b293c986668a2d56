"""Skims of charmless B decays to hadrons.

The cuts, and why:

* Event: R2 below 0.7, since nearly all background is continuum; analyses cut harder with many variables.
* `BtoPi0Pi0`: two pi0 above 1.5 GeV (2.6 GeV smeared by the motion of the B), Mbc > 5.2 GeV and delta E from -0.5
  GeV, because the calorimeter loses energy behind the crystals, to 0.3 GeV.
* `BtoHadTracks`: two or three charged particles or K_S; `BtoHad1Pi0`: one of them a pi0 above 0.5 GeV. Three-body
  decays have many wrong combinations: Mbc > 5.25 GeV and |delta E| < 0.1 GeV (0.15 GeV with a pi0), where two-body
  decays keep Mbc > 5.2 GeV and |delta E| < 0.3 GeV.
"""

from __future__ import annotations

from smartbkg.detector.kinematics import PI0_GEV
from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, NeutralList, Rule
from smartbkg.skim.light_lists import PI0_MASS

TWO_BODY = (Cut("mbc_gev", low=5.2), Cut("delta_e_gev", -0.3, 0.3))
THREE_BODY = (Cut("mbc_gev", low=5.25), Cut("delta_e_gev", -0.1, 0.1))
THREE_BODY_PI0 = (Cut("mbc_gev", low=5.25), Cut("delta_e_gev", -0.15, 0.15))
NOT_JETS = Cut("r2", high=0.7)


def _channels(mother: str, cuts: tuple[Cut, ...], *decays: str) -> tuple[Channel, ...]:
    return tuple(Channel(f"{mother} -> {decay}", cuts) for decay in decays)


B_TO_PI0_PI0 = DecaySkim(
    name="BtoPi0Pi0",
    code=19120100,
    description="B0 to two hard pi0.",
    cuts=(NOT_JETS,),
    targets=("B0",),
    lists=(
        NeutralList("pi0:fast", PI0_GEV, (PI0_MASS, Cut("p_gev", low=1.5))),
        Rule("B0", (Channel("B0 -> pi0:fast pi0:fast"),), (Cut("mbc_gev", low=5.2), Cut("delta_e_gev", -0.5, 0.3))),
    ),
)
B_TO_HAD_TRACKS = DecaySkim(
    name="BtoHadTracks",
    code=19130201,
    description="B to two or three charged pions, kaons or K_S0.",
    cuts=(Cut("n_tracks", low=3), NOT_JETS),
    targets=("B0", "B+"),
    lists=(
        Rule(
            "B0",
            (
                *_channels("B0", TWO_BODY, "K+ pi-", "pi+ pi-", "K+ K-"),
                *_channels("B0", THREE_BODY, "K_S0 pi+ pi-", "K_S0 K+ K-", "K_S0 K+ pi-", "K_S0 K- pi+"),
            ),
        ),
        Rule(
            "B+",
            (
                *_channels("B+", TWO_BODY, "K_S0 pi+", "K_S0 K+"),
                *_channels("B+", THREE_BODY, "K+ pi+ pi-", "K+ K+ K-", "K+ K- pi+", "pi+ pi+ pi-"),
            ),
        ),
    ),
)
B_TO_HAD_1_PI0 = DecaySkim(
    name="BtoHad1Pi0",
    code=19130300,
    description="B to a pi0 and one or two charged pions, kaons or K_S0.",
    cuts=(Cut("n_tracks", low=3), NOT_JETS),
    targets=("B0", "B+"),
    lists=(
        NeutralList("pi0:fast", PI0_GEV, (PI0_MASS, Cut("p_gev", low=0.5))),
        Rule(
            "B0",
            (
                *_channels("B0", TWO_BODY, "K_S0 pi0:fast"),
                *_channels("B0", THREE_BODY_PI0, "K+ pi- pi0:fast", "K+ K- pi0:fast", "pi+ pi- pi0:fast"),
            ),
        ),
        Rule(
            "B+",
            (
                *_channels("B+", TWO_BODY, "K+ pi0:fast", "pi+ pi0:fast"),
                *_channels("B+", THREE_BODY_PI0, "K_S0 pi+ pi0:fast"),
            ),
        ),
    ),
)
SKIMS = (B_TO_PI0_PI0, B_TO_HAD_TRACKS, B_TO_HAD_1_PI0)
