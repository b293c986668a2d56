"""Skims of charm from continuum.

The cuts, and why:

* Charmed hadrons of B decays have less than 2.6 GeV, most less than 1.9; from c anti-c they have 2 to 5 GeV. Above
  2.5 GeV (`XTo...`) or with a D* above 2.4 GeV (`DstTo...`) nothing of a B is left, and most wrong combinations go,
  because slow particles are many.
* The mass windows are wide, as the lists are, for fits with sidebands. A D* tag has a mass difference within
  0.140 to 0.152 GeV (signal at 0.1454; the kinematic limit is 0.1396), or 0.135 to 0.150 GeV with a slow pi0.
* No cut on the event: continuum, tau pairs and B pairs are background of each other.
"""

from __future__ import annotations

from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, Selection

FROM_CONTINUUM = (Cut("p_gev", low=2.5),)
D_STAR_FAST = Cut("p_gev", low=2.4)
SLOW_PION, SLOW_PI0 = Cut("delta_m_gev", 0.1396, 0.152), Cut("delta_m_gev", 0.135, 0.150)


def _untagged(name: str, code: int, source: str, description: str) -> DecaySkim:
    """A fast charmed hadron of a standard list."""
    selected = Selection(source.partition(":")[0] + ":continuum", (source,), FROM_CONTINUUM)
    return DecaySkim(name, code, description, (), (selected.name,), (selected,), "momentum")


def _tagged(name: str, code: int, decay: str, cut: Cut, description: str) -> DecaySkim:
    """A fast D*."""
    rule = Rule("D*+", (Channel(f"D*+ -> {decay}", (cut,)),), (D_STAR_FAST,))
    return DecaySkim(name, code, description, (), ("D*+",), (rule,), "momentum")


SKIMS = (
    _untagged("XToD0_D0ToHpJm", 17230100, "D0:fast_hh", "A fast D0 to two charged kaons or pions."),
    _untagged("XToD0_D0ToNeutrals", 17230200, "D0:fast_neutrals", "A fast D0 to two of pi0 and K_S0."),
    _untagged("XToDp_DpToKsHp", 17230400, "D+:fast_Ksh", "A fast D+ to K_S0 and a pion or kaon."),
    _untagged("XToDp_DpToHpHmJp", 17230500, "D+:fast_hhh", "A fast D+ to three charged kaons and pions."),
    _untagged("LambdacTopHpJm", 17230600, "Lambda_c+:fast", "A fast Lambda_c+ to a proton and two kaons or pions."),
    _tagged("DstToD0Pi_D0ToHpJm", 17240100, "D0:fast_hh pi+", SLOW_PION, "A D*+ with D0 to two kaons or pions."),
    _tagged(
        "DstToD0Pi_D0ToHpHmPi0",
        17240300,
        "D0:fast_hhpi0 pi+",
        SLOW_PION,
        "A D*+ with D0 to two kaons or pions and pi0.",
    ),
    _tagged("DstToD0Pi_D0ToNeutrals", 17240600, "D0:fast_neutrals pi+", SLOW_PION, "A D*+ with D0 to pi0 and K_S0."),
    _tagged(
        "DstToD0Pi_D0ToHpJmKs", 17240700, "D0:fast_hhKs pi+", SLOW_PION, "A D*+ with D0 to two kaons or pions and K_S0."
    ),
    _tagged(
        "DstToDpPi0_DpToHpPi0", 17241000, "D+:fast_hpi0 pi0:slow", SLOW_PI0, "A D*+ with D+ to pi0 and a pion or kaon."
    ),
    _tagged(
        "DstToD0Pi_D0ToVGamma",
        17241200,
        "D0:fast_Vgamma pi+",
        SLOW_PION,
        "A D*+ with D0 to a vector meson and a photon.",
    ),
)
