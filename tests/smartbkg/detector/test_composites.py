"""K_S and pi0 candidates of real events."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.detector import DetectorConfig, RecoBatch, simulate
from smartbkg.detector.composites import nearest_approach
from smartbkg.detector.kinematics import K_SHORT_GEV, PI0_GEV, unit_vectors


@pytest.fixture(scope="module")
def reco(mixed_events) -> RecoBatch:
    return simulate(mixed_events, DetectorConfig(), 1)


def test_true_k_shorts_peak_at_their_mass(reco):
    mass = reco.k_shorts.mass_gev[reco.k_shorts.mc >= 0]
    assert np.median(mass) == pytest.approx(K_SHORT_GEV, abs=0.0005)
    assert 0.001 < np.subtract(*np.percentile(mass, [84, 16])) / 2 < 0.004


def test_displaced_pairs_are_mostly_true_k_shorts(reco):
    inside = np.abs(reco.k_shorts.mass_gev - K_SHORT_GEV) < 0.01
    assert (reco.k_shorts.mc[inside] >= 0).mean() > 0.9


def test_a_third_to_two_thirds_of_the_charged_k_shorts_are_found(reco, mixed_events):
    decays = (mixed_events.particles.pdg == 310).sum() * 0.692  # branching fraction to two charged pions
    assert 0.33 < (reco.k_shorts.mc >= 0).sum() / decays < 0.67


def test_the_parts_of_a_k_short_are_opposite_tracks_of_its_event(reco):
    start = reco.tracks.offsets[:-1][reco.k_shorts.event_index]
    a, b = start + reco.k_shorts.track_a, start + reco.k_shorts.track_b
    assert (reco.tracks.charge[a] == -reco.tracks.charge[b]).all()
    assert (reco.k_shorts.track_b < reco.tracks.counts[reco.k_shorts.event_index]).all()


def test_true_pi0s_peak_at_their_mass(reco):
    mass = reco.pi0s.mass_gev[reco.pi0s.mc >= 0]
    assert np.median(mass) == pytest.approx(PI0_GEV, abs=0.001)
    assert 0.004 < np.subtract(*np.percentile(mass, [84, 16])) / 2 < 0.010


def test_the_fitted_pi0_has_its_nominal_mass_and_a_better_momentum(reco, mixed_events):
    clusters, pi0s = reco.clusters, reco.pi0s
    start = clusters.offsets[:-1][pi0s.event_index]
    true = pi0s.mc >= 0
    raw = np.zeros((3, len(pi0s)))
    for part in (start + pi0s.cluster_a, start + pi0s.cluster_b):
        direction = unit_vectors(clusters.theta_rad[part].astype(float), clusters.phi_rad[part].astype(float))
        raw += direction * clusters.energy_gev[part]
    at = (mixed_events.offsets[:-1][pi0s.event_index] + pi0s.mc)[true]
    particles = mixed_events.particles
    truth = np.sqrt(particles.px_gev[at] ** 2 + particles.py_gev[at] ** 2 + particles.pz_gev[at] ** 2)
    fitted = np.sqrt(pi0s.px_gev**2 + pi0s.py_gev**2 + pi0s.pz_gev**2)[true]
    before = np.sqrt((raw**2).sum(axis=0))[true]
    assert np.abs(fitted / truth - 1).mean() < 0.9 * np.abs(before / truth - 1).mean()


def test_the_photons_of_a_pi0_have_no_track(reco):
    start = reco.clusters.offsets[:-1][reco.pi0s.event_index]
    assert (reco.clusters.track[start + reco.pi0s.cluster_a] == -1).all()


def test_nearest_approach_of_crossed_lines_is_their_gap():
    points = np.array([[0.0], [0.0], [0.0]]), np.array([[5.0], [3.0], [2.0]])
    middle, gap = nearest_approach(
        points[0], np.array([[1.0], [0.0], [0.0]]), points[1], np.array([[0.0], [1.0], [0.0]])
    )
    assert gap.tolist() == [2.0]
    assert middle[:, 0].tolist() == [5.0, 0.0, 1.0]


def test_nearest_approach_of_parallel_lines_is_finite():
    x = np.array([[1.0], [0.0], [0.0]])
    assert np.isfinite(nearest_approach(0 * x, x, np.array([[0.0], [1.0], [0.0]]), x)[1]).all()
