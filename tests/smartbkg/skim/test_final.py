"""Tracks, K_S, pi0 and photons as candidates."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.detector.kinematics import PI0_GEV, PION_GEV
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import NeutralList, TrackList
from smartbkg.skim.final import neutral_candidates, track_candidates, track_variables
from support.generated import reconstructed


def photons(*cuts: Cut) -> NeutralList:
    return NeutralList("gamma", 0.0, cuts)


def test_photons_are_the_clusters_without_a_track():
    reco = reconstructed("mixed", 200)
    made = neutral_candidates(reco, photons())
    assert np.array_equal(
        np.bincount(made.event_index, minlength=200),
        np.bincount(reco.clusters.event_index[reco.clusters.track < 0], minlength=200),
    )
    assert made.mass == pytest.approx(np.zeros(len(made)), abs=1e-6)
    assert (made.group % 2 == 0).all()
    assert {int(bits).bit_count() for bits in made.clusters} == {1}


def test_energies_are_those_of_the_laboratory_and_momenta_those_of_the_collision():
    reco = reconstructed("mixed", 200)
    hard = neutral_candidates(reco, photons(Cut("energy_gev", low=1.0)))
    energy = reco.clusters.energy_gev[(reco.clusters.track < 0)]
    assert len(hard) == (energy >= 1.0).sum()
    fast = neutral_candidates(reco, photons(Cut("p_gev", low=1.0)))
    assert fast.p.min() >= 1.0
    assert len(fast) != len(hard)


def test_the_two_photons_of_a_pi0_are_photons_of_the_event():
    reco = reconstructed("mixed", 200)
    pi0, gamma = neutral_candidates(reco, NeutralList("pi0", PI0_GEV)), neutral_candidates(reco, photons())
    used = np.zeros(200, np.uint64)
    np.bitwise_or.at(used, gamma.event_index, gamma.clusters)
    assert (pi0.clusters & ~used[pi0.event_index] == 0).all()


def test_the_weaker_photon_of_a_pi0_can_be_cut_on():
    reco = reconstructed("mixed", 200)
    some = neutral_candidates(reco, NeutralList("pi0", PI0_GEV, (Cut("energy_min_gev", low=0.2),)))
    start = reco.clusters.offsets[reco.pi0s.event_index]
    a, b = (reco.clusters.energy_gev[start + part] for part in (reco.pi0s.cluster_a, reco.pi0s.cluster_b))
    assert 0 < len(some) == ((a >= 0.2) & (b >= 0.2)).sum()


def test_a_negative_track_is_the_antiparticle():
    reco = reconstructed("mixed", 200)
    pions = track_candidates(reco, TrackList("pi+", PION_GEV), track_variables(reco.tracks))
    assert (pions.group & 1).sum() == (reco.tracks.charge < 0).sum()
    assert len(pions) == len(reco.tracks)


def test_a_track_at_the_limit_is_kept():
    reco = reconstructed("mixed", 200)
    variables = track_variables(reco.tracks)
    limit = float(np.sort(variables["pt_gev"])[50])
    kept = track_candidates(reco, TrackList("pi+", PION_GEV, (Cut("pt_gev", low=limit),)), variables)
    assert len(kept) == len(reco.tracks) - 50
