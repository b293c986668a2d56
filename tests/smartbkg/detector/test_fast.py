"""The fast simulation of batches: independent of the batch, complete, carrying what came along."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from smartbkg.detector import Detector, DetectorConfig, FastDetector, RecoBatch, simulate
from smartbkg.errors import BadEvent
from smartbkg.events import EventBatch
from support.events import Particle, event_batch

CONFIG = DetectorConfig()


def test_an_event_alone_is_simulated_exactly_as_in_a_batch(mixed_events):
    whole = simulate(mixed_events[0:40], CONFIG, 7)
    alone = RecoBatch.concat(simulate(mixed_events[i : i + 1], CONFIG, 7) for i in range(40))
    assert alone.to_table().equals(whole.to_table())


def test_filtering_other_events_away_changes_nothing(mixed_events):
    kept = np.arange(len(mixed_events)) % 3 == 1
    filtered = simulate(mixed_events.select(kept), CONFIG, 7)
    assert filtered.to_table().equals(simulate(mixed_events, CONFIG, 7).select(kept).to_table())


def test_another_seed_gives_another_result(mixed_events):
    few = mixed_events[0:10]
    assert not simulate(few, CONFIG, 1).to_table().equals(simulate(few, CONFIG, 2).to_table())


def test_events_of_other_runs_get_other_draws(mixed_events):
    few = mixed_events[0:10]
    moved = replace(few, run=few.run + 1)
    assert not np.array_equal(simulate(few, CONFIG, 1).tracks.px_gev, simulate(moved, CONFIG, 1).tracks.px_gev)


def test_events_without_particles_come_out_empty():
    pion = Particle(status=3, energy_gev=1.01, px_gev=1.0)
    reco = simulate(event_batch([[], [pion], []]), replace(CONFIG, track_efficiency=1.0), 1)
    assert reco.tracks.counts.tolist() == [0, 1, 0]
    assert len(simulate(event_batch([[], []]), CONFIG, 1)) == 2


def test_a_batch_without_events_is_simulated():
    assert len(simulate(EventBatch.empty(), CONFIG, 1)) == 0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 3e38])
@pytest.mark.parametrize("name", ["px_gev", "energy_gev", "mass_gev"])
def test_numbers_that_cannot_be_are_refused_by_event_and_particle(name, value):
    good, broken = Particle(status=3), Particle(**{"status": 3, "py_gev": 1.0, name: value})
    with pytest.raises(BadEvent, match="event 6 of run 0,1: particle 1 has a momentum"):
        simulate(event_batch([[good], [good, broken]], first_event=5), CONFIG, 1)


def test_a_vertex_that_is_no_number_is_refused():
    with pytest.raises(BadEvent, match="event 1 of run 0,1: particle 0"):
        simulate(event_batch([[Particle(status=3, z_cm=float("nan"))]]), CONFIG, 1)


def test_numbers_of_particles_that_never_reach_the_detector_do_not_matter():
    broken = Particle(status=1, px_gev=float("nan"))
    assert len(simulate(event_batch([[broken]]), CONFIG, 1).tracks) == 0


def test_particles_at_rest_leave_nothing():
    reco = simulate(
        event_batch([[Particle(status=3), Particle(pdg=22, charge=0.0, energy_gev=0.0, status=3)]]), CONFIG, 1
    )
    assert (len(reco.tracks), len(reco.clusters)) == (0, 0)


def test_extra_info_comes_along(mixed_events):
    few = mixed_events[0:3].with_extra(weight=np.array([1.0, 2.5, 3.0]))
    assert simulate(few, CONFIG, 1).extra["weight"].tolist() == [1.0, 2.5, 3.0]


def test_the_fast_detector_fits_the_interface(mixed_events):
    detector: Detector = FastDetector()
    few = mixed_events[0:5]
    assert detector.simulate(few, 1).to_table().equals(simulate(few, CONFIG, 1).to_table())


def test_real_events_look_like_b_pairs(mixed_events):
    reco = simulate(mixed_events, CONFIG, 1)
    assert 8.0 < reco.tracks.counts.mean() < 10.0
    assert 8.0 < (reco.clusters.track < 0).sum() / len(reco) < 12.0
