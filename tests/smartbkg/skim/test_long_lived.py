"""Long-lived particles of a dark sector in B decays."""

from __future__ import annotations

import pytest

from smartbkg.skim import get_skim
from support.decays import b_events

SKIM = get_skim("BtoKplusLLP")


@pytest.mark.parametrize("anti", [False, True])
@pytest.mark.parametrize("pair", [("mu+", "mu-"), ("e+", "e-"), ("pi+", "pi-"), ("K+", "K-")], ids=str)
def test_a_pair_away_from_the_origin_with_a_kaon_passes(pair, anti):
    passed = SKIM.apply(b_events(("B+", "K+", ("long_lived", *pair)), anti=anti)).passed
    assert passed.mean() > 0.2


def test_a_pair_from_the_origin_does_not_pass():
    assert SKIM.apply(b_events(("B+", "K+", ("phi", "K+", "K-")))).passed.mean() < 0.05


def test_a_k_short_is_no_new_particle():
    assert SKIM.apply(b_events(("B+", "K+", ("K_S0", "pi+", "pi-")))).passed.mean() < 0.05
