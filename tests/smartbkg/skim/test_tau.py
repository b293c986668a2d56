"""Pairs of taus."""

from __future__ import annotations

import numpy as np

from smartbkg.skim import get_skim, observables
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
