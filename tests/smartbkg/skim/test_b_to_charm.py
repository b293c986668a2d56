"""Single decays of a B to charm."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.skim import get_skim
from support.decays import b_events
from support.generated import reconstructed

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


WRONG = [
    ("BtoD0h_Kpi", ("B+", ("anti-D0", "K-", "pi+"), "pi+")),
    ("BtoD0h_Kpi", ("B+", ("anti-D0", "K+", "pi-", "pi0"), "pi+")),
    ("BtoD0h_hh", ("B+", ("anti-D0", "K+", "pi-"), "pi+")),
    ("B0toDpi_Kpipi", ("B0", ("D-", "K-", "pi+", "pi-"), "pi+")),
    ("B0toDD_Kpipi_Kspi", ("B0", ("D-", "K+", "pi-", "pi-"), "pi+")),
    ("BtoD0rho_Kpi", ("B+", ("anti-D0", "K+", "pi-"), "pi+")),
]


@pytest.mark.parametrize(("name", "decay"), WRONG, ids=str)
def test_another_decay_hardly_passes(name, decay):
    assert get_skim(name).apply(b_events(decay)).passed.mean() < 0.1


@pytest.mark.parametrize("name", SIGNAL)
def test_candidates_lie_in_the_window(name):
    result = get_skim(name).apply(b_events(SIGNAL[name][0]))
    mbc, delta_e = (result.variables[variable][result.passed] for variable in ("mbc_gev", "delta_e_gev"))
    assert mbc.min() >= 5.2
    assert np.abs(delta_e).max() <= (0.3 if "rho" in name else 0.5)


def test_few_generic_events_pass():
    for name in SIGNAL:
        assert get_skim(name).apply(reconstructed("mixed", 6000)).passed.mean() < 0.01
