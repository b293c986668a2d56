"""Standard lists of charmed hadrons: for B tags, for single B decays, and fast ones of c anti-c events.

For B tags the mass windows are 2.5 resolutions as measured on true candidates (2.5 to 3.7 MeV for charged modes,
9 to 12 MeV with a pi0), the mass is set to the nominal one afterwards, and no momentum above 2.6 GeV in the
collision frame is allowed: the limit for B decays.

Analyses of single B decays fit the D mass, too, or take its sidebands as background: the windows of `:wide...` lists
are four to seven times as wide, and the mass stays as measured.

Fast ones (`:fast...`) have more than 1.9 GeV, which few charmed hadrons of B decays have; their mass windows are
some ten resolutions wide, since analyses fit signal and background together, and the mass stays as measured.
"""

from __future__ import annotations

from dataclasses import replace

from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, ListSpec, Rule, Selection
from smartbkg.skim.light_lists import around

# PDG 2024, GeV.
D0_GEV, D_PLUS_GEV, D_S_GEV, LAMBDA_C_GEV = 1.86484, 1.86966, 1.96835, 2.28646
D_STAR_PLUS_GEV, D_STAR_ZERO_GEV = 2.01026, 2.00685

# Label -> decay and half width of the mass window, GeV. Those in the tags have fewer than 50 wrong candidates a
# true one.
D_ZERO = {
    "Kpi": ("K- pi+", 0.010),
    "KK": ("K- K+", 0.008),
    "Kpipipi": ("K- pi+ pi+ pi-", 0.007),
    "Kspipi": ("K_S0 pi+ pi-", 0.008),
    "KsKK": ("K_S0 K- K+", 0.008),
    "Kspi0": ("K_S0 pi0", 0.035),
    "Kpipi0": ("K- pi+ pi0", 0.025),
}
D_PLUS = {
    "Kpipi": ("K- pi+ pi+", 0.009),
    "KKpi": ("K- K+ pi+", 0.007),
    "Kspi": ("K_S0 pi+", 0.010),
    "Kspipipi": ("K_S0 pi+ pi+ pi-", 0.008),
    "Kspipi0": ("K_S0 pi+ pi0", 0.025),
    "Kpipipi0": ("K- pi+ pi+ pi0", 0.016),
}
D_S = {"KKpi": ("K- K+ pi+", 0.008), "KsK": ("K_S0 K+", 0.008)}
IN_TAG = (Cut("p_gev", high=2.6),)


def _modes(mother: str, mass: float, modes: dict[str, tuple[str, float]]) -> tuple[Rule, ...]:
    """One list a decay, `D0:Kpi`."""
    return tuple(
        Rule(f"{mother}:{label}", (Channel(f"{mother}:{label} -> {text}"),), around(mass, half), mass)
        for label, (text, half) in modes.items()
    )


def _tag(mother: str, modes: dict[str, tuple[str, float]]) -> Selection:
    return Selection(mother, tuple(f"{mother}:{label}" for label in modes), IN_TAG)


B_DAUGHTERS: tuple[ListSpec, ...] = (
    *_modes("D0", D0_GEV, D_ZERO),
    *_modes("D+", D_PLUS_GEV, D_PLUS),
    *_modes("D_s+", D_S_GEV, D_S),
    _tag("D0", D_ZERO),
    _tag("D+", D_PLUS),
    _tag("D_s+", D_S),
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

FAST = Cut("p_gev", low=1.9)


def _wide(name: str, low: float, high: float, *decays: str) -> Rule:
    return Rule(name, tuple(Channel(f"{name} -> {text}") for text in decays), (Cut("mass_gev", low, high),))


def _fast(name: str, low: float, high: float, *decays: str) -> Rule:
    wide = _wide(name, low, high, *decays)
    return replace(wide, cuts=(*wide.cuts, FAST))


# The windows: 45 to 75 MeV on either side, the fewer wrong candidates a decay has; 130 MeV for a K_S and a pi0.
WIDE_CHARM: tuple[ListSpec, ...] = (
    _wide("D0:wide_Kpi", 1.79, 1.94, "K- pi+"),
    _wide("D0:wide_hh", 1.80, 1.93, "K- K+", "pi- pi+"),
    _wide("D0:wide_Kpipipi_Kpipi0", 1.835, 1.895, "K- pi+ pi+ pi-", "K- pi+ pi0"),
    _wide("D0:wide_Kshh", 1.82, 1.91, "K_S0 pi+ pi-", "K_S0 K- K+"),
    _wide("D0:wide_Kspi0", 1.73, 1.99, "K_S0 pi0"),
    _wide("D+:wide_Kpipi", 1.82, 1.92, "K- pi+ pi+"),
    _wide("D+:wide_Kspi", 1.795, 1.945, "K_S0 pi+"),
)
# The windows: 60 MeV and more on either side for charged modes, 100 to 140 MeV with a pi0.
FAST_CHARM: tuple[ListSpec, ...] = (
    _fast("D0:fast_hh", 1.80, 1.93, "K- pi+", "K- K+", "pi- pi+"),
    _fast("D0:fast_neutrals", 1.74, 1.99, "K_S0 pi0", "K_S0 K_S0", "pi0 pi0"),
    _fast("D0:fast_hhpi0", 1.80, 1.93, "K- pi+ pi0", "K- K+ pi0", "pi- pi+ pi0"),
    _fast("D0:fast_hhKs", 1.82, 1.91, "K_S0 pi+ pi-", "K_S0 K+ K-", "K_S0 K- pi+", "K_S0 K+ pi-"),
    _fast("D0:fast_Vgamma", 1.74, 1.99, "phi gamma:V", "anti-K*0 gamma:V", "rho0 gamma:V"),
    _fast("D+:fast_Ksh", 1.80, 1.94, "K_S0 pi+", "K_S0 K+"),
    _fast("D+:fast_hhh", 1.82, 1.92, "K- pi+ pi+", "K- K+ pi+", "pi- pi+ pi+"),
    _fast("D+:fast_hpi0", 1.74, 1.99, "pi+ pi0", "K+ pi0"),
    _fast("Lambda_c+:fast", 2.24, 2.33, "p+ K- pi+", "p+ pi- pi+", "p+ K- K+"),
)
LISTS: tuple[ListSpec, ...] = (*B_DAUGHTERS, *WIDE_CHARM, *FAST_CHARM)
