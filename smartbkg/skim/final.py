"""The first lists of every skim: tracks, K_S and pi0 as candidates in the collision frame.

Letters: `T` tracks, `H` the five hypotheses, `N` candidates.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.identification import HYPOTHESES
from smartbkg.detector.kinematics import PION_GEV
from smartbkg.detector.objects import Collection, KShorts, Pi0s, Tracks
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
    """The K_S or pi0 candidates of a list, with their nominal mass."""
    source: KShorts | Pi0s = reco.k_shorts if spec.name.startswith("K_S0") else reco.pi0s
    momentum = to_collision_frame(lab_momentum(source), spec.mass_gev)
    variables: dict[str, Float] = {
        "mass_gev": source.mass_gev.astype(np.float64),
        "p_gev": np.sqrt(momentum[1] ** 2 + momentum[2] ** 2 + momentum[3] ** 2),
    }
    used, unused = _used_by(source)
    if isinstance(source, KShorts):
        variables["flight_cm"] = source.flight_cm.astype(np.float64)
    kept = passes(spec.cuts, variables, len(source)) & (used != 0)
    bits, none = used[kept], unused[kept]
    tracks, clusters = (bits, none) if isinstance(source, KShorts) else (none, bits)
    group = 2 * source.event_index[kept]
    return Candidates(
        len(reco), spec.mass_gev, group, momentum[:, kept], tracks, clusters, np.zeros(len(group), np.int16)
    )


def lab_momentum(objects: Tracks | KShorts | Pi0s) -> Float:
    """(3, N) laboratory momenta."""
    return np.stack([objects.px_gev, objects.py_gev, objects.pz_gev]).astype(np.float64)


def _used_by(source: KShorts | Pi0s) -> tuple[Bits, Bits]:
    """(N,) bits of the two parts, 0 where one of them has no bit; and (N,) zeros."""
    pair = (source.track_a, source.track_b) if isinstance(source, KShorts) else (source.cluster_a, source.cluster_b)
    a, b = (part.astype(np.int64) for part in pair)
    bits = np.where(np.maximum(a, b) < MAX_BITS, _bits(np.minimum(a, 63)) | _bits(np.minimum(b, 63)), 0)
    return bits.astype(np.uint64), np.zeros(len(a), np.uint64)


def _place(objects: Collection) -> Index:
    """(N,) index of each object inside its event."""
    return np.arange(len(objects)) - objects.offsets[objects.event_index]


def _bits(place: Index) -> Bits:
    return np.left_shift(np.uint64(1), place.astype(np.uint64))
