"""Beams and B pairs: kinematics, angles, lifetimes, mixing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from smartbkg.errors import GenerationError
from smartbkg.generate.beams import X_D, BPairs, beam_momenta, boost, sample_b_pairs

MASS, TAU0 = 5.27958, 0.4554
N = 20_000


@pytest.fixture(scope="module")
def pairs() -> BPairs:
    return sample_b_pairs(511, MASS, TAU0, (3, 0, 0, np.arange(1, N + 1)))


def mass_of(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(p[..., 3] ** 2 - (p[..., :3] ** 2).sum(axis=-1)))


def test_the_beams_make_an_upsilon_4s_at_the_right_speed() -> None:
    total = sum(beam_momenta())
    assert float(mass_of(total)) == pytest.approx(10.5796, abs=1e-4)
    assert float(np.linalg.norm(total[:3]) / mass_of(total)) == pytest.approx(0.287, abs=1e-3)
    assert total[0] > 0  # both beams cross towards +x
    assert total[1] == 0


def test_the_energy_spreads_by_5_4_mev(pairs: BPairs) -> None:
    mass = mass_of(pairs.upsilon_gev)
    assert mass.mean() == pytest.approx(10.5796, abs=2e-4)
    assert mass.std() == pytest.approx(0.0054, rel=0.03)
    assert mass.min() > 2 * MASS


def test_pairs_have_the_momentum_of_the_upsilon_and_the_mass_of_b_mesons(pairs: BPairs) -> None:
    np.testing.assert_allclose(pairs.b_gev.sum(axis=1), pairs.upsilon_gev, atol=1e-12)
    np.testing.assert_allclose(mass_of(pairs.b_gev), MASS, atol=1e-9)


def test_b_mesons_follow_sin_squared_about_the_beams(pairs: BPairs) -> None:
    mass = mass_of(pairs.upsilon_gev)
    electron = np.broadcast_to(beam_momenta()[0], (N, 4))
    axis, b = (boost(p, pairs.upsilon_gev, mass, into=True)[:, :3] for p in (electron, pairs.b_gev[:, 0]))
    cosine = (axis * b).sum(axis=1) / np.linalg.norm(axis, axis=1) / np.linalg.norm(b, axis=1)
    edges = np.linspace(-1, 1, 21)
    expected = N * np.diff((2 + 3 * edges - edges**3) / 4)
    chi2 = float(((np.histogram(cosine, edges)[0] - expected) ** 2 / expected).sum())
    assert chi2 < 45.3  # 20 bins: one in a thousand is above
    flat = N / 20
    assert float(((np.histogram(cosine, edges)[0] - flat) ** 2 / flat).sum()) > 1000  # the test can fail


def test_proper_times_are_exponential(pairs: BPairs) -> None:
    assert pairs.tau_mm.mean() == pytest.approx(TAU0, rel=0.02)
    assert pairs.tau_mm.std() == pytest.approx(TAU0, rel=0.03)
    assert np.corrcoef(pairs.tau_mm.T)[0, 1] == pytest.approx(0.0, abs=0.03)


def test_neutral_pairs_mix_coherently(pairs: BPairs) -> None:
    mixed = pairs.pdg[:, 0] == pairs.pdg[:, 1]
    assert mixed.mean() == pytest.approx(X_D**2 / 2 / (1 + X_D**2), abs=0.01)
    # Equal flavours never at equal times: an incoherent pair would give 19 % there as well.
    difference = np.abs(pairs.tau_mm[:, 0] - pairs.tau_mm[:, 1]) / TAU0
    assert mixed[difference < 0.3].mean() < 0.03
    assert mixed[(difference > 3.7) & (difference < 4.5)].mean() > 0.85  # half a turn: x_d t = pi
    assert set(pairs.pdg[mixed][:, 0].tolist()) == {511, -511}


def test_charged_pairs_do_not_mix() -> None:
    pairs = sample_b_pairs(521, MASS, TAU0, (3, 0, 0, np.arange(1, 1001)))
    assert (pairs.pdg == [521, -521]).all()


def test_an_event_has_its_pair_whatever_the_others(pairs: BPairs) -> None:
    alone = sample_b_pairs(511, MASS, TAU0, (3, 0, 0, np.array([4711])))
    np.testing.assert_array_equal(alone.b_gev[0], pairs.b_gev[4710])
    np.testing.assert_array_equal(alone.tau_mm[0], pairs.tau_mm[4710])


def test_a_threshold_above_the_beams_is_an_error() -> None:
    with pytest.raises(GenerationError, match="below the threshold of 11"):
        sample_b_pairs(511, 5.5, TAU0, (3, 0, 0, np.arange(1, 10)))


def test_a_boost_and_its_inverse_are_the_identity(pairs: BPairs) -> None:
    mass = mass_of(pairs.upsilon_gev)
    p = pairs.b_gev[:, 0]
    back = boost(boost(p, pairs.upsilon_gev, mass, into=True), pairs.upsilon_gev, mass, into=False)
    np.testing.assert_allclose(back, p, atol=1e-12)
