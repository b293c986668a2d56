"""Quarkonium, and Lambdas."""

from __future__ import annotations

import pytest

from smartbkg.skim import get_skim
from support.decays import b_events, continuum_events

J_PSI = ("J/psi", "mu+", "mu-")


@pytest.mark.parametrize(
    "decay", [J_PSI, ("J/psi", "e+", "e-"), ("psi(2S)", "mu+", "mu-"), ("psi(2S)", J_PSI, "pi+", "pi-")], ids=str
)
def test_charmonium_passes_from_wherever_it_comes(decay):
    skim = get_skim("CharmoniumPsi")
    for p_gev in (0.5, 3.0):
        passed = skim.apply(continuum_events(decay, p_gev)).passed
        assert passed.mean() > 0.5


@pytest.mark.parametrize("lepton", ["e-", "mu-"])
def test_an_upsilon_passes(lepton):
    anti = "e+" if lepton == "e-" else "mu+"
    passed = get_skim("BottomoniumUpsilon").apply(continuum_events(("Upsilon", lepton, anti), 0.3)).passed
    assert passed.mean() > 0.5


@pytest.mark.parametrize("anti", [False, True])
def test_a_lambda_that_flies_passes(anti):
    passed = get_skim("InclusiveLambda").apply(continuum_events(("Lambda0", "p+", "pi-"), 1.5, anti=anti)).passed
    assert passed.mean() > 0.5


def test_a_proton_and_a_pion_of_the_lambdas_mass_from_the_origin_do_not_pass():
    passed = get_skim("InclusiveLambda").apply(b_events(("B0", ("prompt_lambda", "p+", "pi-"), "p-", "pi+"))).passed
    assert passed.mean() < 0.05
