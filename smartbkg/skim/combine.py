"""The combiner: decay channels to candidates, on all events at once.

Daughters are joined one after the other. A partial combination is dropped as soon as it shares a track or cluster
with itself, or the daughters still to come cannot bring it into the cuts on mass, energy or momentum any more; so
the result is that of trying everything. Letters: `G` groups (event and flavour), `K` combinations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import UnknownName
from smartbkg.skim.candidates import Bits, Candidates, Float, Index, invariant_mass, merge
from smartbkg.skim.cuts import Cut, passes
from smartbkg.skim.decays import Channel, Rule, Selection, Without, conjugate, is_self_conjugate
from smartbkg.skim.frame import BEAM_GEV
from smartbkg.skim.reach import Reach

Lists = Mapping[str, Candidates]
Mask = NDArray[np.bool_]
B_GEV = 5.27941  # PDG 2024, mean of B+ and B0
B_P_GEV = float(np.sqrt(BEAM_GEV**2 - B_GEV**2))


def apply_rule(rule: Rule, lists: Lists, events: Mask | None = None) -> Candidates:
    """All candidates of a rule's channels that pass its cuts, sorted by event and flavour.

    Args:
        rule: What to combine.
        lists: The daughters' candidates by name; that of the antiparticle serves, too.
        events: (B,) True for the events to combine in; None means all.
    """
    parts = [_combine(channel, rule, lists, events) for channel in rule.channels]
    return _with_mass(merge(parts, rule.mass_gev or 0.0), rule.mass_gev)


def apply_selection(selection: Selection, lists: Lists) -> Candidates:
    """The candidates of the sources that pass the cuts; the channel is the source's position."""
    parts = [lists[name] for name in selection.sources]
    merged = merge(parts, min(part.mass_gev for part in parts))  # a bound that holds for all of them
    kept = _pass_cuts(selection.cuts, merged.momentum, merged.mass)
    return _with_mass(merged.take(np.flatnonzero(kept)), selection.mass_gev)


def apply_veto(spec: Without, lists: Lists) -> Candidates:
    """The candidates of the source that share nothing with any candidate of the vetoes in their event."""
    source = lists[spec.source]
    tracks, clusters = np.zeros(source.n_events, np.uint64), np.zeros(source.n_events, np.uint64)
    for name in spec.vetoes:
        veto = lists[name]
        np.bitwise_or.at(tracks, veto.event_index, veto.tracks)
        np.bitwise_or.at(clusters, veto.event_index, veto.clusters)
    event = source.event_index
    return source.take(np.flatnonzero((source.tracks & tracks[event] | source.clusters & clusters[event]) == 0))


def _p(momentum: Float, _: Float) -> Float:
    return np.asarray(np.sqrt(momentum[1] ** 2 + momentum[2] ** 2 + momentum[3] ** 2))


def _mbc(momentum: Float, first: Float) -> Float:
    return np.asarray(np.sqrt(np.maximum(BEAM_GEV**2 - _p(momentum, first) ** 2, 0)))


def _cos_theta_by(momentum: Float, first: Float) -> Float:
    """Cosine between a B and its visible part if only a massless neutrino is missing; outside -1 to 1 if not so."""
    p = np.maximum(_p(momentum, first), 1e-9)
    mass2 = momentum[0] ** 2 - p**2
    return np.asarray((2 * BEAM_GEV * momentum[0] - B_GEV**2 - mass2) / (2 * B_P_GEV * p))


# What cuts on candidates can use: functions of momenta (4, K) in the collision frame and of the first daughter's
# mass (K,), each giving (K,).
VARIABLES: dict[str, Callable[[Float, Float], Float]] = {
    "mass_gev": lambda momentum, _: invariant_mass(momentum),
    "p_gev": _p,
    "mbc_gev": _mbc,
    "delta_e_gev": lambda momentum, _: momentum[0] - BEAM_GEV,
    "delta_m_gev": lambda momentum, first: invariant_mass(momentum) - first,
    "cos_theta_by": _cos_theta_by,
}


def _pass_cuts(cuts: tuple[Cut, ...], momentum: Float, first_mass: Float) -> Mask:
    for cut in cuts:
        if cut.variable not in VARIABLES:
            raise UnknownName("variable", cut.variable, VARIABLES)
    values = {cut.variable: VARIABLES[cut.variable](momentum, first_mass) for cut in cuts}
    return passes(cuts, values, momentum.shape[1])


