"""Fast charm of continuum."""

from __future__ import annotations

import pytest

from smartbkg.skim import get_skim
from support.decays import continuum_events
from support.generated import reconstructed

K_SHORT = ("K_S0", "pi+", "pi-")
SIGNAL = {
    "XToD0_D0ToHpJm": [("D0", "K-", "pi+"), ("D0", "K-", "K+"), ("D0", "pi-", "pi+")],
    "XToD0_D0ToNeutrals": [("D0", K_SHORT, "pi0"), ("D0", K_SHORT, K_SHORT), ("D0", "pi0", "pi0")],
    "XToDp_DpToKsHp": [("D+", K_SHORT, "pi+"), ("D+", K_SHORT, "K+")],
    "XToDp_DpToHpHmJp": [("D+", "K-", "pi+", "pi+"), ("D+", "pi+", "pi+", "pi-")],
    "LambdacTopHpJm": [("Lambda_c+", "p+", "K-", "pi+"), ("Lambda_c+", "p+", "K-", "K+")],
    "DstToD0Pi_D0ToHpJm": [("D*+", ("D0", "K-", "pi+"), "pi+"), ("D*+", ("D0", "pi-", "pi+"), "pi+")],
    "DstToD0Pi_D0ToHpHmPi0": [("D*+", ("D0", "K-", "pi+", "pi0"), "pi+")],
    "DstToD0Pi_D0ToNeutrals": [("D*+", ("D0", K_SHORT, "pi0"), "pi+"), ("D*+", ("D0", "pi0", "pi0"), "pi+")],
    "DstToD0Pi_D0ToHpJmKs": [("D*+", ("D0", K_SHORT, "pi+", "pi-"), "pi+")],
    "DstToDpPi0_DpToHpPi0": [("D*+", ("D+", "pi+", "pi0"), "pi0")],
    "DstToD0Pi_D0ToVGamma": [("D*+", ("D0", ("phi", "K+", "K-"), "gamma"), "pi+")],
}
CASES = [(name, decay) for name, decays in SIGNAL.items() for decay in decays]


@pytest.mark.parametrize("anti", [False, True])
@pytest.mark.parametrize(("name", "decay"), CASES, ids=str)
def test_its_own_decay_passes_with_either_flavour(name, decay, anti):
    passed = get_skim(name).apply(continuum_events(decay, p_gev=3.2, anti=anti)).passed
    assert passed.mean() > 0.25


@pytest.mark.parametrize("name", SIGNAL)
def test_a_slow_one_as_of_a_b_passes_far_less_often(name):
    decay = SIGNAL[name][0]
    slow, fast = (get_skim(name).apply(continuum_events(decay, p_gev)).passed.mean() for p_gev in (1.2, 3.2))
    assert slow < 0.3 * fast


@pytest.mark.parametrize("name", SIGNAL)
def test_what_passes_lies_above_the_limit(name):
    result = get_skim(name).apply(reconstructed("ccbar", 4000))
    p_gev = result.variables["p_gev"][result.passed]
    assert len(p_gev) > 0
    assert p_gev.min() >= (2.4 if name.startswith("Dst") else 2.5)


def test_a_tag_lies_at_the_mass_difference_of_the_slow_pion():
    """Less than one half of the D0 that pass have a slow pion, and the tag is one of them."""
    reco = reconstructed("ccbar", 4000)
    tagged, untagged = (get_skim(name).apply(reco) for name in ("DstToD0Pi_D0ToHpJm", "XToD0_D0ToHpJm"))
    assert 0 < tagged.passed.sum() < 0.5 * untagged.passed.sum()
    mass = tagged.variables["mass_gev"][tagged.passed]
    assert (mass.min() > 1.93, mass.max() < 2.09) == (True, True)
