"""Bottomonium that is reconstructed as a whole."""

from __future__ import annotations

from smartbkg.skim import get_skim
from support.decays import whole_events

SKIM = get_skim("BottomoniumEtabExclusive")
ETA_B = ("eta_b", "pi+", "pi-", "K+", "K-")


def test_an_eta_b_that_is_seen_as_a_whole_beside_its_photon_passes():
    passed = SKIM.apply(whole_events("gamma", ETA_B, n_events=200)).passed
    assert passed.mean() > 0.2


def test_without_the_photon_or_with_a_pi0_in_its_place_it_does_not_pass():
    assert SKIM.apply(whole_events("pi+", "pi-", "K+", "K-", n_events=200)).passed.mean() < 0.02
    assert SKIM.apply(whole_events("pi0", ETA_B, n_events=200)).passed.mean() < 0.1


def test_what_misses_energy_does_not_pass():
    event = whole_events("gamma", ("eta_b", "nu", "pi+", "pi-", "K+", "K-"), n_events=200)
    assert SKIM.apply(event).passed.mean() < 0.02
