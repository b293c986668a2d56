"""Hadronic and semileptonic tags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smartbkg.detector import DetectorConfig, simulate
from smartbkg.skim import get_skim
from smartbkg.skim.frame import COLLISION_GEV, TOTAL_ENERGY_GEV, TOTAL_PX_GEV, TOTAL_PZ_GEV
from support.decays import b_events
from support.events import Particle, event_batch
from support.generated import generated, reconstructed

SKIM = get_skim("feiHadronic")
CODES = {"pi": (211, 0.13957), "K": (321, 0.493677)}


def test_a_few_per_cent_of_b_pairs_pass():
    for kind in ("mixed", "charged"):
        assert 0.02 < SKIM.apply(reconstructed(kind, 6000)).passed.mean() < 0.06


def test_much_less_of_the_continuum_passes():
    b_pairs = SKIM.apply(reconstructed("mixed", 6000)).passed.mean()
    assert SKIM.apply(reconstructed("uubar", 3000)).passed.mean() < 0.4 * b_pairs
    assert SKIM.apply(reconstructed("taupair", 1000)).passed.mean() == 0


def test_the_best_candidate_lies_in_the_users_window():
    result = SKIM.apply(reconstructed("mixed", 6000))
    mbc, delta_e = (result.variables[name][result.passed] for name in ("mbc_gev", "delta_e_gev"))
    assert (mbc.min() >= 5.24, np.abs(delta_e).max() <= 0.2) == (True, True)
    assert np.isnan(result.variables["mbc_gev"][~result.passed]).all()
    assert np.median(np.abs(delta_e)) < 0.08


def test_passing_follows_from_the_decay_more_than_from_chance():
    """An event that passes once passes again under another seed far more often than others."""
    events = generated("mixed", 6000)
    first = SKIM.apply(reconstructed("mixed", 6000)).passed
    again = SKIM.apply(simulate(events, DetectorConfig(), 2)).passed
    assert again[first].mean() > 0.35
    assert again[~first].mean() < 0.03


def tag_event(sign: int) -> list[Particle]:
    """B0 -> D- pi+, D- -> K+ pi- pi-, against a B whose five pions do not add up to anything; or the antiparticles."""
    total = np.array([TOTAL_ENERGY_GEV, TOTAL_PX_GEV, 0.0, TOTAL_PZ_GEV])
    b_p = np.sqrt((COLLISION_GEV / 2) ** 2 - 5.27966**2)
    b = boosted(np.array([COLLISION_GEV / 2, 0.0, b_p, 0.0]), total)
    d, fast = two_body(b, 5.27966, 1.86966, 0.13957, np.array([0.6, 0.0, 0.8]))
    kaon_pi, slow_a = two_body(d, 1.86966, 1.2, 0.13957, np.array([0.0, 1.0, 0.0]))
    kaon, slow_b = two_body(kaon_pi, 1.2, 0.493677, 0.13957, np.array([1.0, 0.0, 0.0]))
    other = [
        ("pi", 1, 0.4, 0.3, 0.2),
        ("pi", -1, -0.5, 0.2, 0.3),
        ("pi", 1, -0.2, -0.9, 0.1),
        ("pi", -1, 0.3, -0.5, 0.6),
    ]
    signal = [("K", 1, *kaon[1:]), ("pi", -1, *slow_a[1:]), ("pi", -1, *slow_b[1:]), ("pi", 1, *fast[1:])]
    return [stable(name, sign * charge, *p) for name, charge, *p in (*signal, *other)]


def stable(name: str, charge: int, *p: float) -> Particle:
    code, mass = CODES[name]
    return Particle(code * charge, -1, 3, mass, charge, float(np.sqrt(mass**2 + np.dot(p, p))), *map(float, p))


def two_body(
    mother: np.ndarray, m: float, m1: float, m2: float, direction: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    p = np.sqrt((m**2 - (m1 + m2) ** 2) * (m**2 - (m1 - m2) ** 2)) / (2 * m) * direction
    return tuple(boosted(np.array([np.sqrt(q @ q + mass**2), *q]), mother) for q, mass in ((p, m1), (-p, m2)))


def boosted(p: np.ndarray, frame: np.ndarray) -> np.ndarray:
    mass = np.sqrt(frame[0] ** 2 - frame[1:] @ frame[1:])
    u, gamma = frame[1:] / mass, frame[0] / mass
    along = p[1:] @ u
    return np.array([gamma * p[0] + along, *(p[1:] + u * (along / (gamma + 1) + p[0]))])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_b_meson_put_together_by_hand_is_found_as_is_its_antiparticle(sign):
    perfect = replace(DetectorConfig(), track_efficiency=1.0, punch_through=0.0, ring_missing=0.0)
    skim = replace(SKIM, cuts=())  # the other B of this event is not complete
    result = skim.apply(simulate(event_batch([tag_event(sign)] * 60), perfect, 1))
    found = result.passed & (np.abs(result.variables["delta_e_gev"]) < 0.06)
    assert found.mean() > 0.6  # mass window and identification take the rest
    assert np.median(result.variables["mbc_gev"][found]) == pytest.approx(5.28, abs=0.01)
    assert set(result.variables["target"][found]) == {1}


D_MINUS, ANTI_D0 = ("D-", "K+", "pi-", "pi-"), ("anti-D0", "K+", "pi-")
SEMILEPTONIC = [
    ("B0", D_MINUS, "e+", "nu"),
    ("B0", D_MINUS, "mu+", "nu"),
    ("B0", ("D*-", ANTI_D0, "pi-"), "mu+", "nu"),
    ("B+", ANTI_D0, "e+", "nu"),
    ("B+", ("anti-D*0", ANTI_D0, "pi0"), "mu+", "nu"),
]


@pytest.mark.parametrize("anti", [False, True])
@pytest.mark.parametrize("decay", SEMILEPTONIC, ids=str)
def test_a_semileptonic_decay_passes_with_either_flavour(decay, anti):
    assert get_skim("feiSL").apply(b_events(decay, anti=anti)).passed.mean() > 0.2


@pytest.mark.parametrize("decay", [("B0", D_MINUS, "e-", "nu"), ("B0", D_MINUS, "pi+", "pi0")], ids=str)
def test_a_lepton_of_the_wrong_charge_and_a_hadron_do_not_pass(decay):
    assert get_skim("feiSL").apply(b_events(decay)).passed.mean() < 0.1


def test_semileptonic_tags_are_of_b_mesons():
    rates = {
        kind: get_skim("feiSL").apply(reconstructed(kind, n)).passed.mean()
        for kind, n in (("mixed", 6000), ("uubar", 3000))
    }
    assert 0.03 < rates["mixed"] < 0.1
    assert rates["uubar"] < 0.005
