"""Few tracks."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.skim import get_skim, observables
from support.decays import whole_events
from support.generated import reconstructed


def part_of(name: str, *event: object) -> float:
    """Which part of events with these particles passes."""
    return float(get_skim(name).apply(whole_events(*event)).passed.mean())


def test_two_leptons_and_missing_energy_pass_by_their_flavours():
    two_muons, mixed, electrons = (
        (first, second, "nu", "nu") for first, second in (("mu+", "mu-"), ("e-", "mu+"), ("e-", "e+"))
    )
    for name, wanted in (("DimuonPlusMissingEnergy", two_muons), ("ElectronMuonPlusMissingEnergy", mixed)):
        for event in (two_muons, mixed, electrons):
            part = part_of(name, *event)
            assert part > 0.3 if event is wanted else part < 0.05, (name, event, part)


def test_photons_that_carry_the_energy_away_are_not_missing():
    assert part_of("DimuonPlusMissingEnergy", "mu+", "mu-", "gamma") < 0.6 * part_of(
        "DimuonPlusMissingEnergy", "mu+", "mu-", "nu"
    )


def test_four_leptons_with_all_energy_pass_and_four_hadrons_or_missing_energy_do_not():
    assert part_of("LFVZpVisible", "e-", "mu+", "e+", "mu-") > 0.5
    assert part_of("LFVZpVisible", "pi-", "pi+", "pi+", "pi-") < 0.2
    assert part_of("LFVZpVisible", "nu", "nu", "e-", "mu+", "e+", "mu-") < 0.2


def test_a_light_pair_against_a_photon_passes_and_a_heavy_one_does_not():
    assert part_of("LowMassTwoTrack", "gamma", ("rho0", "pi+", "pi-")) > 0.5
    assert part_of("LowMassTwoTrack", "gamma", ("J/psi", "mu+", "mu-")) < 0.05
    assert part_of("LowMassTwoTrack", "gamma", ("rho0", "pi+", "pi-"), "pi+", "pi-") < 0.1


def test_the_other_electron_is_lost_in_a_hole():
    reco = whole_events("e-", "nu", "pi0", n_events=600)
    passed = get_skim("SingleTagPseudoScalar").apply(reco).passed
    lost = abs(observables(reco)["missing_cos_theta"]) > 0.95
    assert passed[lost].mean() > 0.3
    assert not passed[abs(observables(reco)["missing_cos_theta"]) < 0.9].any()
    assert part_of("SingleTagPseudoScalar", "mu-", "nu", "pi0") == 0


@pytest.mark.parametrize("name", ["DimuonPlusMissingEnergy", "ElectronMuonPlusMissingEnergy", "LowMassTwoTrack"])
def test_tau_pairs_pass_with_two_opposite_tracks(name):
    reco = reconstructed("taupair", 6000)
    passed = get_skim(name).apply(reco).passed
    assert 0.004 < passed.mean() < 0.05
    values = observables(reco)
    assert set(values["n_tracks"][passed]) == {2}
    assert np.abs(values["total_charge"][passed]).max() == 0
