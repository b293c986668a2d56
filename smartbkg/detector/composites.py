"""K_S from displaced pairs of tracks, and pi0 from pairs of photons.

Letters: `K` pairs, `T` tracks, `C` clusters. Units: GeV, cm; laboratory frame.
"""

from __future__ import annotations

import numpy as np

from smartbkg.detector.config import DetectorConfig
from smartbkg.detector.kinematics import (
    PI0_GEV,
    PION_GEV,
    Float,
    Index,
    dot,
    offsets_of,
    pairs_within,
    unit_vectors,
)
from smartbkg.detector.objects import I32, Clusters, KShorts, Pi0s
from smartbkg.detector.tracking import FoundTracks
from smartbkg.events import EventBatch

PI0, K_SHORT = 111, 310


def find_k_shorts(batch: EventBatch, found: FoundTracks, config: DetectorConfig) -> KShorts:
    """Pairs of opposite displaced tracks that meet away from the origin and point back to it."""
    tracks, n_events = found.tracks, len(batch)
    displaced = np.flatnonzero(np.abs(tracks.d0_cm) > config.ks_d0_cm)
    first, second = pairs_within(offsets_of(tracks.event_index[displaced], n_events))
    a, b = displaced[first], displaced[second]
    opposite = tracks.charge[a] != tracks.charge[b]
    a, b = a[opposite], b[opposite]
    momenta = np.stack([tracks.px_gev, tracks.py_gev, tracks.pz_gev]).astype(np.float64)
    mass = _pion_pair_mass(momenta[:, a], momenta[:, b])
    near = (mass > config.ks_mass_gev[0]) & (mass < config.ks_mass_gev[1])
    a, b, mass = a[near], b[near], mass[near]
    vertex, distance = nearest_approach(found.point_cm[:, a], momenta[:, a], found.point_cm[:, b], momenta[:, b])
    total = momenta[:, a] + momenta[:, b]
    flight = np.sqrt(dot(vertex, vertex))
    pointing = dot(vertex, total) / np.maximum(flight * np.sqrt(dot(total, total)), 1e-12)
    good = (distance < config.ks_distance_cm) & (flight > config.ks_flight_cm) & (pointing > config.ks_pointing)
    a, b = a[good], b[good]
    event = tracks.event_index[a]
    return KShorts.make(
        offsets_of(event, n_events),
        px_gev=total[0, good],
        py_gev=total[1, good],
        pz_gev=total[2, good],
        mass_gev=mass[good],
        flight_cm=flight[good],
        track_a=a - tracks.offsets[event],
        track_b=b - tracks.offsets[event],
        mc=_common_mother(batch, event, tracks.mc[a], tracks.mc[b], K_SHORT),
    )


def find_pi0s(batch: EventBatch, clusters: Clusters, config: DetectorConfig) -> Pi0s:
    """Pairs of unmatched clusters near the pi0 mass, their energies fitted to it."""
    photon = np.flatnonzero((clusters.track < 0) & (clusters.energy_gev > config.pi0_photon_gev))
    first, second = pairs_within(offsets_of(clusters.event_index[photon], len(batch)))
    energy = clusters.energy_gev[photon].astype(np.float64)
    direction = unit_vectors(clusters.theta_rad[photon].astype(np.float64), clusters.phi_rad[photon].astype(np.float64))
    opening = 1 - dot(direction[:, first], direction[:, second])
    mass = np.sqrt(np.maximum(2 * energy[first] * energy[second] * opening, 0))
    near = np.flatnonzero((mass > config.pi0_mass_gev[0]) & (mass < config.pi0_mass_gev[1]))
    first, second, mass = first[near], second[near], mass[near]
    energy_a, energy_b = _constrain(energy[first], energy[second], mass, config)
    total = energy_a * direction[:, first] + energy_b * direction[:, second]
    a, b = photon[first], photon[second]
    event = clusters.event_index[a]
    return Pi0s.make(
        offsets_of(event, len(batch)),
        px_gev=total[0],
        py_gev=total[1],
        pz_gev=total[2],
        mass_gev=mass,
        cluster_a=a - clusters.offsets[event],
        cluster_b=b - clusters.offsets[event],
        mc=_common_mother(batch, event, clusters.mc[a], clusters.mc[b], PI0),
    )


def nearest_approach(point_a: Float, along_a: Float, point_b: Float, along_b: Float) -> tuple[Float, Float]:
    """Middle (3, K) and length (K,) of the shortest way between two straight lines.

    Straight lines, because the points lie near the vertex already and a track of 0.2 GeV has left its tangent by
    only 0.1 mm after 0.3 cm.
    """
    apart = point_b - point_a
    aa, bb, ab = dot(along_a, along_a), dot(along_b, along_b), dot(along_a, along_b)
    pa, pb = dot(apart, along_a), dot(apart, along_b)
    determinant = np.maximum(aa * bb - ab**2, 1e-12)
    on_a = point_a + (pa * bb - pb * ab) / determinant * along_a
    on_b = point_b + (pa * ab - pb * aa) / determinant * along_b
    gap = on_b - on_a
    return 0.5 * (on_a + on_b), np.sqrt(dot(gap, gap))


def _pion_pair_mass(momenta_a: Float, momenta_b: Float) -> Float:
    energy = np.sqrt(dot(momenta_a, momenta_a) + PION_GEV**2) + np.sqrt(dot(momenta_b, momenta_b) + PION_GEV**2)
    total = momenta_a + momenta_b
    return np.asarray(np.sqrt(np.maximum(energy**2 - dot(total, total), 0)))


def _constrain(energy_a: Float, energy_b: Float, mass: Float, config: DetectorConfig) -> tuple[Float, Float]:
    """Photon energies moved to the pi0 mass, each by its share of the variance (log E is nearly gaussian)."""
    noise, constant = config.cluster_energy
    variance_a, variance_b = (noise / energy_a) ** 2 + constant**2, (noise / energy_b) ** 2 + constant**2
    share = variance_a / (variance_a + variance_b)
    move = 2 * np.log(PI0_GEV / mass)
    return energy_a * np.exp(move * share), energy_b * np.exp(move * (1 - share))


def _common_mother(batch: EventBatch, event: Index, mc_a: I32, mc_b: I32, code: int) -> Index:
    """(K,) index in the event of the mother of both, if she has this PDG code; -1 otherwise."""
    start = batch.offsets[event]
    mother = batch.particles.mother[start + mc_a]
    same = (mother >= 0) & (mother == batch.particles.mother[start + mc_b])
    if not len(mother):
        return np.empty(0, np.int64)
    same &= batch.particles.pdg[start + np.maximum(mother, 0)] == code
    return np.where(same, mother, -1)
