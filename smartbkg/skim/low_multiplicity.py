"""Skims of few tracks: light new bosons with and without missing energy, and two-photon production.

The cuts, and why:

* `DimuonPlusMissingEnergy`, `ElectronMuonPlusMissingEnergy`: exactly two tracks of opposite charge, both identified
  above 0.5 GeV, less than 1 GeV in photons (a boson that nothing is seen of leaves just the two), and missing
  momentum that does not point into a hole. Taus make both.
* `LFVZpVisible`: an electron, a muon and a boson that decays to another electron and muon make four tracks that take
  nearly all of the energy: charge 0, visible energy above 7 GeV (leptons radiate), less than 2 GeV of it in photons,
  at least one electron or muon.
* `LowMassTwoTrack`: a hard photon (above 3 GeV) recoils against exactly two opposite tracks of less than 3 GeV: a
  light hadronic state after initial-state radiation.
* `SingleTagPseudoScalar`: one beam electron is scattered into the detector (an electron above 1 GeV) and two virtual
  photons make a pi0, eta or eta': one or three tracks, two photons or more, and the other electron is lost in the
  beam pipe, so the missing momentum points into a hole (|cos theta| > 0.9).
"""

from __future__ import annotations

from smartbkg.detector.kinematics import PION_GEV
from smartbkg.skim.chains import DecaySkim
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, TrackList
from smartbkg.skim.light_lists import NEAR
from smartbkg.skim.skims import EventSkim

TWO_TRACKS, NEUTRAL = Cut("n_tracks", 2, 2), Cut("total_charge", 0, 0)
FEW_PHOTONS, NO_HOLE = Cut("photon_energy_gev", high=1.0), Cut("missing_cos_theta", -0.95, 0.95)

DIMUON = EventSkim(
    name="DimuonPlusMissingEnergy",
    code=18520100,
    description="Two muons of opposite charge and missing momentum.",
    cuts=(TWO_TRACKS, NEUTRAL, Cut("n_muons", 2, 2), FEW_PHOTONS, NO_HOLE),
)
ELECTRON_MUON = EventSkim(
    name="ElectronMuonPlusMissingEnergy",
    code=18520200,
    description="An electron and a muon of opposite charge and missing momentum.",
    cuts=(TWO_TRACKS, NEUTRAL, Cut("n_muons", 1, 1), Cut("n_electrons", 1, 1), FEW_PHOTONS, NO_HOLE),
)
LFV_ZP = EventSkim(
    name="LFVZpVisible",
    code=18520400,
    description="Four tracks with nearly all of the energy, one of them at least a lepton.",
    cuts=(Cut("n_tracks", 4, 4), NEUTRAL, Cut("visible_energy_gev", low=7.0), Cut("photon_energy_gev", high=2.0)),
    topologies=((Cut("n_electrons", low=1),), (Cut("n_muons", low=1),)),
)
LOW_MASS = DecaySkim(
    name="LowMassTwoTrack",
    code=18520500,
    description="Two opposite tracks of less than 3 GeV recoiling against a photon above 3 GeV.",
    cuts=(TWO_TRACKS, NEUTRAL, Cut("photon_energy_max_gev", low=3.0)),
    targets=("rho0:any",),
    lists=(
        TrackList("pi+:any", PION_GEV, NEAR),
        Rule("rho0:any", (Channel("rho0:any -> pi+:any pi-:any"),), (Cut("mass_gev", high=3.0),)),
    ),
    best="momentum",
)
SINGLE_TAG = EventSkim(
    name="SingleTagPseudoScalar",
    code=18530200,
    description="A scattered electron and a pi0, eta or eta', the other electron lost in the beam pipe.",
    cuts=(
        Cut("n_electrons", 1, 1),
        Cut("lepton_p_max_gev", low=1.0),
        Cut("n_photons", low=2),
        Cut("total_charge", -1, 1),
    ),
    topologies=tuple(
        (Cut("n_tracks", n, n), hole)
        for n in (1, 3)
        for hole in (Cut("missing_cos_theta", low=0.9), Cut("missing_cos_theta", high=-0.9))
    ),
)
SKIMS = (DIMUON, ELECTRON_MUON, LFV_ZP, LOW_MASS, SINGLE_TAG)
