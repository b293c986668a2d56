"""The collision frame."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.skim.frame import COLLISION_GEV, TOTAL_PX_GEV, TOTAL_PZ_GEV, to_collision_frame


def test_the_collision_has_the_energy_of_the_upsilon():
    assert pytest.approx(10.5796, abs=1e-4) == COLLISION_GEV


def test_the_whole_collision_is_at_rest():
    total = np.array([[TOTAL_PX_GEV], [0.0], [TOTAL_PZ_GEV]])
    assert to_collision_frame(total, COLLISION_GEV)[:, 0] == pytest.approx([COLLISION_GEV, 0, 0, 0], abs=1e-9)


def test_masses_stay():
    momentum = np.random.default_rng(1).normal(0, 1, (3, 50))
    energy, px, py, pz = to_collision_frame(momentum, 0.5)
    assert np.sqrt(energy**2 - px**2 - py**2 - pz**2) == pytest.approx(np.full(50, 0.5))
