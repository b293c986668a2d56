"""Particle identification: the true hypothesis is the likeliest, as far as the momentum allows."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.detector import DetectorConfig, simulate
from smartbkg.detector.identification import HYPOTHESES, energy_loss, ring_angle

CONFIG = DetectorConfig()


def share(gun, pdg: int, p_gev: float, hypothesis: str) -> np.ndarray:
    tracks = simulate(gun(3000, pdg=pdg, p_gev=p_gev), CONFIG, 1).tracks
    logs = np.stack([getattr(tracks, f"ll_{name}") for name in HYPOTHESES]).astype(float)
    likelihood = np.exp(logs - logs.max(axis=0))
    return (likelihood / likelihood.sum(axis=0))[HYPOTHESES.index(hypothesis)]


@pytest.mark.parametrize(("pdg", "hypothesis"), [(11, "electron"), (13, "muon"), (211, "pion"), (321, "kaon")])
def test_the_true_hypothesis_wins_at_one_and_a_half_gev(gun, pdg, hypothesis):
    assert (share(gun, pdg, 1.5, hypothesis) > 0.5).mean() > 0.8


def test_pions_are_rarely_kaons(gun):
    assert (share(gun, 211, 1.0, "kaon") > 0.5).mean() < 0.05


def test_kaons_and_pions_come_closer_with_momentum(gun):
    good = [(share(gun, 321, p, "kaon") > 0.6).mean() for p in (0.7, 2.0, 4.0)]
    assert good == sorted(good, reverse=True)


def test_slow_muons_do_not_reach_the_iron(gun):
    assert (share(gun, 13, 0.8, "muon") > 0.9).mean() < 0.5 < (share(gun, 13, 2.0, "muon") > 0.9).mean()


def test_some_pions_punch_through_like_muons(gun):
    assert (share(gun, 211, 2.0, "muon") > 0.9).mean() == pytest.approx(CONFIG.punch_through, abs=0.02)


def test_pion_and_kaon_rings_are_two_to_three_widths_apart_at_3_gev():
    pion, kaon = ring_angle(np.array([3.0]), CONFIG)[[2, 3], 0]
    assert 2.0 < pion - kaon < 3.0


def test_slow_particles_lose_most_energy():
    loss = energy_loss(np.array([0.4]), CONFIG)[:, 0]
    assert loss[4] > loss[3] > loss[2]
