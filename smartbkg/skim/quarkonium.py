"""Skims of quarkonium, and of the hyperons that its decays are looked for with.

The cuts, and why:

* `CharmoniumPsi`: J/psi or psi(2S) to two leptons, or psi(2S) to J/psi pi+ pi-, of the loose standard lists. Only
  two good tracks are asked for: it may come from a B, from continuum or from initial-state radiation.
* `BottomoniumUpsilon`: two opposite leptons of 7 to 11 GeV, around the three narrow states and with room for
  radiation: transitions from the Upsilon(4S) leave them nearly at rest.
* `InclusiveLambda`: a Lambda to a proton and a pion that both miss the origin, within 4 MeV (4 resolutions) of the
  mass, above 0.5 GeV.
"""

from __future__ import annotations

from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, Selection

CHARMONIUM_PSI = DecaySkim(
    name="CharmoniumPsi",
    code=16460200,
    description="A J/psi or psi(2S).",
    cuts=(Cut("n_tracks", low=2),),
    targets=("J/psi:loose", "psi(2S):loose"),
    best="momentum",
)
BOTTOMONIUM_UPSILON = DecaySkim(
    name="BottomoniumUpsilon",
    code=15440100,
    description="An Upsilon to two leptons of 7 to 11 GeV.",
    cuts=(Cut("n_tracks", low=2), Cut("track_p_max_gev", low=3.0)),
    targets=("Upsilon",),
    lists=(
        Rule(
            "Upsilon",
            (Channel("Upsilon -> e+:loose e-:loose"), Channel("Upsilon -> mu+:loose mu-:loose")),
            (Cut("mass_gev", 7.0, 11.0),),
        ),
    ),
    best="momentum",
)
INCLUSIVE_LAMBDA = DecaySkim(
    name="InclusiveLambda",
    code=15410300,
    description="A Lambda above 0.5 GeV to a proton and a pion.",
    cuts=(),
    targets=("Lambda0:selected",),
    lists=(Selection("Lambda0:selected", ("Lambda0",), (Cut("p_gev", low=0.5),)),),
    best="momentum",
)
SKIMS = (CHARMONIUM_PSI, BOTTOMONIUM_UPSILON, INCLUSIVE_LAMBDA)
