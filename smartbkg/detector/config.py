"""The numbers of the fast simulation, each with its source or reason.

TDR means the Belle II Technical Design Report, arXiv:1011.0352. Numbers called plain are our own choice of a
plain, plausible value where no public parametrisation is simple enough. Units: GeV, cm, rad, tesla.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DetectorConfig:
    """Response of the detector. Tracks, impact parameters, identification, calorimeter, composites."""

    # Solenoid field (TDR); a track of transverse momentum p bends on a radius of p / (0.003 B) cm.
    field_tesla: float = 1.5
    # Angular acceptance of the drift chamber (TDR: 17 to 150 degrees).
    track_theta_deg: tuple[float, float] = (17.0, 150.0)
    # Below some 50 MeV a track crosses too few silicon layers to be found on its own.
    track_pt_min_gev: float = 0.05
    # Efficiency rises around 90 MeV, where tracks begin to reach the drift chamber (inner radius 16.8 cm: 38 MeV
    # is the geometric limit), to a plateau of 97 %; plain.
    track_efficiency: float = 0.97
    track_turn_on_gev: tuple[float, float] = (0.09, 0.015)
    # A track needs about 20 of the 56 layers between 16.8 and 113 cm, so none starts outside 60 cm; falls linearly.
    track_radius_max_cm: float = 60.0
    # sigma(pT)/pT = 0.11 % pT + 0.30 % / beta in quadrature (TDR, silicon and drift chamber together).
    track_pt_resolution: tuple[float, float] = (0.0011, 0.0030)
    # Multiple scattering in the beam pipe after the vertex constraint: 1 mrad / (p beta), floor 0.5 mrad; plain.
    track_angle_rad: tuple[float, float] = (0.0005, 0.0010)
    # Beam pipe and silicon: 2 % of a radiation length; electrons radiate there (Bethe-Heitler, thin absorber).
    material_x0: float = 0.02
    # sigma(d0) = 17 um + 25 um / (p beta sin^1.5 theta): Belle's measured 19 and 50 um, the slope halved because
    # the first pixel layer is at 1.4 cm instead of 2; sigma(z0) = 20 um + 28 um / (p beta sin^2.5 theta).
    d0_cm: tuple[float, float] = (0.0017, 0.0025)
    z0_cm: tuple[float, float] = (0.0020, 0.0028)
    # Tracks that start outside the first layer are extrapolated over a longer arm.
    first_layer_cm: float = 1.4

    # Ring imaging: pion and kaon at 3 GeV are 2.6 sigma apart with 4.5 mrad a track (quartz, n = 1.47: TDR);
    # saturates at 5 sigma. 8 % of the tracks miss the quartz bars (gaps between bars; plain) and have none.
    ring_rad: float = 0.0045
    ring_index: float = 1.47
    ring_cap: float = 5.0
    ring_missing: float = 0.08
    # Energy loss in the drift chamber: 6 % resolution (TDR: 5 to 7 %).
    dedx_resolution: float = 0.06
    # Electron against the others by shower energy over momentum: none below 0.2 GeV, 5 sigma from 1 GeV; plain.
    shower_separation: tuple[float, float, float] = (0.2, 1.0, 5.0)
    # Muon against hadrons by range in the iron: starts at 0.6 GeV (a muon needs that to reach it), 3.5 sigma from
    # 1.5 GeV; plain. 3 % of the hadrons decay or punch through and look like a muon there (plain).
    range_separation: tuple[float, float, float] = (0.6, 1.5, 3.5)
    punch_through: float = 0.03

    # Calorimeter acceptance (TDR: 12.4 to 155.1 degrees) and distance of its front face from the origin.
    cluster_theta_deg: tuple[float, float] = (12.4, 155.1)
    calorimeter_cm: float = 125.0
    # sigma(E)/E = 0.74 % / E + 2.1 % in quadrature: 7.7 % at 0.1 GeV and 2.25 % at 1 GeV (The Belle II Physics
    # Book, arXiv:1808.10567, measured with prototypes).
    cluster_energy: tuple[float, float] = (0.0074, 0.0212)
    # sigma(position) = 0.27 + 3.4 / sqrt(E) + 1.8 / E^(1/4) mm (Belle, same crystals; TDR), over 125 cm: about
    # 4 mrad at 1 GeV and 11 mrad at 0.1 GeV.
    cluster_position_mm: tuple[float, float, float] = (0.27, 3.4, 1.8)
    # Clusters start from a crystal above 10 MeV: efficiency rises around 20 MeV. 96 %: 7/9 of 2 % of a radiation
    # length converts before the drift chamber, and some clusters merge (plain).
    cluster_threshold_gev: tuple[float, float] = (0.020, 0.003)
    cluster_efficiency: float = 0.96
    # A charged hadron or muon passing 30 cm of CsI leaves 0.2 GeV; CsI is 0.8 interaction lengths deep, so 55 %
    # of the hadrons shower, and show between 20 and 80 % of their energy (plain).
    mip_gev: tuple[float, float] = (0.20, 0.02)
    hadron_interacts: float = 0.55
    hadron_visible: tuple[float, float] = (0.2, 0.8)

    # Photons of a pi0 candidate (30 MeV keeps out most of the electronic noise) and its mass before the constraint.
    pi0_photon_gev: float = 0.03
    pi0_mass_gev: tuple[float, float] = (0.100, 0.160)
    # A pair of tracks, each this far from the origin, close to each other, displaced, pointing back.
    ks_d0_cm: float = 0.02
    ks_distance_cm: float = 0.3
    ks_flight_cm: float = 0.2
    ks_pointing: float = 0.98
    ks_mass_gev: tuple[float, float] = (0.46, 0.54)
