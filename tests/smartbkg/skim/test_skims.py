"""The kinds of skims."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.errors import BadEvent, NotASkim, SkimFailed, SkimTwice
from smartbkg.skim import CallableSkim, CombinedSkim, EventSkim, get_skim, observables
from smartbkg.skim.cuts import Cut
from smartbkg.skim.skims import apply_skims
from support.generated import reconstructed


def test_a_users_function_is_a_skim():
    reco = reconstructed("mixed", 200)
    skim = CallableSkim("many", lambda batch: batch.tracks.counts > 8)
    assert np.array_equal(skim.apply(reco).passed, reco.tracks.counts > 8)
    assert (skim.name, skim.code) == ("many", None)


@pytest.mark.parametrize("answer", [np.ones(200), np.ones(3, bool), True])
def test_a_users_function_must_give_one_bool_an_event(answer):
    with pytest.raises(BadEvent, match="'mine' gave"):
        CallableSkim("mine", lambda batch: answer).apply(reconstructed("mixed", 200))


def test_an_event_skim_takes_any_of_its_topologies():
    reco = reconstructed("mixed", 200)
    n = observables(reco)["n_tracks"]
    skim = EventSkim("s", None, "", (Cut("n_tracks", low=4),), ((Cut("n_tracks", high=5),), (Cut("n_tracks", low=9),)))
    assert np.array_equal(skim.apply(reco).passed, ((n >= 4) & (n <= 5)) | (n >= 9))


def test_an_event_skim_without_topologies_needs_its_cuts_only():
    reco = reconstructed("mixed", 200)
    n = observables(reco)["n_tracks"]
    assert np.array_equal(EventSkim("s", None, "", (Cut("n_tracks", low=9),)).apply(reco).passed, n >= 9)


def test_a_users_function_may_ask_for_the_observables():
    reco = reconstructed("mixed", 200)
    skim = CallableSkim("round", lambda batch, values: values["r2"] < 0.1)
    assert np.array_equal(skim.apply(reco).passed, observables(reco)["r2"] < 0.1)
    constant = {"r2": np.zeros(200, np.float32)}
    assert skim.apply(reco, constant).passed.all()


def test_a_users_function_that_raises_is_named_with_its_line():
    def mine(batch):
        return batch.no_such_thing

    with pytest.raises(SkimFailed, match=r"the skim 'mine' failed in test_skims.py, line \d+: AttributeError"):
        CallableSkim("mine", mine).apply(reconstructed("mixed", 200))


@pytest.mark.parametrize("function", [lambda: True, lambda a, b, c: True, 5, None])
def test_a_function_that_cannot_take_a_batch_is_refused_at_once(function):
    with pytest.raises(NotASkim, match=r"the (function of the )?skim 'mine'"):
        CallableSkim("mine", function)


def test_a_skim_without_a_name_is_refused():
    with pytest.raises(NotASkim, match="needs a name"):
        CallableSkim("", lambda batch: batch.event > 0)


FEI, TAU = get_skim("feiHadronic"), get_skim("TauGeneric")
ODD = CallableSkim("odd", lambda batch: batch.event % 2 == 1)


def test_a_combined_skim_passes_where_any_of_its_skims_passes():
    reco = reconstructed("mixed", 600)
    combined = CombinedSkim(FEI, TAU, ODD)
    expected = FEI.apply(reco).passed | TAU.apply(reco).passed | (reco.event % 2 == 1)
    assert np.array_equal(combined.apply(reco).passed, expected)
    assert (combined.name, combined.code) == ("CombinedSkim", None)
    assert combined.description == "Any of feiHadronic, TauGeneric, odd."


def test_combined_skims_of_combined_skims_are_taken_apart():
    combined = CombinedSkim(CombinedSkim(FEI, ODD, name="inner"), ODD, TAU, name="outer")
    assert combined.skims == (FEI, ODD, TAU)


def test_the_parts_of_a_combined_skim_are_found_once_beside_it():
    reco, asked = reconstructed("mixed", 200), []

    def counting(batch):
        asked.append(len(batch))
        return batch.event % 3 == 0

    third = CallableSkim("third", counting)
    results = apply_skims([CombinedSkim(third, ODD), third], reco, observables(reco))
    assert list(results) == ["third", "odd", "CombinedSkim"]
    assert asked == [200]
    assert np.array_equal(results["CombinedSkim"].passed, results["third"].passed | results["odd"].passed)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((), "without skims"),
        (("feiHadronic",), r"give get_skim\('feiHadronic'\)"),
        ((lambda batch: batch.event > 0,), "is a function and no skim: give CallableSkim"),
        ((3.5,), "lacks name, code, description, apply"),
        ((EventSkim,), "lacks name"),
    ],
)
def test_what_is_no_skim_is_refused_with_what_to_do(given, message):
    with pytest.raises(NotASkim, match=message):
        CombinedSkim(*given)


def test_two_skims_of_one_name_are_refused():
    other = CallableSkim("odd", lambda batch: batch.event < 9)
    with pytest.raises(SkimTwice, match="two different skims are named 'odd'"):
        CombinedSkim(ODD, other)
    with pytest.raises(SkimTwice, match="'odd'"):
        CombinedSkim(ODD, name="odd")
    reco = reconstructed("mixed", 200)
    with pytest.raises(SkimTwice, match="'both'"):
        apply_skims([CombinedSkim(ODD, name="both"), CombinedSkim(FEI, name="both")], reco, observables(reco))
