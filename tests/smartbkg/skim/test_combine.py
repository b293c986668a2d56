"""The combiner against trying every combination in plain Python."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from smartbkg.errors import UnknownName
from smartbkg.skim.candidates import Candidates, invariant_mass
from smartbkg.skim.combine import B_GEV, VARIABLES, apply_rule, apply_selection, apply_veto
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, Selection, Without, conjugate, is_self_conjugate
from smartbkg.skim.frame import BEAM_GEV

N_EVENTS = 12
MASSES_GEV = {"pi+": 0.13957, "K+": 0.493677, "pi0": 0.134977, "K_S0": 0.497611}
Lists = dict[str, Candidates]


def random_lists(seed: int) -> Lists:
    """Up to 6 tracks an event, each perhaps a pion, a kaon or both; pi0 of clusters, K_S of two tracks."""
    rng = np.random.default_rng(seed)
    rows: dict[str, list[tuple[int, np.ndarray, int, int]]] = {name: [] for name in MASSES_GEV}
    for event in range(N_EVENTS):
        n_tracks = int(rng.integers(0, 7))
        for bit in range(n_tracks):
            anti, p = int(rng.integers(2)), rng.normal(0, 0.5, 3)
            for name in ("pi+", "K+"):
                if rng.random() < 0.7:
                    rows[name].append((2 * event + anti, p, 1 << bit, 0))
        for _ in range(int(rng.integers(0, 3))):
            a, b = rng.choice(6, 2, replace=False)
            rows["pi0"].append((2 * event, rng.normal(0, 0.5, 3), 0, (1 << int(a)) | (1 << int(b))))
        if n_tracks >= 2 and rng.random() < 0.5:
            rows["K_S0"].append((2 * event, rng.normal(0, 0.5, 3), 0b11, 0))
    return {name: as_candidates(found, MASSES_GEV[name]) for name, found in rows.items()}


def as_candidates(rows: list[tuple[int, np.ndarray, int, int]], mass: float) -> Candidates:
    rows = sorted(rows, key=lambda row: row[0])
    p = np.array([row[1] for row in rows]).reshape(-1, 3).T
    momentum = np.vstack([np.sqrt((p**2).sum(axis=0) + mass**2), p])
    bits = [np.array([row[i] for row in rows], np.uint64) for i in (2, 3)]
    group = np.array([row[0] for row in rows], np.int64)
    return Candidates(N_EVENTS, mass, group, momentum, *bits, np.zeros(len(rows), np.int16))


def brute_force(rule: Rule, lists: Lists) -> Counter:
    """Every choice of daughters, checked one by one."""
    found: Counter = Counter()
    for number, channel in enumerate(rule.channels):
        flavours = (0,) if is_self_conjugate(rule.name) else (0, 1)
        for event, flavour in product(range(N_EVENTS), flavours):
            seen = set()
            for rows in product(*(choices(name, event, flavour, lists) for name in channel.daughters)):
                same = frozenset(zip((n if n in lists else conjugate(n) for n in channel.daughters), rows, strict=True))
                if not overlaps(rows, channel, lists) and same not in seen:
                    seen.add(same)
                    add(found, (number, 2 * event + flavour), rows, channel, rule, lists)
    return found


def choices(name: str, event: int, flavour: int, lists: Lists) -> list[int]:
    candidates = lists[name if name in lists else conjugate(name)]
    wanted = 0 if is_self_conjugate(name) else flavour ^ (name not in lists)
    return [i for i, group in enumerate(candidates.group) if group == 2 * event + wanted]


def overlaps(rows: tuple[int, ...], channel: Channel, lists: Lists) -> bool:
    tracks = clusters = 0
    for name, row in zip(channel.daughters, rows, strict=True):
        own = lists[name if name in lists else conjugate(name)]
        if tracks & int(own.tracks[row]) or clusters & int(own.clusters[row]):
            return True
        tracks |= int(own.tracks[row])
        clusters |= int(own.clusters[row])
    return False


def add(found: Counter, key: tuple, rows: tuple, channel: Channel, rule: Rule, lists: Lists) -> None:
    own = [lists[n if n in lists else conjugate(n)] for n in channel.daughters]
    e, px, py, pz = sum(c.momentum[:, r] for c, r in zip(own, rows, strict=True))
    p2 = px**2 + py**2 + pz**2
    first = float(invariant_mass(own[0].momentum[:, rows[0] : rows[0] + 1])[0])
    mass = max(e**2 - p2, 0.0) ** 0.5
    value = {
        "mass_gev": mass,
        "p_gev": p2**0.5,
        "mbc_gev": max(BEAM_GEV**2 - p2, 0.0) ** 0.5,
        "delta_e_gev": e - BEAM_GEV,
        "delta_m_gev": mass - first,
    }
    if all(cut.low <= value[cut.variable] <= cut.high for cut in (*rule.cuts, *channel.cuts)):
        bits = sum(int(c.tracks[r]) for c, r in zip(own, rows, strict=True))
        cluster_bits = sum(int(c.clusters[r]) for c, r in zip(own, rows, strict=True))
        found[(*key, bits, cluster_bits, round(p2, 6))] += 1


def as_counter(made: Candidates) -> Counter:
    rows = zip(made.channel, made.group, made.tracks, made.clusters, made.p**2, strict=True)
    return Counter((int(n), int(g), int(t), int(c), round(float(p2), 6)) for n, g, t, c, p2 in rows)


RULES = [
    Rule("D0", (Channel("D0 -> K- pi+"), Channel("D0 -> K- K+"), Channel("D0 -> K- pi+ pi+ pi-"))),
    Rule("D0", (Channel("D0 -> K_S0 pi+ pi-"), Channel("D0 -> K- pi+ pi0")), (Cut("mass_gev", 1.0, 2.0),)),
    Rule("D+", (Channel("D+ -> K- pi+ pi+", (Cut("p_gev", high=1.0),)),), (Cut("mass_gev", high=1.9),)),
    Rule("J/psi", (Channel("J/psi -> pi+ pi-"), Channel("J/psi -> pi0 pi0"))),
    Rule("B0", (Channel("B0 -> K+ pi- pi0 pi0"), Channel("B0 -> pi+ pi- pi+ pi-")), (Cut("delta_e_gev", high=-2.5),)),
    Rule("B+", (Channel("B+ -> K+ pi+ pi-"),), (Cut("mbc_gev", low=5.2),)),
    Rule("D*+", (Channel("D*+ -> pi+ pi+ pi-"),), (Cut("delta_m_gev", 0.5, 1.5),)),
    Rule("B+", (Channel("B+ -> K+ pi+ pi- pi0"),), (Cut("delta_e_gev", -2.4, -1.5), Cut("mbc_gev", low=5.2))),
    Rule("D0", (Channel("D0 -> K- pi+ pi0"), Channel("D0 -> K_S0 pi+ pi-")), (Cut("p_gev", low=1.5),)),
    Rule("D+", (Channel("D+ -> pi+ pi+ pi-"),), (Cut("p_gev", 0.7, 1.3), Cut("mass_gev", 1.2, 2.3))),
    Rule("phi", (Channel("phi -> K- K+"), Channel("phi -> K_S0 pi0")), (Cut("mass_gev", high=2.0),)),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.channels[0].text)
@pytest.mark.parametrize("seed", range(4))
def test_the_combiner_finds_what_brute_force_finds(rule, seed):
    lists = random_lists(seed)
    expected = brute_force(rule, lists)
    assert as_counter(apply_rule(rule, lists)) == expected


def test_the_random_events_try_every_rule():
    made = [sum(len(apply_rule(rule, random_lists(seed))) for seed in range(4)) for rule in RULES]
    assert min(made) > 0


def test_no_track_or_cluster_is_used_twice():
    rule = Rule("D0", (Channel("D0 -> K- pi+ pi0 pi0"), Channel("D0 -> K_S0 pi+ pi- pi0 pi0")))
    made = [apply_rule(rule, random_lists(seed)) for seed in range(12)]
    tracks = {
        (int(n), int(bits).bit_count()) for part in made for n, bits in zip(part.channel, part.tracks, strict=True)
    }
    assert tracks == {(0, 2), (1, 4)}
    assert {int(bits).bit_count() for part in made for bits in part.clusters} == {4}


def test_the_antiparticles_of_an_event_give_the_antiparticle():
    lists = random_lists(6)
    swapped = {name: c if is_self_conjugate(name) else flipped(c) for name, c in lists.items()}
    rule = Rule("D+", (Channel("D+ -> K- pi+ pi+"), Channel("D+ -> K_S0 pi+")), (Cut("mass_gev", 0.8, 1.8),))
    made, mirror = as_counter(apply_rule(rule, lists)), as_counter(apply_rule(rule, swapped))
    assert len(made) > 5
    assert Counter({(n, g ^ 1, *rest): k for (n, g, *rest), k in made.items()}) == mirror


def flipped(candidates: Candidates) -> Candidates:
    order = np.argsort(candidates.group ^ 1, kind="stable")
    c = candidates.take(order)
    return Candidates(c.n_events, c.mass_gev, c.group ^ 1, c.momentum, c.tracks, c.clusters, c.channel)


def test_the_nominal_mass_is_given_and_the_momentum_kept():
    lists = random_lists(7)
    free = apply_rule(Rule("D0", (Channel("D0 -> K- pi+"),)), lists)
    fixed = apply_rule(Rule("D0", (Channel("D0 -> K- pi+"),), mass_gev=1.86484), lists)
    assert fixed.mass == pytest.approx(np.full(len(free), 1.86484))
    assert np.array_equal(free.momentum[1:], fixed.momentum[1:])


def test_candidates_made_can_be_combined_again():
    lists = random_lists(8)
    lists["D0"] = apply_rule(Rule("D0", (Channel("D0 -> K- pi+"),)), lists)
    rule = Rule("D*+", (Channel("D*+ -> D0 pi+", (Cut("delta_m_gev", 0.2, 0.9),)),))
    made = apply_rule(rule, lists)
    assert len(made) > 0
    assert as_counter(made) == brute_force(rule, lists)


def test_events_that_are_not_wanted_are_left_out():
    lists, wanted = random_lists(9), np.arange(N_EVENTS) % 2 == 0
    for rule in RULES:
        everywhere, some = apply_rule(rule, lists), apply_rule(rule, lists, wanted)
        assert as_counter(some) == as_counter(everywhere.take(wanted[everywhere.event_index]))


def test_a_selection_joins_lists_and_cuts_them():
    lists = random_lists(10)
    lists["D0:a"], lists["D0:b"] = (
        apply_rule(rule, lists) for rule in (named("D0:a", "K- pi+"), named("D0:b", "K- K+"))
    )
    both = apply_selection(Selection("D0", ("D0:a", "D0:b")), lists)
    fast = apply_selection(Selection("D0", ("D0:a", "D0:b"), (Cut("p_gev", low=0.8),), 1.86484), lists)
    assert len(both) == len(lists["D0:a"]) + len(lists["D0:b"])
    assert np.bincount(both.channel).tolist() == [len(lists["D0:a"]), len(lists["D0:b"])]
    assert (np.diff(both.group) >= 0).all()
    assert 0 < len(fast) == (both.p >= 0.8).sum()
    assert fast.mass == pytest.approx(np.full(len(fast), 1.86484))


@pytest.mark.parametrize("seed", range(4))
def test_a_selection_of_heavy_and_light_particles_loses_none_of_them(seed):
    lists = random_lists(seed)
    lists["h+"] = apply_selection(Selection("h+", ("K+", "pi+")), lists)
    rule = Rule("D0", (Channel("D0 -> h- h+"),), (Cut("mass_gev", high=0.9),))
    assert as_counter(apply_rule(rule, lists)) == brute_force(rule, lists)


def named(name: str, daughters: str) -> Rule:
    return Rule(name, (Channel(f"{name} -> {daughters}"),))


def test_a_veto_takes_away_what_shares_anything_with_it():
    lists = random_lists(11)
    lists["K*0"] = apply_rule(Rule("K*0", (Channel("K*0 -> K+ pi-"),), (Cut("mass_gev", 0.8, 1.0),)), lists)
    kept = apply_veto(Without("pi+:free", "pi+", ("K*0", "K_S0")), lists)
    expected = 0
    for event, bits in zip(lists["pi+"].event_index, lists["pi+"].tracks, strict=True):
        vetoes = [veto.tracks[veto.event_index == event] for veto in (lists["K*0"], lists["K_S0"])]
        expected += all(int(bits) & int(other) == 0 for other in np.concatenate(vetoes))
    assert 0 < len(kept) == expected < len(lists["pi+"])


def test_an_unknown_variable_is_named():
    rule = Rule("D0", (Channel("D0 -> K- pi+"),), (Cut("mass", 1.8, 1.9),))
    with pytest.raises(UnknownName, match="unknown variable 'mass'; near: mass_gev"):
        apply_rule(rule, random_lists(1))


def test_a_b_with_one_neutrino_has_its_true_angle():
    """B -> D l nu with masses and momenta chosen by hand: the cosine comes out as put in."""
    p_b = np.sqrt(BEAM_GEV**2 - B_GEV**2)
    b = np.array([BEAM_GEV, 0.0, 0.0, p_b])
    neutrino = np.array([0.8, 0.0, 0.8 * 0.6, -0.8 * 0.8])
    visible = (b - neutrino)[:, None]
    cosine = visible[3] / np.sqrt((visible[1:] ** 2).sum(axis=0))
    assert VARIABLES["cos_theta_by"](visible, np.zeros(1)) == pytest.approx(cosine)


def test_an_unknown_list_is_named():
    with pytest.raises(UnknownName, match="unknown candidate list 'K_L0'"):
        apply_rule(Rule("B0", (Channel("B0 -> K_L0 pi0"),)), random_lists(1))
