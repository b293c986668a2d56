"""The words of the skims."""

from __future__ import annotations

import pytest

from smartbkg.skim.decays import Channel, Rule, charge_of, conjugate, is_self_conjugate


@pytest.mark.parametrize(
    ("name", "anti"),
    [
        ("K+", "K-"),
        ("D*-", "D*+"),
        ("B0", "anti-B0"),
        ("anti-D*0", "D*0"),
        ("pi+:slow", "pi-:slow"),
        ("pi0:slow", "pi0:slow"),
        ("anti-D0:wide_Kpi", "D0:wide_Kpi"),
        ("eta'", "eta'"),
        ("anti-Lambda0", "Lambda0"),
    ],
)
def test_the_antiparticle_of_the_antiparticle_is_the_particle(name, anti):
    assert conjugate(name) == anti
    assert conjugate(anti) == name


def test_a_k_short_is_its_own_antiparticle():
    assert is_self_conjugate("K_S0")
    assert not is_self_conjugate("D0")


@pytest.mark.parametrize(("name", "charge"), [("D_s+", 1), ("pi-:slow", -1), ("J/psi", 0), ("anti-D0", 0)])
def test_the_charge_stands_at_the_end_of_the_name(name, charge):
    assert charge_of(name) == charge


def test_a_channel_names_mother_and_daughters():
    channel = Channel("D*+ -> D0 pi+:slow")
    assert (channel.mother, channel.daughters) == ("D*+", ("D0", "pi+:slow"))


def test_a_channel_that_makes_charge_is_refused():
    with pytest.raises(ValueError, match="D0 -> K- pi0 does not conserve charge"):
        Channel("D0 -> K- pi0")


@pytest.mark.parametrize("text", ["D0", "D0 -> ", "D0 = K- pi+", "A -> B0 -> pi0"])
def test_a_channel_not_written_as_a_decay_is_refused(text):
    with pytest.raises(ValueError, match="a decay is written"):
        Channel(text)


def test_a_rule_refuses_the_channels_of_another_particle():
    with pytest.raises(ValueError, match="stands among the decays of D0"):
        Rule("D0", (Channel("D+ -> K- pi+ pi+"),))
