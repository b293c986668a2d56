"""Quantities of whole events, for event-level cuts and for plots of a bias.

All in the collision frame. Sums run over each event's own objects in their order, so a value does not depend on
the batch. Letters: `B` events, `N` tracks and photons of all events, `S` starting axes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.kinematics import PION_GEV, sum_by, unit_vectors
from smartbkg.detector.reco import RecoBatch
from smartbkg.skim.final import track_variables
from smartbkg.skim.frame import COLLISION_GEV, to_collision_frame
from smartbkg.skim.shapes import Vectors, event_tensor, fox_wolfram_r2, thrust

Float = NDArray[np.float64]

# Tracks from near the origin and photons above the noise, as the event shapes of the experiment take them.
TRACK_PT_GEV, TRACK_D0_CM, TRACK_Z0_CM, PHOTON_GEV = 0.1, 0.5, 3.0, 0.1
# An identified particle has at least this share of the likelihood; leptons also this momentum, where the
# identification works.
KAON_ID, LEPTON_ID, LEPTON_GEV = 0.6, 0.9, 0.5
K_SHORT_WINDOW_GEV, PI0_WINDOW_GEV = (0.4876, 0.5076), (0.120, 0.150)


def observables(reco: RecoBatch) -> dict[str, NDArray[np.float32]]:
    """Every observable by name, each (B,) float32; 0 where an event has nothing to compute it from."""
    n = len(reco)
    track = _good_tracks(reco)
    photon_rows = np.flatnonzero((reco.clusters.track < 0) & (reco.clusters.energy_gev > PHOTON_GEV))
    photon_event = reco.clusters.event_index[photon_rows]
    photon = _photons(reco, photon_rows)  # (4, N)
    event = np.concatenate([track["event"], photon_event]).astype(np.int64)
    momentum = np.concatenate([track["momentum"], photon], axis=1)
    order = np.argsort(event, kind="stable")
    shapes = Vectors(n, event[order], momentum[1:, order])
    visible = np.stack([sum_by(event, component, n) for component in momentum])  # (4, B)
    values = {
        **_counts(reco, track, photon_rows),
        **_momenta(track, photon, photon_event, n),
        **_missing(visible),
        **_shapes(shapes, track),
    }
    return {name: value.astype(np.float32) for name, value in values.items()}


def _good_tracks(reco: RecoBatch) -> dict[str, NDArray[np.float64]]:
    variables = track_variables(reco.tracks)
    rows = np.flatnonzero(
        (variables["pt_gev"] > TRACK_PT_GEV)
        & (variables["d0_abs_cm"] < TRACK_D0_CM)
        & (variables["z0_abs_cm"] < TRACK_Z0_CM)
    )
    lab = np.stack([reco.tracks.px_gev, reco.tracks.py_gev, reco.tracks.pz_gev]).astype(np.float64)[:, rows]
    momentum = to_collision_frame(lab, PION_GEV)
    p = np.sqrt(momentum[1] ** 2 + momentum[2] ** 2 + momentum[3] ** 2)
    taken = {name: variables[name][rows] for name in ("electron_id", "muon_id", "kaon_id")}
    lepton = np.maximum(taken["electron_id"], taken["muon_id"])
    return {
        **taken,
        "event": reco.tracks.event_index[rows],
        "momentum": momentum,
        "p": p,
        "charge": reco.tracks.charge[rows].astype(np.float64),
        "lepton_p": np.where((lepton > LEPTON_ID) & (p > LEPTON_GEV), p, 0.0),
    }


def _photons(reco: RecoBatch, rows: NDArray[np.int64]) -> Float:
    direction = unit_vectors(
        reco.clusters.theta_rad[rows].astype(np.float64), reco.clusters.phi_rad[rows].astype(np.float64)
    )
    return to_collision_frame(direction * reco.clusters.energy_gev[rows].astype(np.float64), 0.0)


def _counts(reco: RecoBatch, track: dict[str, Float], photon_rows: NDArray[np.int64]) -> dict[str, Float]:
    n, event = len(reco), track["event"].astype(np.int64)

    def count(events: NDArray[np.int64], kept: NDArray[np.bool_]) -> Float:
        return np.bincount(events[kept], minlength=n).astype(np.float64)

    k_short, pi0 = reco.k_shorts, reco.pi0s
    fast = track["p"] > LEPTON_GEV
    return {
        "n_tracks": np.bincount(event, minlength=n).astype(np.float64),
        "n_clusters": reco.clusters.counts.astype(np.float64),
        "n_photons": np.bincount(reco.clusters.event_index[photon_rows], minlength=n).astype(np.float64),
        "n_k_shorts": count(k_short.event_index, _inside(k_short.mass_gev, K_SHORT_WINDOW_GEV)),
        "n_pi0s": count(pi0.event_index, _inside(pi0.mass_gev, PI0_WINDOW_GEV)),
        "n_kaons": count(event, track["kaon_id"] > KAON_ID),
        "n_electrons": count(event, (track["electron_id"] > LEPTON_ID) & fast),
        "n_muons": count(event, (track["muon_id"] > LEPTON_ID) & fast),
        "total_charge": sum_by(event, track["charge"], n),
    }


def _momenta(track: dict[str, Float], photon: Float, photon_event: NDArray[np.int64], n: int) -> dict[str, Float]:
    event = track["event"].astype(np.int64)
    total = sum_by(event, track["p"], n)
    return {
        "track_p_mean_gev": total / np.maximum(np.bincount(event, minlength=n), 1),
        "track_p_max_gev": _largest(event, track["p"], n),
        "lepton_p_max_gev": _largest(event, track["lepton_p"], n),
        "photon_energy_gev": sum_by(photon_event, photon[0], n),
        "photon_energy_max_gev": _largest(photon_event, photon[0], n),
    }


def _missing(visible: Float) -> dict[str, Float]:
    energy, px, py, pz = visible
    p2 = px**2 + py**2 + pz**2
    missing = COLLISION_GEV - energy
    return {
        "visible_energy_gev": energy,
        "missing_energy_gev": missing,
        "missing_p_gev": np.sqrt(p2),
        "missing_mass2_gev2": missing**2 - p2,
        "missing_cos_theta": -pz / np.maximum(np.sqrt(p2), 1e-9),
    }


def _shapes(vectors: Vectors, track: dict[str, Float]) -> dict[str, Float]:
    value, axis = thrust(vectors)
    eigenvalues = np.linalg.eigvalsh(event_tensor(vectors))  # (B, 3), rising
    event, n = track["event"].astype(np.int64), vectors.n_events
    px, py, pz = track["momentum"][1:]
    ahead = px * axis[0, event] + py * axis[1, event] + pz * axis[2, event] > 0
    side = np.bincount(event[ahead], minlength=n).astype(np.float64)
    other = np.bincount(event[~ahead], minlength=n).astype(np.float64)
    return {
        "r2": fox_wolfram_r2(vectors),
        "thrust": value,
        "thrust_cos_theta": np.abs(axis[2]),
        "sphericity": 1.5 * (eigenvalues[:, 0] + eigenvalues[:, 1]),
        "aplanarity": 1.5 * eigenvalues[:, 0],
        "prongs_fewer": np.minimum(side, other),
        "prongs_more": np.maximum(side, other),
    }


def _inside(value: NDArray[np.float32], window: tuple[float, float]) -> NDArray[np.bool_]:
    return (value > window[0]) & (value < window[1])


def _largest(event: NDArray[np.int64], value: Float, n: int) -> Float:
    largest = np.zeros(n)
    np.maximum.at(largest, event, value)
    return largest
