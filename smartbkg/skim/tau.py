"""Skims of tau pairs.

The cuts of `TauGeneric`, and why:

* 2 to 4 good tracks of total charge 0, one on one side of the plane across the thrust axis, one or three on the
  other: 85 % and 15 % of the tau's decays have these prongs.
* Thrust above 0.85: taus of 5 GeV fly back to back; B pairs are round. 1-against-1 events must also stay below
  0.99 where Bhabha and muon pairs lie.
* Visible energy 1.5 to 9.7 GeV: two neutrinos or more take some; two-photon events leave less, Bhabha events more.
* Missing momentum above 0.2 GeV, pointing neither into the forward nor into the backward hole (|cos theta| < 0.97),
  where radiative pairs lose their photon.
"""

from __future__ import annotations

from smartbkg.skim.cuts import Cut
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
SKIMS = (TAU_GENERIC,)
