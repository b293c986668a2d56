"""Physics of generated events."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from smartbkg.events import EVENT_TYPES, EventBatch, MCStatus
from smartbkg.generate import GenerateConfig
from smartbkg.generate.history import Record
from smartbkg.generate.pythia import PythiaSource, _conserved

Sample = Callable[..., EventBatch]
LONG_LIVED = {11, 12, 13, 14, 16, 22, 130, 211, 321, 2112, 2212}
QUARK = {"ddbar": 1, "uubar": 2, "ssbar": 3, "ccbar": 4, "taupair": 15}


def has(batch: EventBatch, bit: MCStatus) -> NDArray[np.bool_]:
    return np.asarray((batch.particles.status & bit) > 0)


def momenta(batch: EventBatch) -> NDArray[np.float64]:
    p = batch.particles
    return np.stack([p.px_gev, p.py_gev, p.pz_gev, p.energy_gev], axis=1).astype(np.float64)


def sums(batch: EventBatch, values: NDArray[np.float64], chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.bincount(batch.event_index, weights=values * chosen, minlength=len(batch))


def mother_rows(batch: EventBatch) -> NDArray[np.int64]:
    """Row in the batch of each particle's mother, -1 for none."""
    p = batch.particles
    return np.where(p.mother < 0, -1, p.mother + batch.offsets[batch.event_index])


def mass_of(p: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sqrt(np.maximum(p[:, 3] ** 2 - (p[:, :3] ** 2).sum(axis=1), 0.0)))


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_charge_and_four_momentum_are_conserved(sample: Sample, event_type: str) -> None:
    batch = sample(event_type)
    stable, first = has(batch, MCStatus.STABLE), momenta(batch)
    roots = has(batch, MCStatus.INITIAL) | (batch.particles.pdg == 300553)
    np.testing.assert_array_equal(np.round(sums(batch, batch.particles.charge, stable), 3), 0)
    for axis in range(4):
        found, wanted = sums(batch, first[:, axis], stable), sums(batch, first[:, axis], roots)
        np.testing.assert_allclose(found, wanted, atol=2e-5)  # float32 of some 20 particles


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_a_mother_comes_before_her_daughters(sample: Sample, event_type: str) -> None:
    batch = sample(event_type)
    own = np.arange(len(batch.particles)) - batch.offsets[batch.event_index]
    assert (batch.particles.mother < own).all()
    roots = np.bincount(batch.event_index, weights=batch.particles.mother < 0)
    assert (roots == (1 if event_type in {"mixed", "charged"} else 2)).all()


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_daughters_carry_the_momentum_of_their_mother(sample: Sample, event_type: str) -> None:
    batch = sample(event_type)
    p, mothers = momenta(batch), mother_rows(batch)
    total = np.stack(
        [np.bincount(mothers[mothers >= 0], weights=p[mothers >= 0, a], minlength=len(p)) for a in range(4)], axis=1
    )
    # Quarks and gluons take recoils from each other; so do not look at them, nor at quarkonia made of gluons.
    parton = np.isin(np.abs(batch.particles.pdg), (1, 2, 3, 4, 21, 22))
    above_partons = np.bincount(mothers[parton & (mothers >= 0) & (batch.particles.pdg != 22)], minlength=len(p)) > 0
    decayed = ~has(batch, MCStatus.STABLE) & ~has(batch, MCStatus.INITIAL) & ~parton & ~above_partons
    assert decayed.sum() > 1000
    np.testing.assert_allclose(total[decayed], p[decayed], atol=1e-4)


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_what_lives_long_stays_and_everything_else_decays(sample: Sample, event_type: str) -> None:
    batch = sample(event_type)
    stable = np.unique(np.abs(batch.particles.pdg[has(batch, MCStatus.STABLE)]))
    assert set(stable.tolist()) <= LONG_LIVED
    gone = np.unique(np.abs(batch.particles.pdg[~has(batch, MCStatus.STABLE)]))
    assert not set(gone.tolist()) & (LONG_LIVED - {11, 22})  # but the beams, and photons that become a pair
    if event_type != "taupair":
        assert {111, 310, 3122} <= set(gone.tolist())


