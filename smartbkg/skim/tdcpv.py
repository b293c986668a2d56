"""Skims for CP violation in the time between the decays of the two B mesons.

The cuts, and why:

* Event: at least 4 good tracks, since the vertex of the other B needs two; R2 below 0.7 for b -> q q s, where
  continuum dominates; a charmonium needs no such cut.
* `TDCPV_ccs`, b -> c c s: a J/psi, psi(2S) or chi_c1 with a K_S or K*, and the charged control channels with a K+.
  For J/psi K_L the J/psi alone is asked for, with 1.3 to 2.1 GeV: 1.7 GeV of the two-body decay, smeared by the
  motion of the B.
* `TDCPV_qqs`, b -> q q s: eta', phi, omega, eta, rho0, pi0, pi0 gamma or two more K_S with a K_S, and eta' K+ and
  phi K+ as controls.
* B mesons: Mbc > 5.2 GeV and |delta E| < 0.25 GeV (0.3 GeV for b -> q q s, where photons and pi0 smear) keep
  sidebands for the fit.
"""

from __future__ import annotations

from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, Selection
from smartbkg.skim.light_lists import around

CHI_C1_GEV = 3.51067  # PDG 2024


def _channels(mother: str, *decays: str) -> tuple[Channel, ...]:
    return tuple(Channel(f"{mother} -> {decay}") for decay in decays)


CHARMONIUM_TAG = (Cut("mbc_gev", low=5.2), Cut("delta_e_gev", -0.25, 0.25))
PENGUIN_TAG = (Cut("mbc_gev", low=5.2), Cut("delta_e_gev", -0.3, 0.3))

TDCPV_CCS = DecaySkim(
    name="TDCPV_ccs",
    code=13160200,
    description="B to charmonium with K_S0, K* or K+.",
    cuts=(Cut("n_tracks", low=4),),
    targets=("B0", "B+", "J/psi:two_body"),
    lists=(
        Selection("J/psi:two_body", ("J/psi:loose",), (Cut("p_gev", 1.3, 2.1),)),
        Rule("chi_c1", (Channel("chi_c1 -> J/psi:loose gamma"),), around(CHI_C1_GEV, 0.03), CHI_C1_GEV),
        Rule(
            "B0",
            _channels(
                "B0", "J/psi:loose K_S0", "psi(2S):loose K_S0", "chi_c1 K_S0", "J/psi:loose K*0", "J/psi:loose K_S0 pi0"
            ),
            CHARMONIUM_TAG,
        ),
        Rule(
            "B+", _channels("B+", "J/psi:loose K+", "psi(2S):loose K+", "chi_c1 K+", "J/psi:loose K*+"), CHARMONIUM_TAG
        ),
    ),
)
TDCPV_QQS = DecaySkim(
    name="TDCPV_qqs",
    code=13160300,
    description="B0 to light mesons with a K_S0 by b -> q q s, and the control channels with a K+.",
    cuts=(Cut("n_tracks", low=4), Cut("visible_energy_gev", low=4.0), Cut("r2", high=0.7)),
    targets=("B0", "B+"),
    lists=(
        Rule(
            "B0",
            _channels(
                "B0",
                "K_S0 eta'",
                "K_S0 phi",
                "K_S0 omega",
                "K_S0 eta",
                "K_S0 pi0",
                "K_S0 rho0",
                "K_S0 pi0 gamma:hard",
                "K_S0 K_S0 K_S0",
            ),
            PENGUIN_TAG,
        ),
        Rule("B+", _channels("B+", "eta' K+", "phi K+"), PENGUIN_TAG),
    ),
)
SKIMS = (TDCPV_CCS, TDCPV_QQS)
