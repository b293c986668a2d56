"""Electroweak penguin decays."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.skim import get_skim, observables
from support.decays import b_events
from support.generated import reconstructed

SKIM = get_skim("BtoXll")


def test_about_one_per_cent_of_b_pairs_passes_and_hardly_any_continuum():
    assert 0.003 < SKIM.apply(reconstructed("mixed", 6000)).passed.mean() < 0.03
    assert SKIM.apply(reconstructed("uubar", 3000)).passed.mean() < 0.002


def test_passing_events_have_two_leptons_of_one_flavour():
    reco = reconstructed("mixed", 6000)
    values = observables(reco)
    passed = SKIM.apply(reco, values).passed
    assert ((values["n_electrons"] >= 2) | (values["n_muons"] >= 2))[passed].all()
    assert values["lepton_p_max_gev"][passed].min() >= 1.0


@pytest.mark.parametrize("anti", [False, True])
@pytest.mark.parametrize(
    ("name", "decay"),
    [
        ("BtoXll", ("B+", "K+", "e+", "e-")),
        ("BtoXll", ("B0", ("K*0", "K+", "pi-"), "mu+", "mu-")),
        ("BtoXll_LFV", ("B+", "K+", "e+", "mu-")),
        ("BtoXll_LFV", ("B+", "K+", "mu+", "e-")),
        ("BToXgamma", ("B0", ("K*0", "K+", "pi-"), "gamma")),
        ("inclusiveBplusToKplusNuNu", ("B+", "K+", "nu", "nu")),
    ],
    ids=str,
)
def test_its_own_decay_passes_with_either_flavour(name, decay, anti):
    assert get_skim(name).apply(b_events(decay, anti=anti)).passed.mean() > 0.15


@pytest.mark.parametrize(
    ("name", "decay"),
    [
        ("BtoXll", ("B+", "K+", "e+", "mu-")),
        ("BtoXll_LFV", ("B+", "K+", "e+", "e-")),
        ("BToXgamma", ("B0", "pi0", "K+", "pi-")),
        ("inclusiveBplusToKplusNuNu", ("B+", "pi+", "nu", "nu")),
        ("inclusiveBplusToKplusNuNu", ("B+", "K+", "mu+", "mu-")),
    ],
    ids=str,
)
def test_another_decay_passes_less_often(name, decay):
    assert get_skim(name).apply(b_events(decay)).passed.mean() < 0.1


def test_the_photon_lies_in_the_window():
    result = get_skim("BToXgamma").apply(reconstructed("mixed", 6000))
    p_gev = result.variables["p_gev"][result.passed]
    assert (p_gev.min() >= 1.6, p_gev.max() <= 2.8) == (True, True)
    assert np.isnan(result.variables["p_gev"][~result.passed]).all()


def test_events_with_a_kaon_and_missing_energy_have_both():
    reco = reconstructed("mixed", 6000)
    values = observables(reco)
    passed = get_skim("inclusiveBplusToKplusNuNu").apply(reco, values).passed
    assert 0.005 < passed.mean() < 0.1
    assert values["missing_energy_gev"][passed].min() >= 2.5
    assert values["n_kaons"][passed].mean() > 1.2 * values["n_kaons"].mean()
