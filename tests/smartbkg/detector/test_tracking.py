"""Tracks: what is found, how well it is measured, where it starts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smartbkg.detector import DetectorConfig, RecoBatch, simulate
from smartbkg.detector.kinematics import PION_GEV
from smartbkg.detector.tracking import Flight, impact_parameters
from smartbkg.events import EventBatch
from support.events import Particle, event_batch

CONFIG = DetectorConfig()
CERTAIN = replace(CONFIG, track_efficiency=1.0)


def found_fraction(batch: EventBatch, config: DetectorConfig = CONFIG) -> float:
    return float(simulate(batch, config, 1).tracks.counts.mean())


def pt(reco: RecoBatch) -> np.ndarray:
    return np.hypot(reco.tracks.px_gev.astype(float), reco.tracks.py_gev)


@pytest.mark.parametrize("p_gev", [0.3, 1.0, 3.0])
def test_transverse_momentum_has_the_resolution_of_the_config(gun, p_gev):
    relative = pt(simulate(gun(6000, p_gev=p_gev), CONFIG, 1)) / p_gev - 1
    beta = p_gev / np.hypot(p_gev, PION_GEV)
    expected = np.hypot(CONFIG.track_pt_resolution[0] * p_gev, CONFIG.track_pt_resolution[1] / beta)
    assert relative.std() == pytest.approx(expected, rel=0.05)
    assert abs(relative.mean()) < 4 * expected / np.sqrt(len(relative))


def test_fast_tracks_are_found_with_the_plateau_efficiency(gun):
    assert found_fraction(gun(6000, p_gev=1.0)) == pytest.approx(CONFIG.track_efficiency, abs=0.01)


def test_efficiency_rises_with_transverse_momentum(gun):
    fractions = [found_fraction(gun(2000, p_gev=p)) for p in (0.06, 0.09, 0.13, 0.3)]
    assert fractions == sorted(fractions)
    assert fractions[1] == pytest.approx(0.5 * CONFIG.track_efficiency, abs=0.04)


def test_a_track_that_curls_up_before_the_silicon_is_lost(gun):
    assert found_fraction(gun(500, p_gev=0.049), CERTAIN) == 0


@pytest.mark.parametrize(("theta_deg", "expected"), [(16.9, 0), (17.1, 1), (149.9, 1), (150.1, 0)])
def test_acceptance_is_17_to_150_degrees(gun, theta_deg, expected):
    assert found_fraction(gun(200, p_gev=2.0, theta_deg=theta_deg), CERTAIN) == expected


@pytest.mark.parametrize(("start_cm", "expected"), [(0.0, 1.0), (30.0, 0.5), (59.0, 0.02), (61.0, 0.0)])
def test_tracks_that_start_far_out_are_lost(gun, start_cm, expected):
    assert found_fraction(gun(3000, x_cm=start_cm), CERTAIN) == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("status", [1, 3 | 16, 3 | 32])
def test_decayed_virtual_and_initial_particles_leave_nothing(gun, status):
    assert found_fraction(gun(200, status=status)) == 0


def test_neutral_particles_leave_no_track(gun):
    assert found_fraction(gun(200, pdg=22)) == 0


def test_charge_is_that_of_the_particle(gun):
    assert set(simulate(gun(50, pdg=-321), CONFIG, 1).tracks.charge) == {-1}
    assert set(simulate(gun(50, pdg=-11), CONFIG, 1).tracks.charge) == {1}


def test_electrons_radiate_and_muons_do_not(gun):
    electron, muon = (pt(simulate(gun(4000, pdg=pdg, p_gev=2.0), CONFIG, 1)) for pdg in (11, 13))
    assert (muon < 1.9).mean() < 0.001
    assert 0.05 < (electron < 1.9).mean() < 0.15


def test_impact_parameter_has_the_resolution_of_the_config(gun):
    tracks = simulate(gun(6000, p_gev=1.0), CONFIG, 1).tracks
    p_beta = 1.0 / np.hypot(1.0, PION_GEV)
    assert tracks.d0_cm.std() == pytest.approx(np.hypot(CONFIG.d0_cm[0], CONFIG.d0_cm[1] / p_beta), rel=0.05)
    assert tracks.z0_cm.std() == pytest.approx(np.hypot(CONFIG.z0_cm[0], CONFIG.z0_cm[1] / p_beta), rel=0.05)


@pytest.mark.parametrize("charge", [-1.0, 1.0])
def test_impact_parameters_are_those_of_the_helix_stepped_by_hand(charge):
    rng = np.random.default_rng(4)
    pt_gev, phi, cot = rng.uniform(0.1, 2, 20), rng.uniform(-3, 3, 20), rng.uniform(-1, 2, 20)
    x, y, z = rng.uniform(-5, 5, (3, 20))
    flight = Flight(pt_gev, phi, cot, np.full(20, charge), x, y, z)
    d0, z0 = impact_parameters(flight, 1.5)
    radius = pt_gev / (0.00299792458 * 1.5)
    path = np.linspace(-15, 15, 300_001)[:, None]  # cm along the helix, before and after the start
    angle = phi - charge * path / radius
    px = x + charge * radius * (np.sin(phi) - np.sin(angle))
    py = y - charge * radius * (np.cos(phi) - np.cos(angle))
    distance = np.hypot(px, py)
    nearest = distance.argmin(axis=0)
    assert np.abs(d0) == pytest.approx(distance.min(axis=0), abs=1e-4)
    assert z0 == pytest.approx(z + cot * path[nearest, 0], abs=1e-3)


def test_a_track_points_to_its_particle():
    pion = Particle(status=3, energy_gev=1.01, px_gev=1.0)
    reco = simulate(event_batch([[Particle(pdg=111, status=1), pion], [pion]]), CERTAIN, 1)
    assert reco.tracks.mc.tolist() == [1, 0]
