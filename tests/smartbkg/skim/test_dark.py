"""Dark photons, inelastic dark matter, and their control samples."""

from __future__ import annotations

import pytest

from smartbkg.skim import get_skim, observables
from support.decays import whole_events
from support.generated import reconstructed

PION_PAIR_FAR, K_SHORT = ("long_lived", "pi+", "pi-"), ("K_S0", "pi+", "pi-")


def part_of(name: str, *event: object) -> float:
    """Which part of events with these particles passes."""
    return float(get_skim(name).apply(whole_events(*event)).passed.mean())


def test_a_photon_alone_passes_and_with_tracks_it_does_not():
    assert part_of("SinglePhotonDark", "gamma", "nu") > 0.7
    assert part_of("SinglePhotonDark", "gamma", "pi+", "pi-") < 0.1


def test_a_photon_that_recoils_against_a_hole_does_not_pass():
    reco = whole_events("gamma", "nu", n_events=300)
    passed = get_skim("SinglePhotonDark").apply(reco).passed
    assert not passed[abs(observables(reco)["missing_cos_theta"]) > 0.95].any()


def test_two_photons_are_a_control_sample_and_one_is_not():
    assert part_of("GammaGammaControlKLMDark", "gamma", "gamma") > 0.6
    assert part_of("GammaGammaControlKLMDark", "gamma", "nu") < 0.05
    assert part_of("GammaGammaControlKLMDark", "gamma", "gamma", "pi+", "pi-") < 0.1


def test_the_track_beside_the_photon_is_an_electron():
    assert part_of("EGammaControlDark", "gamma", "e-", "nu") > 0.4
    assert part_of("EGammaControlDark", "gamma", "mu-", "nu") < 0.05
    assert part_of("EGammaControlDark", "gamma", "e-", "e+", "nu") < 0.3


def test_a_displaced_pair_that_is_no_k_short_passes():
    assert part_of("InelasticDarkMatter", PION_PAIR_FAR, "nu", "nu") > 0.4
    assert part_of("InelasticDarkMatter", K_SHORT, "nu", "nu") < 0.05
    assert part_of("InelasticDarkMatter", ("rho0", "pi+", "pi-"), "nu", "nu") == 0
    assert part_of("InelasticDarkMatter", PION_PAIR_FAR, "pi+", "pi-", "pi+", "pi-") < 0.1


def test_the_control_of_displaced_vertices_takes_k_shorts_beside_an_electron():
    assert part_of("RadBhabhaV0Control", "e+", "e-", K_SHORT) > 0.3
    assert part_of("RadBhabhaV0Control", "pi+", "pi-", K_SHORT) < 0.1


@pytest.mark.parametrize("name", ["SinglePhotonDark", "GammaGammaControlKLMDark", "EGammaControlDark"])
def test_a_few_pairs_of_taus_look_dark_and_hardly_any_b_pair(name):
    assert 0.001 < get_skim(name).apply(reconstructed("taupair", 6000)).passed.mean() < 0.03
    assert get_skim(name).apply(reconstructed("mixed", 6000)).passed.mean() < 0.001
