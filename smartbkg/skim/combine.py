"""The combiner: decay channels to candidates, on all events at once.

Daughters are joined one after the other. A partial combination is dropped as soon as it shares a track or cluster
with itself or cannot reach the mother's mass or energy any more, so the result is that of trying everything.
Letters: `G` groups (event and flavour), `K` combinations, `D` daughters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import UnknownName
from smartbkg.events import take_ragged
from smartbkg.skim.candidates import Bits, Candidates, Float, Index, invariant_mass, merge
from smartbkg.skim.cuts import Cut, passes
from smartbkg.skim.decays import Channel, Rule, conjugate, is_self_conjugate
from smartbkg.skim.frame import BEAM_GEV

Lists = Mapping[str, Candidates]


def apply_rule(rule: Rule, lists: Lists) -> Candidates:
    """All candidates of a rule's channels that pass its cuts, sorted by event and flavour."""
    parts = [_combine(channel, rule, lists) for channel in rule.channels]
    merged = merge(parts, rule.mass_gev or 0.0)
    if rule.mass_gev is None:
        return merged
    momentum = merged.momentum.copy()
    # Kinematic fit to the nominal mass in its simplest form: the momentum stays, the energy follows.
    momentum[0] = np.sqrt(merged.p**2 + rule.mass_gev**2)
    return replace(merged, momentum=momentum)


def candidate_variables(momentum: Float, first_mass: Float) -> dict[str, Float]:
    """What cuts on candidates can use, each (K,).

    Args:
        momentum: (4, K) in the collision frame.
        first_mass: (K,) mass of the first daughter.
    """
    energy, px, py, pz = momentum
    p2 = px**2 + py**2 + pz**2
    mass = invariant_mass(momentum)
    return {
        "mass_gev": mass,
        "p_gev": np.sqrt(p2),
        "mbc_gev": np.sqrt(np.maximum(BEAM_GEV**2 - p2, 0)),
        "delta_e_gev": energy - BEAM_GEV,
        "delta_m_gev": mass - first_mass,
    }


@dataclass(frozen=True)
class _Partial:
    """Combinations of the daughters joined so far."""

    group: Index  # (K,)
    rows: tuple[Index, ...]  # for each daughter (K,) its row in its list
    momentum: Float  # (4, K)
    tracks: Bits
    clusters: Bits

    def take(self, kept: NDArray[np.bool_]) -> _Partial:
        rows = tuple(r[kept] for r in self.rows)
        return _Partial(self.group[kept], rows, self.momentum[:, kept], self.tracks[kept], self.clusters[kept])


@dataclass(frozen=True)
class _Daughter:
    """A daughter's list, and where the mother's groups find it."""

    name: str
    candidates: Candidates
    rows: Index  # rows of the list, in the order of the mother's groups
    offsets: Index  # (G+1,)


def _combine(channel: Channel, rule: Rule, lists: Lists) -> Candidates:
    daughters = [_daughter(name, channel.mother, lists) for name in channel.daughters]
    cuts = (*rule.cuts, *channel.cuts)
    partial = _start(daughters[0])
    for number, daughter in enumerate(daughters[1:], start=1):
        rest = sum(d.candidates.mass_gev for d in daughters[number + 1 :])
        partial = _join(partial, daughter, _same_before(daughters, number))
        partial = partial.take(_can_reach(partial.momentum, cuts, rest))
    first = daughters[0].candidates
    variables = candidate_variables(partial.momentum, first.mass[partial.rows[0]])
    partial = partial.take(passes(cuts, variables, len(partial.group)))
    return Candidates(
        first.n_events,
        rule.mass_gev or 0.0,
        partial.group,
        partial.momentum,
        partial.tracks,
        partial.clusters,
        np.zeros(len(partial.group), np.int16),
    )


def _daughter(name: str, mother: str, lists: Lists) -> _Daughter:
    swapped = name not in lists
    if swapped and conjugate(name) not in lists:
        raise UnknownName("candidate list", name, lists)
    candidates = lists[conjugate(name) if swapped else name]
    groups = np.arange(2 * candidates.n_events)
    if is_self_conjugate(name):
        source = groups & ~1  # both flavours of the mother find it in the even group
    elif swapped:
        source = groups ^ 1
    else:
        source = groups
    counts_source = np.where(is_self_conjugate(mother) & (groups & 1 == 1), 2 * candidates.n_events, source)
    # One group more, always empty, for the odd groups of a mother that is her own antiparticle.
    rows, offsets = take_ragged(np.append(candidates.offsets, candidates.offsets[-1]), counts_source)
    return _Daughter(name, candidates, rows, offsets)


def _same_before(daughters: list[_Daughter], number: int) -> list[int]:
    """Earlier daughters of the same name: identical particles are combined in one order only."""
    return [i for i in range(number) if daughters[i].name == daughters[number].name]


def _start(daughter: _Daughter) -> _Partial:
    rows, own = daughter.rows, daughter.candidates
    group = np.repeat(np.arange(len(daughter.offsets) - 1), np.diff(daughter.offsets))
    return _Partial(group, (rows,), own.momentum[:, rows], own.tracks[rows], own.clusters[rows])


def _join(partial: _Partial, daughter: _Daughter, same: list[int]) -> _Partial:
    """Each combination with each daughter candidate of its group that it does not overlap with."""
    begin, end = daughter.offsets[partial.group], daughter.offsets[partial.group + 1]
    count = end - begin
    left = np.repeat(np.arange(len(count)), count)  # (K,)
    inside = np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
    right = daughter.rows[begin[left] + inside]
    own = daughter.candidates
    free = (partial.tracks[left] & own.tracks[right]) | (partial.clusters[left] & own.clusters[right])
    kept = free == 0
    for earlier in same:
        kept &= partial.rows[earlier][left] < right
    left, right = left[kept], right[kept]
    return _Partial(
        partial.group[left],
        (*(rows[left] for rows in partial.rows), right),
        partial.momentum[:, left] + own.momentum[:, right],
        partial.tracks[left] | own.tracks[right],
        partial.clusters[left] | own.clusters[right],
    )


def _can_reach(momentum: Float, cuts: tuple[Cut, ...], rest_gev: float) -> NDArray[np.bool_]:
    """Masses only add up, so what is too heavy or has too much energy already can be dropped."""
    kept = np.ones(momentum.shape[1], dtype=bool)
    for cut in cuts:
        if cut.variable == "mass_gev" and math.isfinite(cut.high):
            kept &= invariant_mass(momentum) <= cut.high - rest_gev
        if cut.variable == "delta_e_gev" and math.isfinite(cut.high):
            kept &= momentum[0] <= BEAM_GEV + cut.high - rest_gev
    return kept
