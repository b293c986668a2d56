"""Skims by decay chains."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smartbkg.detector import RecoBatch
from smartbkg.skim import get_skim
from smartbkg.skim.candidates import Candidates
from smartbkg.skim.chains import DecaySkim, best_candidates
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, Selection
from smartbkg.skim.frame import BEAM_GEV
from smartbkg.skim.library import SKIMS
from smartbkg.skim.shared import SharedBatch
from support.generated import reconstructed

DECAY_SKIMS = [skim for skim in SKIMS.values() if isinstance(skim, DecaySkim)]


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


def test_the_fastest_is_best_where_no_b_is_looked_for():
    slow, fast = b_candidates([(0, 0.1)]), b_candidates([(0, 0.1), (2, 0.1)])
    fast.momentum[3] = [2.0, 1.0]
    best = best_candidates([slow, fast], "momentum")
    assert best["p_gev"][[0, 2]].tolist() == [2.0, 1.0]
    assert best["target"][[0, 2]].tolist() == [1, 1]
    assert "mbc_gev" not in best


@pytest.mark.parametrize("kind", ["mixed", "ccbar", "taupair"])
@pytest.mark.parametrize("skim", DECAY_SKIMS, ids=lambda skim: skim.name)
def test_shared_lists_change_nothing(skim, kind):
    reco = reconstructed(kind, 600)
    alone, shared = skim.apply(reco), skim.apply(reco, SharedBatch(reco))
    assert np.array_equal(alone.passed, shared.passed)
    assert set(alone.variables) == set(shared.variables)
    for name, value in alone.variables.items():
        assert value.tobytes() == shared.variables[name].tobytes()


def test_the_order_of_events_does_not_matter():
    reco = reconstructed("mixed", 600)
    order = np.random.default_rng(5).permutation(600)
    shuffled = SharedBatch(reco.select(order))
    for skim in DECAY_SKIMS:
        assert np.array_equal(skim.apply(reco).passed[order], skim.apply(shuffled.reco, shuffled).passed)


def test_a_batch_without_events_has_nothing_that_passes():
    empty = SharedBatch(RecoBatch.concat([]))
    for skim in DECAY_SKIMS:
        assert skim.apply(empty.reco, empty).passed.shape == (0,)


def test_a_cut_on_the_event_holds_for_shared_lists_too():
    reco = reconstructed("mixed", 600)
    skim = DecaySkim("pions", None, "A pion.", (Cut("n_tracks", low=10),), ("pi+",), best="momentum")
    shared = SharedBatch(reco)
    passed = skim.apply(reco, shared).passed
    assert 0 < passed.sum() < 600
    assert (shared["n_tracks"][passed] >= 10).all()
    assert np.array_equal(passed, skim.apply(reco).passed)


def test_a_user_writes_a_skim_in_a_few_lines():
    rule = Rule("D*+", (Channel("D*+ -> D0:fast_hh pi+", (Cut("delta_m_gev", 0.143, 0.148),)),))
    mine = DecaySkim("mine", None, "My D*.", (), ("D*+",), (rule,), "momentum")
    theirs = get_skim("DstToD0Pi_D0ToHpJm")
    reco = reconstructed("ccbar", 4000)
    narrow = replace(mine, lists=(replace(rule, cuts=(Cut("p_gev", low=2.4),)),))
    assert 0 < narrow.apply(reco).passed.sum() <= mine.apply(reco).passed.sum()
    assert (theirs.apply(reco).passed | ~narrow.apply(reco).passed).all()


def test_a_list_of_ones_own_comes_before_a_standard_one():
    reco = reconstructed("mixed", 600)
    fast = Selection("pi+", ("pi+",), (Cut("p_gev", low=2.0),))
    all_pions, fast_pions = (DecaySkim("pions", None, "A pion.", (), ("pi+",), own) for own in ((), (fast,)))
    assert 0 < fast_pions.apply(reco).passed.sum() < all_pions.apply(reco).passed.sum()


def test_an_unknown_way_to_choose_the_best_is_refused():
    with pytest.raises(ValueError, match="'delta_e' or 'momentum', not 'mass'"):
        DecaySkim("mine", None, "Mine.", (), ("pi+",), best="mass")
