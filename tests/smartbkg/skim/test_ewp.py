"""Two leptons of a B."""

from __future__ import annotations

from smartbkg.skim import get_skim, observables
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
