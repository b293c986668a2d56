"""Pairs of taus."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.skim import get_skim, observables
from support.decays import conjugated, whole_events
from support.generated import reconstructed

SKIM = get_skim("TauGeneric")


def test_half_of_the_tau_pairs_and_hardly_any_b_pair_passes():
    assert 0.4 < SKIM.apply(reconstructed("taupair", 1000)).passed.mean() < 0.7
    assert SKIM.apply(reconstructed("mixed", 6000)).passed.mean() < 0.005


def test_passing_events_have_one_against_one_or_three_prongs():
    reco = reconstructed("taupair", 1000)
    values = observables(reco)
    passed = SKIM.apply(reco, values).passed
    assert set(values["prongs_fewer"][passed]) == {1}
    assert set(values["prongs_more"][passed]) == {1, 3}
    assert np.abs(values["total_charge"][passed]).max() == 0


def test_the_thrust_skim_is_narrower_and_asks_for_one_against_one_or_three():
    reco = reconstructed("taupair", 1000)
    values = observables(reco)
    passed = get_skim("TauThrust").apply(reco, values).passed
    assert 0.1 < passed.mean() < 0.35
    assert values["thrust"][passed].min() > 0.95
    assert set(values["prongs_fewer"][passed]) == {1}
    assert set(values["prongs_more"][passed]) == {1, 3}


@pytest.mark.parametrize(
    "products",
    [
        ("mu-", "gamma"),
        ("e-", "pi0"),
        ("mu-", ("rho0", "pi+", "pi-")),
        ("e-", ("K_S0", "pi+", "pi-")),
        ("mu-", "K+", "pi-"),
        ("e+", "pi-", "pi-"),
        ("mu-", "mu-", "mu+"),
        ("mu-", "mu-", "e+"),
        ("e-", "mu-", "mu+"),
    ],
    ids=lambda products: " ".join(p if isinstance(p, str) else p[0] for p in products),
)
def test_a_tau_without_a_neutrino_passes(products):
    signal, other = ("tau-", *products), ("tau+", "pi+", "nu")
    skim = get_skim("TauLFV")
    assert skim.apply(whole_events(signal, other)).passed.mean() > 0.3
    assert skim.apply(whole_events(conjugated(signal), conjugated(other))).passed.mean() > 0.3


def test_a_tau_with_neutrinos_or_without_a_lepton_hardly_passes():
    skim, other = get_skim("TauLFV"), ("tau+", "pi+", "nu")
    assert skim.apply(whole_events(("tau-", "pi-", "pi-", "pi+"), other)).passed.mean() < 0.2
    assert skim.apply(whole_events(("tau-", "mu-", "nu", "nu"), other)).passed.mean() < 0.02
    assert 0.001 < skim.apply(reconstructed("taupair", 6000)).passed.mean() < 0.02
