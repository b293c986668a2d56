"""What skims share of one batch."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.detector import RecoBatch
from smartbkg.errors import UnknownName
from smartbkg.skim import observables
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, Selection
from smartbkg.skim.shared import SharedBatch
from smartbkg.skim.standard import STANDARD
from support.generated import reconstructed


def test_a_list_is_made_once():
    batch = SharedBatch(reconstructed("mixed", 200))
    assert batch.lists["D*+"] is batch.lists["D*+"]
    assert batch.lists["D0"] is batch.lists["D0"]


def test_it_is_the_observables_by_name():
    reco = reconstructed("mixed", 200)
    batch, values = SharedBatch(reco), observables(reco)
    assert list(batch) == list(values)
    assert all(np.array_equal(batch[name], value) for name, value in values.items())


def test_observables_that_are_known_are_not_computed_again():
    reco = reconstructed("mixed", 200)
    values = observables(reco)
    assert SharedBatch(reco, values)["r2"] is values["r2"]


def test_it_serves_only_its_own_events():
    reco = reconstructed("mixed", 200)
    batch = SharedBatch(reco)
    assert SharedBatch.of(reco, batch) is batch
    assert SharedBatch.of(reco.select(np.arange(10)), batch) is not batch


def test_every_standard_list_can_be_made_also_of_no_events():
    for n_events in (200, 0):
        batch = SharedBatch(reconstructed("ccbar", 200).select(np.arange(n_events)))
        for name in STANDARD:
            assert (np.diff(batch.lists[name].group) >= 0).all()
            assert batch.lists[name].n_events == n_events
    assert len(SharedBatch(RecoBatch.concat([])).lists) == len(STANDARD)


@pytest.mark.parametrize("name", ["K_S0", "pi0", "Lambda0", "D0"])
def test_many_candidates_lie_at_the_mass(name):
    """Real events have real particles: the middle of the window holds more than the same width at its edges."""
    reco = reconstructed("mixed", 6000)
    source = SharedBatch(reco)
    if name in ("K_S0", "pi0"):
        mass = (reco.k_shorts if name == "K_S0" else reco.pi0s).mass_gev
        low, high = STANDARD[name].cuts[0].low, STANDARD[name].cuts[0].high
    elif name == "Lambda0":
        mass, (low, high) = source.lists[name].mass, (1.1117, 1.1197)
    else:
        rule = Rule("D0:free", (Channel("D0:free -> K- pi+"),), (Cut("mass_gev", 1.835, 1.895),))
        mass, (low, high) = source.own_lists((rule,))["D0:free"].mass, (1.835, 1.895)
    inside = np.abs((mass - low) / (high - low) - 0.5)
    middle, edges = (inside < 0.25).sum(), ((inside > 0.25) & (inside < 0.5)).sum()
    assert middle > 20
    assert middle > 1.4 * edges


def test_lists_of_ones_own_are_built_on_each_other():
    batch = SharedBatch(reconstructed("ccbar", 600))
    rule = Rule("D*+:mine", (Channel("D*+:mine -> D0:mine pi+"),), (Cut("delta_m_gev", high=0.16),))
    lists = batch.own_lists((Selection("D0:mine", ("D0:fast_hh",)), rule))
    assert len(lists["D*+:mine"]) > 0
    assert lists["D0:mine"].mass.tolist() == batch.lists["D0:fast_hh"].mass.tolist()
    assert "D0:mine" not in batch.lists


def test_an_unknown_daughter_is_named():
    batch = SharedBatch(reconstructed("mixed", 200))
    with pytest.raises(UnknownName, match="unknown candidate list 'D0:Kpie'; near: D0:Kpi"):
        batch.own_lists((Rule("B-", (Channel("B- -> D0:Kpie pi-"),)),))
