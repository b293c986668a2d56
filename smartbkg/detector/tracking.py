"""Charged particles to tracks: acceptance, efficiency, resolution, impact parameters.

Letters: `C` charged candidates of all events. Units: GeV, cm; laboratory frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.config import DetectorConfig
from smartbkg.detector.draws import EventDraws
from smartbkg.detector.identification import log_likelihoods
from smartbkg.detector.kinematics import Float, Index, offsets_of
from smartbkg.detector.objects import Tracks
from smartbkg.events import EventBatch

ELECTRON = 11
# Charged particles that live long enough to be measured. Decays of pions and kaons in flight are neglected: at
# 1 GeV a kaon decays within the drift chamber's one metre in 12 % of the cases, a pion in 2 %, and the plateau of
# the efficiency already holds such losses.
TRACK_CODES = (11, 13, 211, 321, 2212)


@dataclass(frozen=True)
class Flight:
    """True start and momentum of charged particles (C,), with the electrons' radiated energy taken off."""

    pt: Float
    phi: Float
    cot_theta: Float
    charge: Float
    x_cm: Float
    y_cm: Float
    z_cm: Float


@dataclass(frozen=True)
class FoundTracks:
    """Tracks, and one point of each line near its production vertex, as a vertex fit would see it: (3, T)."""

    tracks: Tracks
    point_cm: Float
    particle: Index  # (T,) position among all particles of the batch


def find_tracks(batch: EventBatch, stable: NDArray[np.bool_], config: DetectorConfig, seed: int) -> FoundTracks:
    """Tracks of all events, in the order of the generated particles."""
    parts = batch.particles
    candidate = np.flatnonzero(stable & np.isin(np.abs(parts.pdg), TRACK_CODES))
    draws = EventDraws(batch, candidate, seed)
    found = _is_found(batch, candidate, draws, config)
    candidate, draws = candidate[found], draws.take(found)
    flight = _flight(batch, candidate, draws, config)
    momentum = np.hypot(flight.pt, flight.pt * flight.cot_theta)
    mass = parts.mass_gev[candidate].astype(np.float64)
    p_beta = momentum**2 / np.hypot(momentum, mass)
    p_measured = _smear_momentum(flight, momentum, p_beta, draws, config)
    d0, z0 = impact_parameters(flight, config.field_tesla)
    noise_d0, noise_z0 = _impact_noise(flight, p_beta, draws, config)
    point = np.stack(
        [
            flight.x_cm + noise_d0 * np.sin(flight.phi),
            flight.y_cm - noise_d0 * np.cos(flight.phi),
            flight.z_cm + noise_z0,
        ]
    )
    tracks = Tracks.make(
        offsets_of(batch.event_index[candidate], len(batch)),
        px_gev=p_measured[0],
        py_gev=p_measured[1],
        pz_gev=p_measured[2],
        charge=flight.charge,
        d0_cm=d0 + noise_d0,
        z0_cm=z0 + noise_z0,
        mc=candidate - batch.offsets[:-1][batch.event_index[candidate]],
        **log_likelihoods(parts.pdg[candidate], momentum, draws, config),
    )
    return FoundTracks(tracks, point, candidate)


def impact_parameters(flight: Flight, field_tesla: float) -> tuple[Float, Float]:
    """Signed distance d0 of the helix from the z axis, and z0 at that place; both (C,), cm."""
    radius = flight.pt / (0.00299792458 * field_tesla)
    center_x = flight.x_cm + flight.charge * radius * np.sin(flight.phi)
    center_y = flight.y_cm - flight.charge * radius * np.cos(flight.phi)
    d0 = flight.charge * (np.hypot(center_x, center_y) - radius)
    phi_at_axis = np.arctan2(flight.charge * center_x, -flight.charge * center_y)
    turned = np.remainder(flight.phi - phi_at_axis + np.pi, 2 * np.pi) - np.pi
    # A positive particle turns clockwise, so phi falls along its path.
    path = -flight.charge * radius * turned
    return d0, flight.z_cm - flight.cot_theta * path


