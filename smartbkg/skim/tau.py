"""Skims of tau pairs.

The cuts of `TauGeneric`, and why:

* 2 to 4 good tracks of total charge 0, one on one side of the plane across the thrust axis, one or three on the
  other: 85 % and 15 % of the tau's decays have these prongs.
* Thrust above 0.85: taus of 5 GeV fly back to back; B pairs are round. 1-against-1 events must also stay below
  0.99 where Bhabha and muon pairs lie.
* Visible energy 1.5 to 9.7 GeV: two neutrinos or more take some; two-photon events leave less, Bhabha events more.
* Missing momentum above 0.2 GeV, pointing neither into the forward nor into the backward hole (|cos theta| < 0.97),
  where radiative pairs lose their photon.

`TauThrust` asks for more of the event's shape and for nothing of the other side, as a sample to measure triggers and
tracking with: 1 against 1 or 1 against 3 tracks of any charge, thrust 0.95 to 0.99, missing momentum above 0.4 GeV
within |cos theta| < 0.9, visible energy 3 to 9 GeV.

`TauLFV`: a tau that decays without a neutrino, to a lepton and what conserves everything but its flavour: a photon,
a pi0 or eta, a K_S, a vector meson, two hadrons or two more leptons.

* Two to six tracks, one or three of either tau; thrust above 0.85.
* Mass 1.3 to 2.2 GeV and an energy within -1.0 and +0.5 GeV of the beam's: the signal peaks at the mass of the tau
  and at the beam's energy with a tail of radiation, and both have sidebands.
"""

from __future__ import annotations

from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule
from smartbkg.skim.skims import EventSkim

TAU_GENERIC = EventSkim(
    name="TauGeneric",
    code=18570600,
    description="A pair of taus with one against one or one against three tracks.",
    cuts=(
        Cut("total_charge", 0, 0),
        Cut("prongs_fewer", 1, 1),
        Cut("visible_energy_gev", 1.5, 9.7),
        Cut("missing_p_gev", low=0.2),
        Cut("missing_cos_theta", -0.97, 0.97),
    ),
    topologies=(
        (Cut("prongs_more", 1, 1), Cut("thrust", 0.85, 0.99)),
        (Cut("prongs_more", 3, 3), Cut("thrust", low=0.85)),
    ),
)
TAU_THRUST = EventSkim(
    name="TauThrust",
    code=18570700,
    description="One against one or three tracks along a thrust axis of 0.95 to 0.99.",
    cuts=(
        Cut("prongs_fewer", 1, 1),
        Cut("thrust", 0.95, 0.99),
        Cut("visible_energy_gev", 3.0, 9.0),
        Cut("missing_p_gev", low=0.4),
        Cut("missing_cos_theta", -0.9, 0.9),
    ),
    topologies=((Cut("prongs_more", 1, 1),), (Cut("prongs_more", 3, 3),)),
)
NEUTRINOLESS = (Cut("mass_gev", 1.3, 2.2), Cut("delta_e_gev", -1.0, 0.5))
LEPTONS = ("e-", "mu-")
WITH_LEPTON = (
    *("gamma:hard", "pi0", "eta", "K_S0", "rho0", "omega", "phi", "K*0", "anti-K*0"),
    *("pi+ pi-", "K+ pi-", "K- pi+", "K+ K-"),
)
TAU_LFV = DecaySkim(
    name="TauLFV",
    code=18360100,
    description="A tau without neutrinos: a lepton with a photon, a meson, two hadrons or two leptons.",
    cuts=(Cut("n_tracks", 2, 6), Cut("total_charge", -1, 1), Cut("thrust", low=0.85)),
    targets=("tau-",),
    lists=(
        Rule(
            "tau-",
            (
                *(Channel(f"tau- -> {lepton} {rest}") for lepton in LEPTONS for rest in WITH_LEPTON),
                *(Channel(f"tau- -> {lepton} pi- pi-") for lepton in ("e+", "mu+")),
                *(Channel(f"tau- -> {three}") for three in ("e- e- e+", "mu- mu- mu+", "mu- e- e+", "e- mu- mu+")),
                *(Channel(f"tau- -> {three}") for three in ("mu- mu- e+", "e- e- mu+")),
            ),
            NEUTRINOLESS,
        ),
    ),
)
SKIMS = (TAU_GENERIC, TAU_THRUST, TAU_LFV)
