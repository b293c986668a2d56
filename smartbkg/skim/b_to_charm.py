"""Skims of B decays to open charm, for the angles of the unitarity triangle and as control channels.

The cuts, and why:

* Event: at least 3 good tracks, visible energy above 4 GeV, R2 below 0.7: the jets that no analysis
  would keep go, and enough of continuum stays to learn its suppression from.
* D mesons are the wide standard lists of the decay that names the skim.
* B mesons: Mbc > 5.2 GeV and |delta E| < 0.5 GeV (0.3 GeV with a rho, where most combinations are wrong), so that
  sidebands for the fit of the background stay in: signal has widths of 3 MeV and 15 MeV (40 MeV with a pi0).
"""

from __future__ import annotations

from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, Selection

EVENT = (Cut("n_tracks", low=3), Cut("visible_energy_gev", low=4.0), Cut("r2", high=0.7))
CANDIDATE = (Cut("mbc_gev", low=5.2), Cut("delta_e_gev", -0.5, 0.5))
WITH_RHO = (Cut("mbc_gev", low=5.2), Cut("delta_e_gev", -0.3, 0.3))


def _b_to_d0_h(name: str, code: int, d0: str, cuts: tuple[Cut, ...] = CANDIDATE) -> DecaySkim:
    """B+ to a D0 of the list `D0:<d0>` with a pion or kaon."""
    channels = tuple(Channel(f"B+ -> anti-D0:wide_{d0} {hadron}") for hadron in ("pi+", "K+"))
    description = f"B+ to D0 pi+ or D0 K+, the D0 in the decays {d0}."
    return DecaySkim(name, code, description, EVENT, ("B+",), (Rule("B+", channels, cuts),))


def _one_decay(name: str, code: int, decay: str, cuts: tuple[Cut, ...] = CANDIDATE) -> DecaySkim:
    """One decay of a B."""
    mother = decay.split(maxsplit=1)[0]
    return DecaySkim(
        name, code, f"{decay} with its antiparticles.", EVENT, (mother,), (Rule(mother, (Channel(decay),), cuts),)
    )


SKIMS = (
    _b_to_d0_h("BtoD0h_Kspi0", 14120300, "Kspi0"),
    _one_decay("B0toDpi_Kpipi", 14120600, "B0 -> D-:wide_Kpipi pi+"),
    _one_decay("B0toDrho_Kpipi", 14121100, "B0 -> D-:wide_Kpipi rho+", WITH_RHO),
    _b_to_d0_h("BtoD0h_hh", 14140100, "hh"),
    _b_to_d0_h("BtoD0h_Kpi", 14140101, "Kpi"),
    _b_to_d0_h("BtoD0h_Kpipipi_Kpipi0", 14140102, "Kpipipi_Kpipi0"),
    _b_to_d0_h("BtoD0h_Kshh", 14140200, "Kshh"),
    _one_decay("BtoD0rho_Kpi", 14141000, "B+ -> anti-D0:wide_Kpi rho+", WITH_RHO),
    _one_decay("BtoD0rho_Kpipipi_Kpipi0", 14141001, "B+ -> anti-D0:wide_Kpipipi_Kpipi0 rho+", WITH_RHO),
    DecaySkim(
        name="B0toDD_Kpipi_Kspi",
        code=14141002,
        description="B0 -> D+ D-, each in K- pi+ pi+ or K_S0 pi+.",
        cuts=EVENT,
        targets=("B0",),
        lists=(
            Selection("D+:pair", ("D+:wide_Kpipi", "D+:wide_Kspi")),
            Rule("B0", (Channel("B0 -> D+:pair D-:pair"),), CANDIDATE),
        ),
    ),
)
