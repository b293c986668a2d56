"""Skims that measure the detector."""

from __future__ import annotations

from smartbkg.skim import get_skim
from support.decays import whole_events

SKIM = get_skim("SystematicsPhiGamma")


def test_a_phi_against_a_photon_passes():
    assert SKIM.apply(whole_events("gamma", ("phi", "K+", "K-"))).passed.mean() > 0.3


def test_other_pairs_and_soft_photons_do_not_pass():
    assert SKIM.apply(whole_events("gamma", ("rho0", "pi+", "pi-"))).passed.mean() < 0.05
    assert SKIM.apply(whole_events("pi+", "pi-", ("phi", "K+", "K-"))).passed.mean() < 0.05


def test_the_best_phi_is_described():
    variables = SKIM.apply(whole_events("gamma", ("phi", "K+", "K-"))).variables
    there = variables["candidates"] > 0
    assert (abs(variables["mass_gev"][there] - 1.0195) < 0.0101).all()
