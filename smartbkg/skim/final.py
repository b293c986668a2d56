"""The first lists of every skim: tracks, K_S, pi0 and photons as candidates in the collision frame.

Letters: `T` tracks, `H` the five hypotheses, `N` candidates.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.identification import HYPOTHESES
from smartbkg.detector.kinematics import PION_GEV, unit_vectors
from smartbkg.detector.objects import Clusters, Collection, KShorts, Pi0s, Tracks
from smartbkg.detector.reco import RecoBatch
from smartbkg.skim.candidates import MAX_BITS, Bits, Candidates, Float, Index
from smartbkg.skim.cuts import passes
from smartbkg.skim.decays import NeutralList, TrackList
from smartbkg.skim.frame import to_collision_frame


def track_variables(tracks: Tracks) -> dict[str, NDArray[np.float64]]:
    """What cuts on tracks can use, each (T,).

    `p_gev` and `pt_gev` are in the laboratory, `p_collision_gev` in the collision frame (as of a pion).
    `<hypothesis>_id` is the likelihood of a hypothesis over the sum of all five.
    """
    lab = lab_momentum(tracks)
    px, py, pz = lab
    pt = np.hypot(px, py)
    boosted = to_collision_frame(lab, PION_GEV)
    variables = {
        "pt_gev": pt,
        "p_gev": np.hypot(pt, pz),
        "p_collision_gev": np.sqrt(boosted[1] ** 2 + boosted[2] ** 2 + boosted[3] ** 2),
        "d0_abs_cm": np.abs(tracks.d0_cm).astype(np.float64),
        "z0_abs_cm": np.abs(tracks.z0_cm).astype(np.float64),
    }
    return {**variables, **identification(tracks)}


def identification(tracks: Tracks) -> dict[str, Float]:
    """`<hypothesis>_id` (T,) of each hypothesis, for equal priors."""
    logs = [getattr(tracks, f"ll_{name}").astype(np.float64) for name in HYPOTHESES]
    best = reduce(np.maximum, logs)
    relative = [np.exp(log - best) for log in logs]
    total = reduce(np.add, relative)
    return {f"{name}_id": value / total for name, value in zip(HYPOTHESES, relative, strict=True)}


def track_candidates(reco: RecoBatch, spec: TrackList, variables: dict[str, Float]) -> Candidates:
    """Tracks of a list; a positive track is the particle, a negative one the antiparticle."""
    tracks = reco.tracks
    kept = passes(spec.cuts, variables, len(tracks)) & (_place(tracks) < MAX_BITS)
    antiparticle = tracks.charge < 0
    if spec.name.partition(":")[0].endswith("-"):
        antiparticle = ~antiparticle
    group = 2 * tracks.event_index + antiparticle
    rows = np.flatnonzero(kept)
    rows = rows[np.argsort(group[rows], kind="stable")]
    momentum = to_collision_frame(lab_momentum(tracks)[:, rows], spec.mass_gev)
    bits = _bits(_place(tracks)[rows])
    none = np.zeros(len(rows), np.uint64)
    return Candidates(len(reco), spec.mass_gev, group[rows], momentum, bits, none, np.zeros(len(rows), np.int16))


def neutral_candidates(reco: RecoBatch, spec: NeutralList) -> Candidates:
    """The K_S, pi0 or photon candidates of a list, with their nominal mass.

    Cuts can use `p_gev` (collision frame) and for pi0 and K_S `mass_gev`; for K_S `flight_cm`; for photons
    `energy_gev`, for pi0 `energy_min_gev` of the weaker photon, both in the laboratory.
    """
    source, lab, variables = _source(reco, spec)
    momentum = to_collision_frame(lab, spec.mass_gev)
    variables["p_gev"] = np.sqrt(momentum[1] ** 2 + momentum[2] ** 2 + momentum[3] ** 2)
    used, unused = _used_by(source)
    kept = passes(spec.cuts, variables, len(source)) & (used != 0)
    bits, none = used[kept], unused[kept]
    tracks, clusters = (bits, none) if isinstance(source, KShorts) else (none, bits)
    group = 2 * source.event_index[kept]
    return Candidates(
        len(reco), spec.mass_gev, group, momentum[:, kept], tracks, clusters, np.zeros(len(group), np.int16)
    )


def _source(reco: RecoBatch, spec: NeutralList) -> tuple[KShorts | Pi0s | Clusters, Float, dict[str, Float]]:
    """The collection of a neutral list, laboratory momenta (3, N), and variables of its own."""
    if spec.name.startswith("gamma"):
        clusters = reco.clusters
        energy = clusters.energy_gev.astype(np.float64)
        direction = unit_vectors(clusters.theta_rad.astype(np.float64), clusters.phi_rad.astype(np.float64))
        return clusters, direction * energy, {"energy_gev": energy}
    if spec.name.startswith("K_S0"):
        k_shorts = reco.k_shorts
        variables = {"mass_gev": k_shorts.mass_gev, "flight_cm": k_shorts.flight_cm}
        return k_shorts, lab_momentum(k_shorts), {name: value.astype(np.float64) for name, value in variables.items()}
    pi0s = reco.pi0s
    start = reco.clusters.offsets[pi0s.event_index]
    weaker = np.minimum(
        reco.clusters.energy_gev[start + pi0s.cluster_a], reco.clusters.energy_gev[start + pi0s.cluster_b]
    )
    variables = {"mass_gev": pi0s.mass_gev, "energy_min_gev": weaker}
    return pi0s, lab_momentum(pi0s), {name: value.astype(np.float64) for name, value in variables.items()}


def lab_momentum(objects: Tracks | KShorts | Pi0s) -> Float:
    """(3, N) laboratory momenta."""
    return np.stack([objects.px_gev, objects.py_gev, objects.pz_gev]).astype(np.float64)


def _used_by(source: KShorts | Pi0s | Clusters) -> tuple[Bits, Bits]:
    """(N,) bits of the parts, 0 where one of them has no bit or is no photon; and (N,) zeros."""
    none = np.zeros(len(source), np.uint64)
    if isinstance(source, Clusters):
        place = _place(source)
        photon = (source.track < 0) & (place < MAX_BITS)
        return np.where(photon, _bits(np.minimum(place, MAX_BITS - 1)), none), none
    pair = (source.track_a, source.track_b) if isinstance(source, KShorts) else (source.cluster_a, source.cluster_b)
    a, b = (np.minimum(part.astype(np.int64), MAX_BITS - 1) for part in pair)
    return np.where(np.maximum(*pair) < MAX_BITS, _bits(a) | _bits(b), none), none


def _place(objects: Collection) -> Index:
    """(N,) index of each object inside its event."""
    return np.arange(len(objects)) - objects.offsets[objects.event_index]


def _bits(place: Index) -> Bits:
    return np.left_shift(np.uint64(1), place.astype(np.uint64))
