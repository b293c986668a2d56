"""Photons, electrons and hadrons to calorimeter clusters.

Letters: `C` candidates, `T` tracks. Units: GeV, cm, rad; laboratory frame.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.config import DetectorConfig
from smartbkg.detector.draws import EventDraws
from smartbkg.detector.kinematics import Float, Index, offsets_of
from smartbkg.detector.objects import Clusters
from smartbkg.events import EventBatch, MCParticles

PHOTON, ELECTRON, MUON, K_LONG, ANTINEUTRON = 22, 11, 13, 130, -2112
CLUSTER_CODES = (11, 13, 22, 130, 211, 321, 2112, 2212)
# An antineutron annihilates with a nucleon of the crystal, and the rest energy of both shows, too. So does an
# antiproton, but its cluster is matched to its track, and nothing uses that energy.
NEUTRON_GEV = 0.9396


def find_clusters(
    batch: EventBatch, stable: NDArray[np.bool_], track_particle: Index, config: DetectorConfig, seed: int
) -> Clusters:
    """Clusters of all events, in the order of the generated particles.

    Args:
        batch: B events.
        stable: (N,) particles that reach the detector.
        track_particle: (T,) the found tracks' particles, as positions in the batch, rising.
        config: the detector's response.
        seed: of the job.
    """
    rows = np.flatnonzero(stable & np.isin(np.abs(batch.particles.pdg), CLUSTER_CODES))
    reached = _reaches(batch.particles.take(rows), config)
    rows = rows[reached]
    draws = EventDraws(batch, rows, seed)
    deposit = _deposit(batch.particles.take(rows), draws, config)
    middle, width = config.cluster_threshold_gev
    turn_on = 0.5 * (1 + np.tanh((deposit - middle) / (2 * width)))
    found = (deposit > 0) & (draws.uniform("cluster efficiency") < config.cluster_efficiency * turn_on)
    rows, deposit, draws = rows[found], deposit[found], draws.take(found)
    theta, phi = _direction(batch.particles.take(rows), config)
    a, b, c = config.cluster_position_mm
    sigma = (a + b / np.sqrt(deposit) + c / deposit**0.25) / 10 / config.calorimeter_cm
    theta = np.clip(theta + sigma * draws.normal("cluster theta"), 0, np.pi)
    phi = phi + sigma / np.maximum(np.sin(theta), 0.1) * draws.normal("cluster phi")
    event = batch.event_index[rows]
    return Clusters.make(
        offsets_of(event, len(batch)),
        energy_gev=deposit,
        theta_rad=theta,
        phi_rad=np.remainder(phi + np.pi, 2 * np.pi) - np.pi,
        track=_matched_track(batch, rows, track_particle),
        mc=rows - batch.offsets[:-1][event],
    )


def _reaches(parts: MCParticles, config: DetectorConfig) -> NDArray[np.bool_]:
    """(C,) inside the acceptance, produced inside the calorimeter; a charged one must not curl up before it."""
    pt = np.hypot(parts.px_gev.astype(np.float64), parts.py_gev)
    theta = np.degrees(np.arctan2(pt, parts.pz_gev.astype(np.float64)))
    low, high = config.cluster_theta_deg
    start = np.hypot(parts.x_cm.astype(np.float64), parts.y_cm)
    curls = (parts.charge != 0) & (2 * pt / (0.00299792458 * config.field_tesla) < config.calorimeter_cm)
    inside = (start < config.calorimeter_cm) & (np.abs(parts.z_cm) < config.calorimeter_cm)
    return np.asarray((theta > low) & (theta < high) & inside & ~curls)


def _deposit(parts: MCParticles, draws: EventDraws, config: DetectorConfig) -> Float:
    """(C,) measured energy; 0 where nothing is left."""
    code = np.abs(parts.pdg)
    energy = parts.energy_gev.astype(np.float64)
    low, high = config.hadron_visible
    share = low + (high - low) * draws.uniform("hadron share")
    kinetic = energy - parts.mass_gev + np.where(parts.pdg == ANTINEUTRON, 2 * NEUTRON_GEV, 0.0)
    interacts = (draws.uniform("hadron interacts") < config.hadron_interacts) & (code != MUON)
    mean, width = config.mip_gev
    passing = np.where(parts.charge != 0, mean + width * np.clip(draws.normal("passing"), -5, 5), 0.0)
    hadronic = np.where(interacts, np.maximum(share * np.where(code == K_LONG, energy, kinetic), passing), passing)
    noise, constant = config.cluster_energy
    relative = np.hypot(noise / energy, constant)
    shower = energy * (1 + np.clip(relative * draws.normal("cluster energy"), -0.9, 0.9))
    return np.where((code == PHOTON) | (code == ELECTRON), shower, hadronic)


def _direction(parts: MCParticles, config: DetectorConfig) -> tuple[Float, Float]:
    """Polar and azimuthal angle (C,), seen from the origin, of the place where a particle enters."""
    px, py, pz = (v.astype(np.float64) for v in (parts.px_gev, parts.py_gev, parts.pz_gev))
    pt, distance = np.hypot(px, py), config.calorimeter_cm
    radius = pt / (0.00299792458 * config.field_tesla)
    # On its way out a charged particle turns by twice asin(distance / 2 radius); its place by half of that.
    turn = np.arcsin(np.clip(distance / (2 * radius), 0, 1)) * np.sign(parts.charge)
    phi = np.arctan2(py, px) - turn
    # Forward and backward, the end caps stand as far away as the barrel: a sphere is near enough.
    scale = distance / np.hypot(pt, pz)
    x, y = parts.x_cm + scale * pt * np.cos(phi), parts.y_cm + scale * pt * np.sin(phi)
    return np.arctan2(np.hypot(x, y), parts.z_cm + scale * pz), np.arctan2(y, x)


def _matched_track(batch: EventBatch, rows: Index, track_particle: Index) -> Index:
    """(C,) index in the event of the track of the same particle, -1 for none."""
    if not len(track_particle):
        return np.full(len(rows), -1)
    place = np.minimum(np.searchsorted(track_particle, rows), len(track_particle) - 1)
    first = np.searchsorted(track_particle, batch.offsets[:-1])[batch.event_index[rows]]
    return np.where(track_particle[place] == rows, place - first, -1)
