"""The three kinds of skims."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.errors import BadEvent
from smartbkg.skim import CallableSkim, EventSkim, observables
from smartbkg.skim.candidates import Candidates
from smartbkg.skim.cuts import Cut
from smartbkg.skim.frame import BEAM_GEV
from smartbkg.skim.skims import best_candidates
from support.generated import reconstructed


def b_candidates(rows: list[tuple[int, float]]) -> Candidates:
    """(event, delta E) of candidates at rest."""
    n = len(rows)
    momentum = np.zeros((4, n))
    momentum[0] = [BEAM_GEV + delta_e for _, delta_e in rows]
    zero = np.zeros(n, np.uint64)
    return Candidates(4, 5.28, np.array([2 * e for e, _ in rows]), momentum, zero, zero, np.arange(n, dtype=np.int16))


def test_the_best_candidate_has_the_smallest_delta_e():
    best = best_candidates([b_candidates([(0, 0.1), (0, -0.02), (3, 0.05)]), b_candidates([(1, 0.15), (3, -0.01)])])
    assert best["found"].tolist() == [1, 1, 0, 1]
    assert best["delta_e_gev"][[0, 1, 3]] == pytest.approx([-0.02, 0.15, -0.01], abs=1e-6)
    assert best["target"][[0, 1, 3]].tolist() == [0, 1, 1]
    assert best["channel"][[0, 1, 3]].tolist() == [1, 0, 1]
    assert best["candidates"].tolist() == [2, 1, 0, 2]
    assert np.isnan(best["mbc_gev"][2])


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
