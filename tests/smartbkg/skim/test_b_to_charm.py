"""Single decays of a B to charm."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.skim import get_skim
from support.decays import b_events

SIGNAL = {
    "BtoD0h_Kspi0": [("B+", ("anti-D0", ("K_S0", "pi+", "pi-"), "pi0"), "pi+")],
    "B0toDpi_Kpipi": [("B0", ("D-", "K+", "pi-", "pi-"), "pi+")],
    "B0toDrho_Kpipi": [("B0", ("D-", "K+", "pi-", "pi-"), ("rho+", "pi+", "pi0"))],
    "BtoD0h_hh": [("B+", ("anti-D0", "K+", "K-"), "K+"), ("B+", ("anti-D0", "pi+", "pi-"), "pi+")],
    "BtoD0h_Kpi": [("B+", ("anti-D0", "K+", "pi-"), "pi+"), ("B+", ("anti-D0", "K+", "pi-"), "K+")],
    "BtoD0h_Kpipipi_Kpipi0": [
        ("B+", ("anti-D0", "K+", "pi-", "pi+", "pi-"), "pi+"),
        ("B+", ("anti-D0", "K+", "pi-", "pi0"), "K+"),
    ],
    "BtoD0h_Kshh": [("B+", ("anti-D0", ("K_S0", "pi+", "pi-"), "pi+", "pi-"), "pi+")],
    "BtoD0rho_Kpi": [("B+", ("anti-D0", "K+", "pi-"), ("rho+", "pi+", "pi0"))],
    "BtoD0rho_Kpipipi_Kpipi0": [("B+", ("anti-D0", "K+", "pi-", "pi+", "pi-"), ("rho+", "pi+", "pi0"))],
    "B0toDD_Kpipi_Kspi": [
        ("B0", ("D-", "K+", "pi-", "pi-"), ("D+", "K-", "pi+", "pi+")),
        ("B0", ("D-", "K+", "pi-", "pi-"), ("D+", ("K_S0", "pi+", "pi-"), "pi+")),
    ],
}
CASES = [(name, decay) for name, decays in SIGNAL.items() for decay in decays]


@pytest.mark.parametrize("anti", [False, True])
@pytest.mark.parametrize(("name", "decay"), CASES, ids=str)
def test_its_own_decay_passes_with_either_flavour(name, decay, anti):
    result = get_skim(name).apply(b_events(decay, anti=anti))
    assert result.passed.mean() > 0.25
    assert np.nanmedian(result.variables["mbc_gev"]) == pytest.approx(5.279, abs=0.01)
