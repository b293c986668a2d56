"""Cuts as data."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.errors import UnknownName
from smartbkg.skim.cuts import Cut, passes

VALUES = {"mass_gev": np.array([1.0, 2.0, 3.0, np.nan]), "p_gev": np.array([5.0, 5.0, 0.0, 5.0])}


def test_both_limits_belong_to_the_window():
    assert passes([Cut("mass_gev", 1.0, 2.0)], VALUES, 4).tolist() == [True, True, False, False]


def test_all_cuts_must_hold():
    assert passes([Cut("mass_gev", low=1.0), Cut("p_gev", low=1.0)], VALUES, 4).tolist() == [True, True, False, False]


def test_no_cuts_keep_everything():
    assert passes([], VALUES, 4).all()


def test_an_unknown_variable_is_named_with_what_is_near():
    with pytest.raises(UnknownName, match="unknown variable 'mas_gev'; near: mass_gev"):
        passes([Cut("mas_gev", 0, 1)], VALUES, 4)


def test_a_window_upside_down_is_refused():
    with pytest.raises(ValueError, match="cut on mass_gev keeps nothing"):
        Cut("mass_gev", 2.0, 1.0)
