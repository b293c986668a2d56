"""Belle II's decay table in Pythia."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from smartbkg.errors import GenerationError, MissingExtra
from smartbkg.events import EventBatch, MCStatus
from smartbkg.generate import GenerateConfig
from smartbkg.generate.belle2_decays import MOTHERS, Channel, load_belle2_decays, read_belle2_table
from smartbkg.generate.pythia import PythiaSource


def test_the_table_holds_every_mother_with_most_of_her_width() -> None:
    table = read_belle2_table()
    assert set(table) == set(MOTHERS)
    assert sum(map(len, table.values())) > 3000
    assert all(0.8 < sum(c.fraction for c in channels) < 1.2 for channels in table.values())


def test_semileptonic_channels_have_pythias_order_and_mode() -> None:
    table = read_belle2_table()
    assert Channel(0.0511, 22, (12, -11, -413)) in table[511]  # B0 -> D*- e+ nu: neutrino first
    mesons = [c for c in table[421] if {-11, 12} <= set(c.products)]
    assert all(c.products[:2] == (-11, 12) for c in mesons if c.mode == 22)  # D0 -> K- e+ nu: lepton first
    assert any(c.products == (-11, 12, -321) and c.mode == 22 for c in mesons)


def test_fragmentation_and_inclusive_channels_become_quarks() -> None:
    table = read_belle2_table()
    assert any(c.mode in {23, 43} and c.products == (2, -1, -4, 1) for c in table[511])
    assert any(c.mode == 12 and c.products == (-3, 1, -13, 13) for c in table[511])  # b -> s mu mu
    assert any(c.mode == 31 and c.products == (-3, 2, 22) for c in table[521])  # b -> s gamma


def test_charge_is_conserved_in_every_channel() -> None:
    data = PythiaSource(GenerateConfig("mixed", 1, 1)).pythia.particleData
    for mother, channels in read_belle2_table().items():
        for channel in channels:
            known = channel.products and all(data.isParticle(code) for code in channel.products)
            if known and not {82, -82} & set(channel.products):
                total = sum(data.chargeType(code) for code in channel.products)
                assert total == data.chargeType(mother), (mother, channel)


def test_little_is_lost_and_it_is_said() -> None:
    summary = PythiaSource(GenerateConfig("mixed", 1, 1, decays="belle2")).decays
    assert summary["table"] == "DECAY_BELLE2.DEC"
    assert summary["channels"] > 3000
    assert summary["mothers"] == len(MOTHERS)
    assert summary["lost_fraction"]["511"] < 0.001
    assert max(summary["lost_fraction"].values()) < 0.05


def test_losing_much_of_a_mother_is_an_error() -> None:
    pythia = PythiaSource(GenerateConfig("mixed", 1, 1)).pythia
    known, unknown = Channel(0.5, 0, (211, -211)), Channel(0.5, 0, ())
    assert load_belle2_decays(pythia, {511: [known]}).lost == {}
    with pytest.raises(GenerationError, match="50% of the decays of 511"):
        load_belle2_decays(pythia, {511: [known, unknown]})


def test_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "decaylanguage", None)
    with pytest.raises(MissingExtra, match=r"decaylanguage.*smartbkg\[generate\]"):
        read_belle2_table.__wrapped__()


def test_b_mesons_decay_as_the_table_says(sample: Callable[..., EventBatch]) -> None:
    batch = sample("mixed", "belle2")
    p = batch.particles
    mothers = np.where(p.mother < 0, 0, p.mother + batch.offsets[batch.event_index])
    from_b = (np.abs(p.pdg[mothers]) == 511) & (p.mother >= 0)
    table = read_belle2_table()[511]
    n = 2 * len(batch)
    for lepton in (11, 13):
        expected = n * sum(c.fraction for c in table if lepton in np.abs(c.products)) / sum(c.fraction for c in table)
        found = int((np.abs(p.pdg[from_b]) == lepton).sum())
        assert abs(found - expected) < 4 * np.sqrt(expected)
    stable = (p.status & MCStatus.STABLE) > 0
    for axis in ("px_gev", "py_gev", "pz_gev", "energy_gev"):
        values = getattr(p, axis).astype(np.float64)
        roots = values[batch.offsets[:-1]]
        np.testing.assert_allclose(np.bincount(batch.event_index, weights=values * stable), roots, atol=2e-5)
