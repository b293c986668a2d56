"""Clusters: energy, direction, threshold, and which track they belong to."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smartbkg.detector import DetectorConfig, simulate

CONFIG = DetectorConfig()
CERTAIN = replace(CONFIG, cluster_efficiency=1.0, track_efficiency=1.0)


@pytest.mark.parametrize(("energy_gev", "expected"), [(0.1, 0.077), (1.0, 0.0225)])
def test_photons_have_the_energy_resolution_of_the_prototypes(gun, energy_gev, expected):
    clusters = simulate(gun(6000, pdg=22, p_gev=energy_gev), CONFIG, 1).clusters
    assert (clusters.energy_gev / energy_gev).std() == pytest.approx(expected, rel=0.06)
    assert clusters.energy_gev.mean() == pytest.approx(energy_gev, rel=0.005)


def test_photons_keep_their_direction_within_some_milliradians(gun):
    clusters = simulate(gun(4000, pdg=22, p_gev=1.0, theta_deg=60.0), CONFIG, 1).clusters
    assert clusters.theta_rad.mean() == pytest.approx(np.radians(60.0), abs=3e-4)
    assert 0.003 < clusters.theta_rad.std() < 0.006


def test_photons_are_found_with_the_efficiency_of_the_config(gun):
    found = simulate(gun(6000, pdg=22, p_gev=0.5), CONFIG, 1).clusters.counts.mean()
    assert found == pytest.approx(CONFIG.cluster_efficiency, abs=0.01)


def test_photons_below_the_threshold_are_lost(gun):
    found = [simulate(gun(2000, pdg=22, p_gev=e), CERTAIN, 1).clusters.counts.mean() for e in (0.008, 0.02, 0.05)]
    assert found[0] < 0.05 < found[1] < 0.8 < found[2]


@pytest.mark.parametrize(("theta_deg", "expected"), [(12.0, 0), (12.8, 1), (154.8, 1), (155.5, 0)])
def test_acceptance_is_wider_than_the_trackers(gun, theta_deg, expected):
    assert simulate(gun(100, pdg=22, theta_deg=theta_deg), CERTAIN, 1).clusters.counts.mean() == expected


def test_a_charged_particle_matches_its_own_track(gun):
    reco = simulate(gun(300, pdg=11, p_gev=1.0), CERTAIN, 1)
    assert set(reco.clusters.track) == {0}
    assert reco.clusters.energy_gev.mean() == pytest.approx(1.0, rel=0.02)


def test_a_cluster_without_track_is_neutral(gun):
    reco = simulate(gun(300, pdg=13, p_gev=1.0), replace(CERTAIN, track_efficiency=0.0), 1)
    assert set(reco.clusters.track) == {-1}


def test_muons_leave_little_energy(gun):
    assert simulate(gun(1000, pdg=13, p_gev=3.0), CERTAIN, 1).clusters.energy_gev.mean() == pytest.approx(
        0.2, abs=0.005
    )


def test_slow_charged_particles_curl_up_before_the_calorimeter(gun):
    assert simulate(gun(200, pdg=211, p_gev=0.2), CERTAIN, 1).clusters.counts.sum() == 0


def test_half_of_the_long_lived_kaons_shower(gun):
    clusters = simulate(gun(4000, pdg=130, p_gev=1.0), CERTAIN, 1).clusters
    assert clusters.counts.mean() == pytest.approx(CONFIG.hadron_interacts, abs=0.03)
    assert clusters.energy_gev.max() < 0.8 * 1.2


def test_opposite_charges_turn_opposite_ways(gun):
    plus, minus = (simulate(gun(500, pdg=pdg, p_gev=1.0), CERTAIN, 1) for pdg in (211, -211))

    def turn(reco):
        true = np.arctan2(reco.tracks.py_gev, reco.tracks.px_gev)[
            reco.clusters.track + reco.tracks.offsets[:-1][reco.clusters.event_index]
        ]
        return np.remainder(reco.clusters.phi_rad - true + np.pi, 2 * np.pi) - np.pi

    assert turn(plus).mean() == pytest.approx(-np.arcsin(125 / (2 * 222.37)), abs=0.005)
    assert turn(minus).mean() == pytest.approx(np.arcsin(125 / (2 * 222.37)), abs=0.005)