def _with_mass(candidates: Candidates, mass_gev: float | None) -> Candidates:
    """Kinematic fit to the nominal mass in its simplest form: the momentum stays, the energy follows."""
    if mass_gev is None:
        return candidates
    momentum = candidates.momentum.copy()
    momentum[0] = np.sqrt(candidates.p**2 + mass_gev**2)
    return replace(candidates, mass_gev=mass_gev, momentum=momentum)


@dataclass(frozen=True)
class _Daughter:
    """A daughter's list, and where a group of the mother finds it."""

    name: str
    candidates: Candidates
    swapped: bool  # the list is the antiparticle's

    def group(self, mother_group: Index) -> Index:
        """(K,) the groups of the list for groups of the mother."""
        if is_self_conjugate(self.name):
            return mother_group & ~1  # both flavours of the mother find it in the even group
        return mother_group ^ 1 if self.swapped else mother_group


@dataclass(frozen=True)
class _Partial:
    """Combinations of the daughters joined so far."""

    group: Index  # (K,) of the mother
    rows: tuple[Index, ...]  # for each daughter (K,) its row in its list
    momentum: Float  # (4, K)
    tracks: Bits
    clusters: Bits

    def take(self, kept: Mask) -> _Partial:
        if kept.all():
            return self
        rows = tuple(r[kept] for r in self.rows)
        return _Partial(self.group[kept], rows, self.momentum[:, kept], self.tracks[kept], self.clusters[kept])


def _combine(channel: Channel, rule: Rule, lists: Lists, events: Mask | None) -> Candidates:
    daughters = [_daughter(name, lists) for name in channel.daughters]
    cuts = (*rule.cuts, *channel.cuts)
    reach = Reach.of(cuts)
    partial = _start(daughters[0], channel.mother, events)
    for number, daughter in enumerate(daughters):
        if number:
            partial = _join(partial, daughter, _same_before(daughters, number))
        rest = daughters[number + 1 :]
        if rest:
            largest = [(d.candidates, d.group(partial.group)) for d in rest]
            partial = partial.take(reach.possible(partial.momentum, largest))
    first = daughters[0].candidates
    kept = _pass_cuts(cuts, partial.momentum, first.mass[partial.rows[0]])
    partial = partial.take(kept)
    return Candidates(
        first.n_events,
        rule.mass_gev or 0.0,
        partial.group,
        partial.momentum,
        partial.tracks,
        partial.clusters,
        np.zeros(len(partial.group), np.int16),
    )


def _daughter(name: str, lists: Lists) -> _Daughter:
    swapped = name not in lists
    if swapped and conjugate(name) not in lists:
        raise UnknownName("candidate list", name, lists)
    return _Daughter(name, lists[conjugate(name) if swapped else name], swapped)


def _same_before(daughters: list[_Daughter], number: int) -> list[int]:
    """Earlier daughters of the same name: identical particles are combined in one order only."""
    return [i for i in range(number) if daughters[i].name == daughters[number].name]


def _start(daughter: _Daughter, mother: str, events: Mask | None) -> _Partial:
    own = daughter.candidates
    rows = np.arange(len(own)) if events is None else np.flatnonzero(events[own.event_index])
    group = own.group[rows]
    if is_self_conjugate(daughter.name):
        if not is_self_conjugate(mother):
            rows, group = np.tile(rows, 2), np.concatenate([group, group + 1])
    else:
        group = group ^ daughter.swapped
        if is_self_conjugate(mother):
            rows, group = rows[group & 1 == 0], group[group & 1 == 0]
    return _Partial(group, (rows,), own.momentum[:, rows], own.tracks[rows], own.clusters[rows])


def _join(partial: _Partial, daughter: _Daughter, same: list[int]) -> _Partial:
    """Each combination with each daughter candidate of its group that it does not overlap with."""
    own = daughter.candidates
    group = daughter.group(partial.group)
    begin = own.offsets[group]
    count = own.offsets[group + 1] - begin
    left = np.repeat(np.arange(len(count)), count)  # (K,)
    right = np.arange(len(left)) + np.repeat(begin - np.cumsum(count) + count, count)
    shared = partial.tracks[left] & own.tracks[right]
    if own.clusters.any():
        shared |= partial.clusters[left] & own.clusters[right]
    kept = shared == 0
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
