"""Charmless decays to hadrons."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.skim import get_skim
from support.decays import b_events

K_SHORT = ("K_S0", "pi+", "pi-")
SIGNAL = {
    "BtoPi0Pi0": [("B0", "pi0", "pi0")],
    "BtoHadTracks": [
        ("B0", "K+", "pi-"),
        ("B0", "pi+", "pi-"),
        ("B+", K_SHORT, "pi+"),
        ("B+", "K+", "pi+", "pi-"),
        ("B+", "K+", "K+", "K-"),
        ("B0", K_SHORT, "K+", "pi-"),
    ],
    "BtoHad1Pi0": [("B+", "K+", "pi0"), ("B0", K_SHORT, "pi0"), ("B0", ("rho+", "pi+", "pi0"), "pi-")],
}
CASES = [(name, decay) for name, decays in SIGNAL.items() for decay in decays]


@pytest.mark.parametrize("anti", [False, True])
@pytest.mark.parametrize(("name", "decay"), CASES, ids=str)
def test_its_own_decay_passes_with_either_flavour(name, decay, anti):
    result = get_skim(name).apply(b_events(decay, anti=anti))
    assert result.passed.mean() > 0.2
    assert np.nanmedian(np.abs(result.variables["delta_e_gev"])) < (0.2 if name == "BtoPi0Pi0" else 0.1)
