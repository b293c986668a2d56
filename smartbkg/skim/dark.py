"""Skims for dark sectors: a photon or a displaced vertex with little else, and their control samples.

In the generated background such events are mostly pairs of taus, and light quarks that make few particles, of which
the others leave through the holes of the detector. The cuts, and why:

* `SinglePhotonDark`: no track from the origin, a photon above 1 GeV in the collision frame, and missing momentum
  that points away from the holes (|cos theta| < 0.95): what recoils against the photon was not seen.
* `EGammaControlDark`: the same photon beside exactly one track, an identified electron: radiative Bhabha events
  that lose one of their electrons look like this, and measure the efficiency for the photon.
* `GammaGammaControlKLMDark`: no track and two photons or more, the hardest above 1.5 GeV, all together above 4 GeV:
  the one photon predicts the other, and shows how many slip through the calorimeter.
* `InelasticDarkMatter`: an excited state flies and decays to two charged particles and an invisible one. So: two
  opposite tracks, both displaced (d0 above 0.1 cm, forty resolutions), of a mass outside that of the K_S, at most
  two tracks from the origin, and more than 2 GeV missing.
* `RadBhabhaV0Control`: the control of displaced vertices, K_S included: a pair of opposite displaced tracks beside
  one or two tracks from the origin, of which one is an identified electron.
"""

from __future__ import annotations

from smartbkg.detector.kinematics import PION_GEV
from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, TrackList
from smartbkg.skim.skims import EventSkim

NO_TRACK, ONE_TRACK = Cut("n_tracks", 0, 0), Cut("n_tracks", 1, 1)
HARD_PHOTON, NO_HOLE = Cut("photon_energy_max_gev", low=1.0), Cut("missing_cos_theta", -0.95, 0.95)
DISPLACED = TrackList("pi+:far", PION_GEV, (Cut("d0_abs_cm", low=0.1),))
K_SHORT_BELOW, K_SHORT_ABOVE = (Cut("mass_gev", high=0.477),), (Cut("mass_gev", low=0.518),)

SINGLE_PHOTON = EventSkim(
    name="SinglePhotonDark",
    code=18020100,
    description="A photon above 1 GeV, no track, and a missing momentum that does not point into a hole.",
    cuts=(NO_TRACK, HARD_PHOTON, NO_HOLE),
)
GAMMA_GAMMA = EventSkim(
    name="GammaGammaControlKLMDark",
    code=18020200,
    description="Two photons or more, the hardest above 1.5 GeV, all above 4 GeV, and no track.",
    cuts=(
        NO_TRACK,
        Cut("photon_energy_max_gev", low=1.5),
        Cut("n_photons", low=2),
        Cut("visible_energy_gev", low=4.0),
    ),
)
E_GAMMA = EventSkim(
    name="EGammaControlDark",
    code=18020400,
    description="A photon above 1 GeV and one track, an electron.",
    cuts=(ONE_TRACK, HARD_PHOTON, Cut("n_electrons", 1, 1)),
)
INELASTIC = DecaySkim(
    name="InelasticDarkMatter",
    code=18000000,
    description="Two displaced opposite tracks outside the mass of the K_S, missing energy, and little else.",
    cuts=(Cut("n_tracks", high=2), Cut("missing_energy_gev", low=2.0)),
    targets=("long_lived",),
    lists=(
        DISPLACED,
        Rule("long_lived", tuple(Channel("long_lived -> pi+:far pi-:far", c) for c in (K_SHORT_BELOW, K_SHORT_ABOVE))),
    ),
    best="momentum",
)
RAD_BHABHA_V0 = DecaySkim(
    name="RadBhabhaV0Control",
    code=18000001,
    description="Two displaced opposite tracks beside one or two others, of which one is an electron.",
    cuts=(Cut("n_tracks", 1, 2), Cut("n_electrons", low=1)),
    targets=("long_lived",),
    lists=(DISPLACED, Rule("long_lived", (Channel("long_lived -> pi+:far pi-:far"),), (Cut("mass_gev", high=1.0),))),
    best="momentum",
)
SKIMS = (SINGLE_PHOTON, GAMMA_GAMMA, E_GAMMA, INELASTIC, RAD_BHABHA_V0)
