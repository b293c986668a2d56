"""Events -> network inputs: which particles, which numbers, which mothers."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartbkg.errors import BadEvent, ModelMismatch
from smartbkg.events import EventBatch, MCStatus
from smartbkg.features import GATGAP_SPEC, FeatureSpec, build
from smartbkg.pdg import PdgTable
from support.events import Particle, decay_trees, event_batch

TABLE = PdgTable.gatgap()


def test_columns_are_time_energy_vertex_and_momentum() -> None:
    pion = Particle(energy_gev=2, x_cm=3, y_cm=4, z_cm=5, px_gev=6, py_gev=7, pz_gev=8, time_ns=9)
    features = build(event_batch([[Particle(time_ns=8.5), replace(pion, mother=0)]]))
    assert features.x.dtype == np.float32
    assert features.x[1].tolist() == [0.5, 2, 3, 4, 5, 6, 7, 8]


def test_times_count_from_the_root_of_each_tree() -> None:
    first = [Particle(time_ns=1), Particle(mother=0, time_ns=3), Particle(mother=1, time_ns=7)]
    second = [Particle(time_ns=100), Particle(mother=3, time_ns=101)]
    assert build(event_batch([first + second])).x[:, 0].tolist() == [0, 2, 6, 0, 1]


def test_the_root_gives_its_time_even_when_it_is_cut() -> None:
    root = Particle(status=1 | MCStatus.INITIAL, time_ns=2)
    features = build(event_batch([[root, Particle(mother=0, time_ns=5), Particle(mother=1, time_ns=6)]]))
    assert features.x[:, 0].tolist() == [3, 4]


@pytest.mark.parametrize("bit", [MCStatus.VIRTUAL, MCStatus.INITIAL, MCStatus.ISR_PHOTON, MCStatus.FSR_PHOTON])
def test_forbidden_status_bits_remove_a_particle(bit: MCStatus) -> None:
    assert build(event_batch([[Particle(), Particle(status=1 | bit)]])).counts.tolist() == [1]


def test_only_primary_particles_stay() -> None:
    assert build(event_batch([[Particle(status=int(MCStatus.STABLE)), Particle(status=3)]])).counts.tolist() == [1]


@pytest.mark.parametrize("axis", ["x_cm", "y_cm", "z_cm"])
@pytest.mark.parametrize(("value", "kept"), [(9.99, 1), (-9.99, 1), (10.0, 0), (-10.0, 0), (-50.0, 0)])
def test_each_coordinate_of_the_vertex_is_cut_on_both_sides(axis: str, value: float, kept: int) -> None:
    assert build(event_batch([[replace(Particle(), **{axis: value})]])).counts.tolist() == [kept]


def test_motherless_particles_point_at_themselves() -> None:
    assert build(event_batch([[Particle(), Particle()]])).mother.tolist() == [0, 1]


def test_children_of_a_virtual_mother_are_roots() -> None:
    virtual = Particle(status=1 | MCStatus.VIRTUAL, time_ns=3)
    features = build(event_batch([[virtual, Particle(mother=0, time_ns=4), Particle(mother=1, time_ns=6)]]))
    assert features.mother.tolist() == [0, 0]
    assert features.x[:, 0].tolist() == [0, 2]


def test_a_particle_whose_mother_was_cut_has_none_and_is_not_linked_again() -> None:
    chain = [Particle(), Particle(mother=0, z_cm=20), Particle(mother=1), Particle(mother=2)]
    assert build(event_batch([chain])).mother.tolist() == [0, -1, 1]


def test_mothers_count_inside_each_event() -> None:
    features = build(event_batch([[Particle()], [], [Particle(z_cm=30), Particle(), Particle(mother=1)]]))
    assert features.offsets.tolist() == [0, 1, 1, 3]
    assert features.mother.tolist() == [0, 0, 0]


def test_a_mother_may_come_after_its_child() -> None:
    features = build(event_batch([[Particle(mother=1, time_ns=2), Particle(time_ns=1)]]))
    assert features.mother.tolist() == [1, 1]
    assert features.x[:, 0].tolist() == [1, 0]


def test_a_root_that_points_at_itself_in_the_file_is_a_root() -> None:
    features = build(event_batch([[Particle(mother=0), Particle(mother=0)]]))
    assert features.mother.tolist() == [0, 0]


def test_unknown_codes_get_the_spare_token_and_are_counted() -> None:
    batch = event_batch([[Particle(pdg=TABLE.codes[7]), Particle(pdg=987654)], [Particle(pdg=987654, z_cm=99)]])
    features = build(batch)
    assert features.token.tolist() == [7, TABLE.unknown_token]
    assert features.unknown_pdgs == {987654: 1}


def test_no_events_and_empty_events_are_fine() -> None:
    assert len(build(EventBatch.empty())) == 0
    features = build(event_batch([[], []]))
    assert (len(features), features.x.shape) == (2, (0, 8))


@pytest.mark.parametrize("mother", [2, 7, -2])
def test_a_mother_outside_the_event_is_refused_by_name(mother: int) -> None:
    batch = event_batch([[Particle()], [Particle(), Particle(mother=mother)]], exp=3, run=4, first_event=50)
    with pytest.raises(BadEvent, match=rf"event 51 of run 3,4: mother index {mother} among 2 particles"):
        build(batch)


@pytest.mark.parametrize("length", [2, 3, 4, 5, 8])
def test_a_circle_of_mothers_is_refused_by_name(length: int) -> None:
    circle = [Particle(mother=(i + 1) % length) for i in range(length)]
    with pytest.raises(BadEvent, match="event 2 of run 0,1: the mother links go round in a circle"):
        build(event_batch([[Particle()], circle]))


def test_a_number_that_is_not_finite_is_refused_by_name() -> None:
    with pytest.raises(BadEvent, match="event 1 of run 0,1: particle 1 has a number that is not finite"):
        build(event_batch([[Particle(), Particle(px_gev=float("nan"))]]))


def test_a_time_without_end_is_refused_by_name_and_does_no_harm_where_it_is_cut() -> None:
    endless = Particle(time_ns=float("inf"))
    with pytest.raises(BadEvent, match="event 1 of run 0,1: particle 1 has a number that is not finite"):
        build(event_batch([[Particle(), endless]]))
    assert build(event_batch([[Particle(), replace(endless, status=0)]])).counts.tolist() == [1]


def test_a_very_long_chain_finds_its_root() -> None:
    chain = [Particle(time_ns=5)] + [Particle(mother=i, time_ns=5 + i) for i in range(1000)]
    assert build(event_batch([chain])).x[-1, 0] == 999


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(0, 12))
def test_build_equals_a_walk_over_every_particle(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    events = []
    for _ in range(3):
        order = rng.permutation(n)  # mothers before or after their children, never in a circle
        rank = np.argsort(order)
        particles = []
        for i in range(n):
            mother = -1 if rank[i] == 0 or rng.random() < 0.2 else int(order[rng.integers(0, rank[i])])
            status = int(rng.choice([1, 3, 1 | 16, 1 | 32, 0], p=[0.5, 0.2, 0.1, 0.1, 0.1]))
            particles.append(Particle(mother=mother, status=status, z_cm=rng.uniform(-12, 12), time_ns=rng.random()))
        events.append(particles)
    features = build(event_batch(events))
    for number, particles in enumerate(events):
        part = features.between(number, number + 1)
        mothers, times = walk(particles)
        assert part.mother.tolist() == mothers
        assert np.allclose(part.x[:, 0], times, atol=1e-6)


def walk(particles: list[Particle]) -> tuple[list[int], list[float]]:
    def mother_of(i: int) -> int:
        mother = particles[i].mother
        return i if mother < 0 or particles[mother].status & 16 else mother

    def root_of(i: int) -> int:
        return i if mother_of(i) == i else root_of(mother_of(i))

    kept = [i for i, p in enumerate(particles) if p.status & 1 and not p.status & 0b11110000 and abs(p.z_cm) < 10]
    mothers = [kept.index(mother_of(i)) if mother_of(i) in kept else -1 for i in kept]
    return mothers, [particles[i].time_ns - particles[root_of(i)].time_ns for i in kept]


def test_features_of_an_event_do_not_depend_on_the_batch() -> None:
    batch = decay_trees(6, seed=3)
    together, rows = build(batch), np.array([4, 0, 5])
    chosen = together.select(rows)
    for place, row in enumerate(rows):
        apart, part = build(batch.select(np.array([row]))), chosen.between(place, place + 1)
        for name in ("x", "token", "mother", "offsets"):
            assert np.array_equal(getattr(apart, name), getattr(part, name))


def test_network_inputs_hold_edges_of_the_whole_batch() -> None:
    events = [
        [Particle(), Particle(mother=0)],
        [],
        [Particle(), Particle(z_cm=50), Particle(mother=1), Particle(mother=0)],
    ]
    inputs = build(event_batch(events)).network_inputs()
    assert inputs["mother"].tolist() == [-1, 0, -1, -1, 2]
    assert inputs["event"].tolist() == [0, 0, 2, 2, 2]
    assert inputs["n_events"].tolist() == [3]
    assert {name: array.dtype for name, array in inputs.items()} == {
        "x": np.float32, "token": np.int64, "mother": np.int64, "event": np.int64, "n_events": np.int64,
    }  # fmt: skip


def test_a_spec_survives_json() -> None:
    spec = FeatureSpec(features=("px_gev", "charge"), max_vertex_cm=5.5)
    assert FeatureSpec.from_dict(json.loads(spec.to_json())) == spec
    assert build(event_batch([[Particle(px_gev=2, charge=-1)]]), spec).x.tolist() == [[2, -1]]


def test_the_digest_follows_the_content() -> None:
    assert FeatureSpec().digest == GATGAP_SPEC.digest
    assert replace(GATGAP_SPEC, max_vertex_cm=9.0).digest != GATGAP_SPEC.digest


def test_the_published_spec_stays_as_it_is() -> None:
    # Trained files carry this; a change would make them mean something else.
    assert json.loads(GATGAP_SPEC.to_json()) == {
        "features": ["time_since_root_ns", "energy_gev", "x_cm", "y_cm", "z_cm", "px_gev", "py_gev", "pz_gev"],
        "token_table": "gatgap",
        "required_status": 1,
        "forbidden_status": 16 + 32 + 64 + 128,
        "max_vertex_cm": 10.0,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"features": ["nonsense"]},
        {"max_vertex_cm": "far"},
        {"required_status": float("inf")},
        {"more": 1},
    ],
)
def test_a_wrong_spec_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ModelMismatch):
        FeatureSpec.from_dict({**GATGAP_SPEC.as_dict(), **change})