@pytest.mark.parametrize("event_type", EVENT_TYPES)
def test_no_particle_is_listed_twice(sample: Sample, event_type: str) -> None:
    batch = sample(event_type)
    mothers, pdg = mother_rows(batch), batch.particles.pdg
    # Only gluons, and photons that became a radiating pair, have daughters like themselves; others would be copies.
    may = (pdg == 21) | has(batch, MCStatus.FSR_PHOTON)
    assert not ((mothers >= 0) & (pdg[mothers] == pdg) & ~may).any()


@pytest.mark.parametrize("event_type", sorted(QUARK))
def test_continuum_histories_begin_with_beams_photon_and_fermions(sample: Sample, event_type: str) -> None:
    batch = sample(event_type)
    pdg, start = batch.particles.pdg, batch.offsets[:-1]
    assert (pdg[start] == 11).all()
    assert (pdg[start + 1] == -11).all()
    assert (has(batch, MCStatus.INITIAL)[start]).all()
    virtual = np.flatnonzero(has(batch, MCStatus.VIRTUAL))
    assert len(virtual) == len(batch)
    daughters = np.isin(mother_rows(batch), virtual) & ~has(batch, MCStatus.FSR_PHOTON)
    assert set(pdg[daughters].tolist()) == {QUARK[event_type], -QUARK[event_type]}
    assert daughters.sum() == 2 * len(batch)


def test_radiated_photons_carry_what_the_virtual_photon_lacks(sample: Sample) -> None:
    batch = sample("uubar")
    p = momenta(batch)
    isr, virtual = has(batch, MCStatus.ISR_PHOTON), has(batch, MCStatus.VIRTUAL)
    assert (batch.particles.pdg[isr] == 22).all()
    assert set(batch.particles.mother[isr].tolist()) <= {0, 1}
    beams = sums(batch, p[:, 3], has(batch, MCStatus.INITIAL))
    whole = sums(batch, np.ones(len(isr)), isr & ~has(batch, MCStatus.STABLE)) == 0  # no photon became a pair
    assert whole.mean() > 0.99
    np.testing.assert_allclose(sums(batch, p[:, 3], isr | virtual)[whole], beams[whole], atol=1e-5)
    hard = mass_of(p[virtual]) < 10.0
    assert 0.1 < hard.mean() < 0.4  # radiative return


def test_final_state_photons_are_sisters_of_what_radiates(sample: Sample) -> None:
    batch = sample("taupair")
    fsr = has(batch, MCStatus.FSR_PHOTON)
    assert fsr.any()
    assert has(batch, MCStatus.VIRTUAL)[mother_rows(batch)[fsr]].all()


@pytest.mark.parametrize(("event_type", "meson"), [("mixed", 511), ("charged", 521)])
def test_b_pairs_have_the_right_momentum_and_energy(sample: Sample, event_type: str, meson: int) -> None:
    batch = sample(event_type)
    start = batch.offsets[:-1]
    pdg, p = batch.particles.pdg, momenta(batch)
    assert (pdg[start] == 300553).all()
    assert (np.abs(pdg[start + 1]) == meson).all()
    upsilon, b = p[start], p[start + 1]
    mass = mass_of(upsilon)
    assert mass.mean() == pytest.approx(10.5796, abs=5e-4)
    energy = (b[:, 3] * upsilon[:, 3] - (b[:, :3] * upsilon[:, :3]).sum(axis=1)) / mass
    momentum = np.sqrt(energy**2 - batch.particles.mass_gev[start + 1] ** 2)
    # 5.4 MeV of energy spread move p* by 43 MeV, event by event.
    assert momentum.mean() == pytest.approx({511: 0.325, 521: 0.330}[meson], abs=0.005)


