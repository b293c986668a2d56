"""Observables of whole events."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smartbkg.detector import DetectorConfig, RecoBatch, simulate
from smartbkg.skim import observables
from support.events import Particle, event_batch
from support.generated import reconstructed

CERTAIN = replace(DetectorConfig(), track_efficiency=1.0)


def pion(px: float, py: float, pz: float, charge: int = 1) -> Particle:
    return Particle(211 * charge, -1, 3, 0.13957, charge, float(np.sqrt(px**2 + py**2 + pz**2 + 0.0195)), px, py, pz)


def test_there_are_enough_of_them_for_a_bias_plot():
    values = observables(reconstructed("mixed", 200))
    assert len(values) >= 24
    assert all(value.dtype == np.float32 and value.shape == (200,) for value in values.values())
    assert all(np.isfinite(value).all() for value in values.values())


def test_they_do_not_depend_on_the_batch():
    reco = reconstructed("mixed", 200)
    together = observables(reco)
    for i in range(0, 200, 7):
        alone = observables(reco[i : i + 1])
        assert {name: value[0] for name, value in alone.items()} == {name: value[i] for name, value in together.items()}


def test_tracks_are_counted_with_their_charge_and_momentum():
    reco = simulate(event_batch([[pion(1, 0, 0.3), pion(0, 1, 0.3), pion(-1, 0, 0.3, -1)], []]), CERTAIN, 1)
    values = observables(reco)
    assert values["n_tracks"].tolist() == [3, 0]
    assert values["total_charge"].tolist() == [1, 0]
    assert values["track_p_max_gev"][0] == pytest.approx(1.0, abs=0.1)


def test_an_empty_event_misses_everything():
    values = observables(simulate(event_batch([[]]), CERTAIN, 1))
    assert values["missing_energy_gev"][0] == pytest.approx(10.58, abs=0.01)
    assert values["thrust"][0] == values["r2"][0] == values["visible_energy_gev"][0] == 0


def test_no_events_give_no_values():
    assert {len(value) for value in observables(RecoBatch.concat([])).values()} == {0}


def test_prongs_are_counted_on_both_sides_of_the_thrust_axis():
    event = [pion(2, 0.1, 0.6), pion(2, -0.1, 0.6), pion(2, 0.3, 0.6, -1), pion(-4, 0, 0.6, -1)]
    values = observables(simulate(event_batch([event]), CERTAIN, 1))
    assert (values["prongs_fewer"][0], values["prongs_more"][0]) == (1, 3)


def test_b_pairs_are_rounder_than_light_quarks():
    b_pairs, light = (observables(reconstructed(kind, 600)) for kind in ("mixed", "uubar"))
    assert b_pairs["r2"].mean() < 0.2 < light["r2"].mean()
    assert b_pairs["thrust"].mean() < 0.75 < light["thrust"].mean()
    assert b_pairs["sphericity"].mean() > 2 * light["sphericity"].mean()
