"""The skims by name."""

from __future__ import annotations

import pytest

from smartbkg.detector import RecoBatch
from smartbkg.errors import UnknownName
from smartbkg.skim import get_skim, group_of, list_skims
from smartbkg.skim.library import GROUPS, SKIMS
from support.generated import reconstructed

# As the users' pages list them.
CODES = """
11180500 11180600 11640100 12160100 12160200 12160300 12160400 13160200 13160300 14120300 14120600 14121100 14140100
14140101 14140102 14140200 14141000 14141001 14141002 15410300 15420100 15440100 16460200 17230100 17230200 17230400
17230500 17230600 17240100 17240300 17240600 17240700 17241000 17241200 18000000 18000001 18020100 18020200 18020400
18130100 18360100 18520100 18520200 18520400 18520500 18530200 18570600 18570700 19120100 19130201 19130300
"""


def test_the_codes_are_the_experiments():
    codes = {skim.name: skim.code for skim in list_skims()}
    assert codes.items() >= {"feiHadronic": 11180500, "BtoXll": 12160200, "TauGeneric": 18570600}.items()


def test_an_unknown_skim_is_named_with_what_is_near():
    with pytest.raises(UnknownName, match="unknown skim 'feiHadronik'; near: feiHadronic"):
        get_skim("feiHadronik")


def test_a_skim_is_found_by_its_code_too():
    assert get_skim(12160200) is get_skim("12160200") is get_skim("BtoXll")


def test_an_unknown_code_is_named_with_what_is_near():
    with pytest.raises(UnknownName, match="unknown skim code '11180501'; near: 11180500"):
        get_skim(11180501)


def test_names_and_codes_belong_to_one_skim_only():
    grouped = [skim for group in GROUPS.values() for skim in group.values()]
    assert len(SKIMS) == len(grouped) == len({skim.code for skim in grouped})
    assert set(map(len, (str(skim.code) for skim in grouped))) == {8}


def test_all_skims_that_the_users_filter_knows_are_here():
    assert sorted(skim.code for skim in list_skims()) == [int(code) for code in CODES.split()]


def test_skims_are_listed_by_group():
    assert get_skim("TauGeneric") in list_skims("tau")
    assert get_skim("feiHadronic") not in list_skims("tau")
    assert sorted(skim.name for group in GROUPS for skim in list_skims(group)) == [s.name for s in list_skims()]
    assert (group_of("TauGeneric"), group_of("mine")) == ("tau", None)


def test_an_unknown_group_is_named_with_what_is_near():
    with pytest.raises(UnknownName, match="unknown group of skims 'taus'; near: tau"):
        list_skims("taus")


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
