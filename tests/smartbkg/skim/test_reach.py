"""What a partial combination can still become."""

from __future__ import annotations

import math

import numpy as np
import pytest

from smartbkg.skim.candidates import Candidates
from smartbkg.skim.cuts import Cut
from smartbkg.skim.frame import BEAM_GEV
from smartbkg.skim.reach import Reach


def one_each(mass: float, momenta: list[float]) -> Candidates:
    """One candidate an event, along x."""
    n = len(momenta)
    p = np.array(momenta)
    momentum = np.stack([np.sqrt(p**2 + mass**2), p, np.zeros(n), np.zeros(n)])
    none = np.zeros(n, np.uint64)
    return Candidates(n, mass, 2 * np.arange(n), momentum, none, none, np.zeros(n, np.int16))


def test_the_tightest_of_several_cuts_counts():
    reach = Reach.of(
        (Cut("mass_gev", 1.0, 2.0), Cut("mass_gev", high=1.9), Cut("p_gev", low=0.5), Cut("p_gev", 0.3, 4))
    )
    assert (reach.mass_high, reach.p_low, reach.p_high) == (1.9, 0.5, 4)


def test_a_cut_on_mbc_limits_the_momentum_and_one_on_delta_e_the_energy():
    reach = Reach.of((Cut("mbc_gev", low=5.2), Cut("delta_e_gev", -0.2, 0.3)))
    assert reach.p_high == pytest.approx(math.sqrt(BEAM_GEV**2 - 5.2**2))
    assert (reach.energy_low, reach.energy_high) == pytest.approx((BEAM_GEV - 0.2, BEAM_GEV + 0.3))


def test_what_the_rest_cannot_lift_to_the_energy_is_hopeless():
    rest = one_each(0.14, [0.5, 2.0, 2.6])
    momentum = np.array([[2.5, 2.0, 0.0, 0.0]] * 3).T
    reach = Reach(energy_low=5.0)
    assert reach.possible(momentum, [(rest, rest.group)]).tolist() == [False, False, True]


def test_at_the_limit_itself_nothing_is_dropped():
    rest = one_each(0.0, [0.5])
    momentum = np.array([[1.5, 1.5, 0.0, 0.0]]).T
    for reach in (Reach(energy_low=2.0), Reach(p_low=2.0), Reach(p_high=1.0), Reach(energy_high=1.5)):
        assert reach.possible(momentum, [(rest, rest.group)]).all()
    for reach in (Reach(energy_low=2.01), Reach(p_low=2.01), Reach(p_high=0.99), Reach(energy_high=1.49)):
        assert not reach.possible(momentum, [(rest, rest.group)]).any()


def test_an_event_without_a_daughter_brings_nothing():
    rest = one_each(0.0, [0.5]).take(np.array([False]))
    momentum = np.array([[1.5, 1.5, 0.0, 0.0]]).T
    assert not Reach(energy_low=1.6).possible(momentum, [(rest, np.array([0]))]).any()


def test_without_limits_everything_is_possible():
    rest = one_each(0.14, [0.5, 2.0])
    assert Reach().possible(np.ones((4, 2)), [(rest, rest.group)]).all()