def _is_found(batch: EventBatch, rows: Index, draws: EventDraws, config: DetectorConfig) -> NDArray[np.bool_]:
    parts = batch.particles
    pt = np.hypot(parts.px_gev[rows].astype(np.float64), parts.py_gev[rows])
    theta = np.degrees(np.arctan2(pt, parts.pz_gev[rows].astype(np.float64)))
    middle, width = config.track_turn_on_gev
    turn_on = 0.5 * (1 + np.tanh((pt - middle) / (2 * width)))  # a logistic curve
    start = np.hypot(parts.x_cm[rows].astype(np.float64), parts.y_cm[rows])
    inside = np.clip(1 - start / config.track_radius_max_cm, 0, 1)
    low, high = config.track_theta_deg
    accepted = (theta > low) & (theta < high) & (pt > config.track_pt_min_gev)
    # The chamber is about as long as it is wide around the origin, so the same limit holds along the beam.
    accepted &= np.abs(parts.z_cm[rows]) < config.track_radius_max_cm
    return np.asarray(accepted & (draws.uniform("track efficiency") < config.track_efficiency * turn_on * inside))


def _flight(batch: EventBatch, rows: Index, draws: EventDraws, config: DetectorConfig) -> Flight:
    parts = batch.particles.take(rows)
    px, py, pz = (v.astype(np.float64) for v in (parts.px_gev, parts.py_gev, parts.pz_gev))
    pt = np.hypot(px, py)
    thickness = config.material_x0 * np.hypot(pt, pz) / pt  # seen under the track's angle
    # A thin absorber takes the fraction u^(1 / (4/3 t)) of an electron's energy (Tsai, Rev. Mod. Phys. 46, 815).
    lost = draws.uniform("radiation") ** (0.75 / thickness)
    kept = np.where(np.abs(parts.pdg) == ELECTRON, np.maximum(1 - lost, 0.02), 1.0)
    return Flight(
        pt=pt * kept,
        phi=np.arctan2(py, px),
        cot_theta=pz / pt,
        charge=np.sign(parts.charge.astype(np.float64)),
        x_cm=parts.x_cm.astype(np.float64),
        y_cm=parts.y_cm.astype(np.float64),
        z_cm=parts.z_cm.astype(np.float64),
    )


def _smear_momentum(flight: Flight, momentum: Float, p_beta: Float, draws: EventDraws, config: DetectorConfig) -> Float:
    slope, constant = config.track_pt_resolution
    relative = np.hypot(slope * flight.pt, constant * momentum / p_beta)
    # Five widths bound the tail: momenta stay positive, and real outliers are the found-track inefficiency.
    pt = flight.pt * (1 + relative * np.clip(draws.normal("track pt"), -5, 5))
    floor, scattering = config.track_angle_rad
    angle = np.hypot(floor, scattering / p_beta)
    sine = flight.pt / momentum
    phi = flight.phi + angle / sine * draws.normal("track phi")
    theta = np.arctan2(1.0, flight.cot_theta) + angle * draws.normal("track theta")
    return np.stack([pt * np.cos(phi), pt * np.sin(phi), pt / np.tan(theta)])


def _impact_noise(flight: Flight, p_beta: Float, draws: EventDraws, config: DetectorConfig) -> tuple[Float, Float]:
    sine = 1 / np.hypot(1.0, flight.cot_theta)
    arm = 1 + np.maximum(np.hypot(flight.x_cm, flight.y_cm) - config.first_layer_cm, 0) / config.first_layer_cm
    sigma_d0 = arm * np.hypot(config.d0_cm[0], config.d0_cm[1] / (p_beta * sine**1.5))
    sigma_z0 = arm * np.hypot(config.z0_cm[0], config.z0_cm[1] / (p_beta * sine**2.5))
    return sigma_d0 * draws.normal("track d0"), sigma_z0 * draws.normal("track z0")
