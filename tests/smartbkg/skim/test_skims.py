"""The three kinds of skims."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.errors import BadEvent
from smartbkg.skim import CallableSkim, EventSkim, observables
from smartbkg.skim.cuts import Cut
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
