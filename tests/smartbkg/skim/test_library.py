"""The skims by name."""

from __future__ import annotations

import pytest

from smartbkg.detector import RecoBatch
from smartbkg.errors import UnknownName
from smartbkg.skim import get_skim, list_skims
from support.generated import reconstructed


def test_the_codes_are_the_experiments():
    codes = {skim.name: skim.code for skim in list_skims()}
    assert codes.items() >= {"feiHadronic": 11180500, "BtoXll": 12160200, "TauGeneric": 18570600}.items()


def test_an_unknown_skim_is_named_with_what_is_near():
    with pytest.raises(UnknownName, match="unknown skim 'feiHadronik'; near: feiHadronic"):
        get_skim("feiHadronik")


@pytest.mark.parametrize("skim", list_skims(), ids=lambda skim: skim.name)
def test_every_skim_takes_a_batch_without_events(skim):
    assert skim.apply(RecoBatch.concat([])).passed.shape == (0,)


@pytest.mark.parametrize("skim", list_skims(), ids=lambda skim: skim.name)
def test_every_skim_decides_an_event_alone_as_in_a_batch(skim):
    reco = reconstructed("mixed", 600)
    whole = skim.apply(reco)
    passing = whole.passed.nonzero()[0][:10].tolist()
    for i in (0, 1, 2, *passing):
        alone = skim.apply(reco[i : i + 1])
        assert alone.passed[0] == whole.passed[i]
        for name, value in alone.variables.items():
            assert value.tobytes() == whole.variables[name][i : i + 1].tobytes()


@pytest.mark.parametrize("skim", list_skims(), ids=lambda skim: skim.name)
def test_every_skim_says_what_it_is(skim):
    assert skim.description.endswith(".")
