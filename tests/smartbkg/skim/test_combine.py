"""The combiner against trying every combination in plain Python."""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np
import pytest

from smartbkg.errors import UnknownName
from smartbkg.skim.candidates import Candidates, invariant_mass
from smartbkg.skim.combine import apply_rule
from smartbkg.skim.cuts import Cut
from smartbkg.skim.decays import Channel, Rule, conjugate, is_self_conjugate
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


def test_an_unknown_list_is_named():
    with pytest.raises(UnknownName, match="unknown candidate list 'K_L0'"):
        apply_rule(Rule("B0", (Channel("B0 -> K_L0 pi0"),)), random_lists(1))
