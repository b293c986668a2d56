"""Events -> inputs of the multi-skim network: who is seen, who is whose mother, where everything begins."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartbkg.bridging import BRIDGED_SPEC, BridgedSpec, build_bridged
from smartbkg.errors import BadEvent, ModelMismatch
from smartbkg.events import EventBatch, MCStatus
from smartbkg.pdg import PdgTable
from support.events import Particle, decay_trees, event_batch
from support.generated import generated

TABLE = PdgTable.smartbackground()


def test_columns_are_time_and_vertex_from_the_first_particle_then_energy_and_momentum() -> None:
    first = Particle(time_ns=1, x_cm=2, y_cm=3, z_cm=4, energy_gev=5)
    second = Particle(time_ns=1.5, x_cm=2.5, y_cm=5, z_cm=3, energy_gev=9, px_gev=6, py_gev=7, pz_gev=8)
    features = build_bridged(event_batch([[first, second]]))
    assert features.x.dtype == np.float32
    assert features.x.tolist() == [[0, 0, 0, 0, 5, 0, 0, 0], [0.5, 0.5, 2, -1, 9, 6, 7, 8]]


def test_the_first_particle_is_the_first_that_is_seen() -> None:
    beam = Particle(status=1 | MCStatus.INITIAL, time_ns=100, x_cm=1)
    features = build_bridged(event_batch([[beam, Particle(time_ns=3), Particle(time_ns=5, x_cm=1)]]))
    assert features.x[:, :2].tolist() == [[0, 0], [2, 1]]


@pytest.mark.parametrize(("status", "seen"), [(0, 1), (1, 1), (2, 1), (16, 1), (32, 0), (33, 0), (64, 1), (128, 1)])
def test_all_are_seen_but_initial_ones(status: int, seen: int) -> None:
    assert build_bridged(event_batch([[Particle(status=status)]])).counts.tolist() == [seen]


@pytest.mark.parametrize("axis", ["x_cm", "y_cm", "z_cm"])
@pytest.mark.parametrize(("value", "seen"), [(9.99, 1), (10.0, 0), (30.0, 0), (-10.0, 1), (-500.0, 1)])
def test_each_coordinate_of_the_vertex_is_cut_on_one_side(axis: str, value: float, seen: int) -> None:
    assert build_bridged(event_batch([[replace(Particle(), **{axis: value})]])).counts.tolist() == [seen]


@pytest.mark.parametrize(
    ("pdg", "seen"), [(1, 0), (-5, 0), (5, 0), (0, 0), (6, 1), (-6, 1), (21, 0), (-21, 1), (22, 1)]
)
def test_quarks_and_gluons_are_not_seen(pdg: int, seen: int) -> None:
    assert build_bridged(event_batch([[Particle(pdg=pdg)]])).counts.tolist() == [seen]


def test_quarks_and_gluons_are_bridged() -> None:
    photon, quark, gluon = Particle(pdg=22), Particle(pdg=4, mother=0), Particle(pdg=21, mother=1)
    event = [photon, quark, gluon, Particle(mother=2), Particle(mother=1), Particle(mother=3)]
    assert build_bridged(event_batch([event])).mother.tolist() == [-1, 0, 0, 1]


def test_what_is_cut_is_bridged_too() -> None:
    far = Particle(mother=0, z_cm=12)
    back = [Particle(), far, Particle(mother=1), Particle(mother=2)]
    assert build_bridged(event_batch([back])).mother.tolist() == [-1, 0, 1]


def test_children_of_initial_particles_have_no_mother() -> None:
    beam = Particle(status=1 | MCStatus.INITIAL)
    event = [beam, Particle(mother=0), Particle(pdg=3, mother=0), Particle(mother=2)]
    assert build_bridged(event_batch([event])).mother.tolist() == [-1, -1]


def test_a_particle_that_points_at_itself_has_no_mother() -> None:
    assert build_bridged(event_batch([[Particle(mother=0), Particle(mother=0)]])).mother.tolist() == [-1, 0]


def test_a_mother_may_come_after_its_child() -> None:
    event = [Particle(mother=1), Particle(pdg=21, mother=2), Particle()]
    assert build_bridged(event_batch([event])).mother.tolist() == [1, -1]


def test_mothers_count_inside_each_event() -> None:
    events = [[Particle()], [], [Particle(z_cm=30), Particle(), Particle(mother=1)], [Particle(pdg=21)]]
    features = build_bridged(event_batch(events))
    assert features.offsets.tolist() == [0, 1, 1, 3, 3]
    assert features.mother.tolist() == [-1, -1, 0]


def test_unknown_codes_share_token_zero_and_are_counted() -> None:
    events = [[Particle(pdg=TABLE.codes[40]), Particle(pdg=987654)], [Particle(pdg=987654, z_cm=99), Particle(pdg=211)]]
    features = build_bridged(event_batch(events))
    assert features.token.tolist() == [40, 0, TABLE.codes.index(211)]
    assert features.unknown_pdgs == {987654: 1}


def test_another_table_gives_other_tokens() -> None:
    features = build_bridged(event_batch([[Particle(pdg=211), Particle(pdg=22)]]), PdgTable.of_codes([0, 22, 211]))
    assert features.token.tolist() == [2, 1]


def test_no_events_and_empty_events_are_fine() -> None:
    assert len(build_bridged(EventBatch.empty())) == 0
    features = build_bridged(event_batch([[], []]))
    assert (len(features), features.x.shape) == (2, (0, 8))


@pytest.mark.parametrize("mother", [2, 7, -2])
def test_a_mother_outside_the_event_is_refused_by_name(mother: int) -> None:
    batch = event_batch([[Particle()], [Particle(), Particle(mother=mother)]], exp=3, run=4, first_event=50)
    with pytest.raises(BadEvent, match=rf"event 51 of run 3,4: mother index {mother} among 2 particles"):
        build_bridged(batch)


@pytest.mark.parametrize("pdg", [211, 21])
@pytest.mark.parametrize("length", [2, 3, 4, 8])
def test_a_circle_of_mothers_is_refused_by_name(length: int, pdg: int) -> None:
    circle = [Particle(pdg=pdg, mother=(i + 1) % length) for i in range(length)]
    with pytest.raises(BadEvent, match="event 2 of run 0,1: the mother links go round in a circle"):
        build_bridged(event_batch([[Particle()], circle]))


@pytest.mark.parametrize("name", ["time_ns", "x_cm", "z_cm", "energy_gev", "py_gev"])
@pytest.mark.parametrize("value", [float("nan"), -float("inf")])
def test_a_number_that_is_not_finite_is_refused_by_name(name: str, value: float) -> None:
    wrong = replace(Particle(), **{name: value})
    with pytest.raises(BadEvent, match="event 2 of run 0,1: particle 2 has a number that is not finite"):
        build_bridged(event_batch([[Particle()], [Particle(pdg=21), Particle(), wrong]]))


def test_a_first_particle_without_a_place_is_refused_by_its_own_name() -> None:
    with pytest.raises(BadEvent, match="event 1 of run 0,1: particle 0 has a number that is not finite"):
        build_bridged(event_batch([[Particle(x_cm=float("nan")), Particle()]]))


def test_what_is_not_seen_may_be_anything() -> None:
    odd = Particle(status=32, time_ns=float("nan"), px_gev=float("inf"))
    assert build_bridged(event_batch([[odd, Particle(), Particle(z_cm=float("inf"))]])).counts.tolist() == [1]


def test_features_of_an_event_do_not_depend_on_the_batch() -> None:
    batch = decay_trees(6, seed=3)
    rows = np.array([4, 0, 5])
    chosen = build_bridged(batch).select(rows)
    for place, row in enumerate(rows):
        apart, part = build_bridged(batch.select(np.array([row]))), chosen.between(place, place + 1)
        for name in ("x", "token", "mother", "offsets"):
            assert np.array_equal(getattr(apart, name), getattr(part, name))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(0, 14))
def test_build_equals_a_walk_over_every_particle(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    events = []
    for _ in range(3):
        order = rng.permutation(n)  # mothers before or after their children, never in a circle
        rank = np.argsort(order)
        particles = []
        for i in range(n):
            mother = -1 if rank[i] == 0 or rng.random() < 0.2 else int(order[rng.integers(0, rank[i])])
            pdg, status = int(rng.choice([211, 21, -3, 22])), int(rng.choice([1, 33], p=[0.8, 0.2]))
            vertex, time = rng.uniform(-13, 13, 2), rng.random()
            particles.append(Particle(pdg, mother, status, x_cm=vertex[0], z_cm=vertex[1], time_ns=time))
        events.append(particles)
    features = build_bridged(event_batch(events))
    for number, particles in enumerate(events):
        part = features.between(number, number + 1)
        mothers, times = walk(particles)
        assert part.mother.tolist() == mothers
        assert np.allclose(part.x[:, 0], times, atol=1e-6)


def walk(particles: list[Particle]) -> tuple[list[int], list[float]]:
    def seen(p: Particle) -> bool:
        return not p.status & 32 and abs(p.pdg) > 5 and p.pdg != 21 and p.x_cm < 10 and p.z_cm < 10

    def ancestor(i: int) -> int:
        mother = particles[i].mother
        return mother if mother < 0 or mother in kept else ancestor(mother)

    kept = [i for i, p in enumerate(particles) if seen(p)]
    mothers = [kept.index(ancestor(i)) if ancestor(i) >= 0 else -1 for i in kept]
    return mothers, [particles[i].time_ns - particles[kept[0]].time_ns for i in kept]


@pytest.mark.parametrize("event_type", ["mixed", "ccbar"])
def test_generated_events_are_whole_trees_without_partons(event_type: str) -> None:
    batch = generated(event_type, 200)
    features = build_bridged(batch)
    assert features.counts.min() > 5
    assert not np.isin(features.token, TABLE.tokens(np.array([1, 2, 3, 4, 5, -1, -4, 21]))[0]).any()
    assert features.unknown_pdgs == {}
    assert np.all(features.mother < np.repeat(features.counts, features.counts))
    first = features.offsets[:-1]
    assert np.all(features.x[first, :4] == 0)


def test_the_published_convention_stays_as_it_is() -> None:
    # Trained files carry this; a change would make them mean something else.
    assert json.loads(BRIDGED_SPEC.to_json()) == {
        "features": [
            "time_since_first_ns", "x_since_first_cm", "y_since_first_cm", "z_since_first_cm",
            "energy_gev", "px_gev", "py_gev", "pz_gev",
        ],
        "token_table": "smartbackground",
        "forbidden_status": 32,
        "max_vertex_cm": 10.0,
        "bridged_pdgs": [-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 21],
    }  # fmt: skip
    assert BridgedSpec.from_dict(json.loads(BRIDGED_SPEC.to_json())) == BRIDGED_SPEC


@pytest.mark.parametrize("change", [{"features": []}, {"max_vertex_cm": 9.0}, {"more": 1}])
def test_another_convention_is_refused_and_told(change: dict[str, object]) -> None:
    with pytest.raises(ModelMismatch, match=f"another convention: {next(iter(change))} is "):
        BridgedSpec.from_dict({**BRIDGED_SPEC.as_dict(), **change})