@pytest.mark.parametrize(("event_type", "meson", "c_tau_mm"), [("mixed", 511, 0.4587), ("charged", 521, 0.4911)])
def test_b_mesons_decay_after_their_lifetime(sample: Sample, event_type: str, meson: int, c_tau_mm: float) -> None:
    batch = sample(event_type)
    q, mothers = batch.particles, mother_rows(batch)
    daughters = np.flatnonzero((mothers >= 0) & (np.abs(q.pdg[mothers]) == meson))
    b, first = np.unique(mothers[daughters], return_index=True)
    daughter = daughters[first]
    assert len(b) == 2 * len(batch)
    proper_mm = q.time_ns[daughter] * 299.792458 / q.energy_gev[b] * q.mass_gev[b]
    assert proper_mm.mean() == pytest.approx(c_tau_mm, rel=0.06)
    flight_cm = np.sqrt(q.x_cm[daughter] ** 2 + q.y_cm[daughter] ** 2 + q.z_cm[daughter] ** 2)
    speed = np.sqrt(q.px_gev[b] ** 2 + q.py_gev[b] ** 2 + q.pz_gev[b] ** 2) / q.energy_gev[b]
    np.testing.assert_allclose(flight_cm, speed * q.time_ns[daughter] * 29.9792458, atol=1e-5)
    assert (q.x_cm[b] == 0).all()


@pytest.mark.parametrize("decays", ["pythia", "belle2"])
def test_b_pairs_have_ten_to_eleven_charged_particles(sample: Sample, decays: str) -> None:
    means = []
    for event_type in ("mixed", "charged"):
        batch = sample(event_type, decays)
        charged = has(batch, MCStatus.STABLE) & np.isin(np.abs(batch.particles.pdg), (11, 13, 211, 321, 2212))
        means.append(sums(batch, np.ones(len(charged)), charged).mean())
    assert 10.5 < np.mean(means) < 11.0
    assert min(means) > 10.3
    assert max(means) < 11.3


def test_same_block_in_any_order_is_the_same() -> None:
    config = GenerateConfig("ccbar", 1, seed=5)
    once, other = PythiaSource(config), PythiaSource(config)
    other.block(7)
    assert once.block(2).to_table().equals(other.block(2).to_table())


@pytest.mark.parametrize("event_type", ["taupair", "charged"])
def test_blocks_and_seeds_differ(event_type: str) -> None:
    source = PythiaSource(GenerateConfig(event_type, 1, seed=5))
    again = PythiaSource(GenerateConfig(event_type, 1, seed=6))
    energies = [batch.particles.energy_gev for batch in (source.block(0), source.block(1), again.block(0))]
    stable = [set(e.tolist()) for e in energies]
    # float32 energies of 10,000 particles meet by chance now and then; whole events would share thousands.
    assert all(len(stable[a] & stable[b]) < 0.05 * len(stable[a]) for a, b in ((0, 1), (0, 2), (1, 2)))


@pytest.mark.parametrize(
    ("event_type", "asked", "used"),
    [("taupair", "auto", 0), ("taupair", "correlated", 1), ("mixed", "auto", 1), ("mixed", "fast", 0)],
)
def test_taus_decay_fast_in_pairs_and_correlated_elsewhere(event_type: str, asked: str, used: int) -> None:
    config = GenerateConfig(event_type, 1, seed=11, tau_decays=asked)
    assert PythiaSource(config).pythia.settings.mode("TauDecays:mode") == used
    assert config.to_json()["tau_decays"] == ["fast", "correlated"][used]


def test_an_event_that_lost_a_particle_is_noticed() -> None:
    status = np.array([MCStatus.PRIMARY, MCStatus.PRIMARY | MCStatus.STABLE, MCStatus.PRIMARY | MCStatus.STABLE] * 2)
    event, n = np.repeat([0, 1], 3), 6
    momentum = np.tile([[0.0, 0.0, 0.0, 2.0], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, -1.0, 1.0]], (2, 1))
    zeros, pdg = np.zeros(n, np.int64), np.array([300553, 22, 22] * 2)
    record = Record(event, pdg, zeros, zeros, zeros, momentum, np.zeros(n), np.zeros((n, 4)))
    assert _conserved(record, np.arange(n), status, event)
    all_but_last = np.arange(n - 1)
    assert not _conserved(record, all_but_last, status[:-1], event[:-1])
