"""What a skim is: a name, perhaps a code, and a rule that says which reconstructed events pass.

Three kinds: decay chains and cuts (`DecaySkim`), cuts on whole events only (`EventSkim`), and any callable of the
user's own (`CallableSkim`). Letters: `B` events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.reco import RecoBatch
from smartbkg.errors import BadEvent
from smartbkg.skim.candidates import Candidates
from smartbkg.skim.combine import apply_rule
from smartbkg.skim.cuts import Cut, passes
from smartbkg.skim.decays import NeutralList, Rule, TrackList
from smartbkg.skim.final import neutral_candidates, track_candidates, track_variables
from smartbkg.skim.frame import BEAM_GEV
from smartbkg.skim.observables import observables

Observables = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class SkimResult:
    """Which events pass (B,), and variables of the best candidate (B,) float32 (NaN where there is none)."""

    passed: NDArray[np.bool_]
    variables: Mapping[str, NDArray[np.float32]]


class Skim(Protocol):
    """A named decision on reconstructed events."""

    @property
    def name(self) -> str:
        """The users' name, e.g. feiHadronic."""

    @property
    def code(self) -> int | None:
        """The experiment's number; None for a user's own skim."""

    @property
    def description(self) -> str:
        """One sentence."""

    def apply(self, reco: RecoBatch, known: Observables | None = None) -> SkimResult:
        """Decide; `known` are the events' observables if they are computed already."""
        ...


@dataclass(frozen=True)
class EventSkim:
    """Events that pass cuts on observables: all of `cuts`, and all of at least one of `topologies` if given."""

    name: str
    code: int | None
    description: str
    cuts: tuple[Cut, ...]
    topologies: tuple[tuple[Cut, ...], ...] = ((),)

    def apply(self, reco: RecoBatch, known: Observables | None = None) -> SkimResult:
        """Decide by the observables."""
        values = observables(reco) if known is None else known
        fits = [passes(topology, values, len(reco)) for topology in self.topologies]
        return SkimResult(passes(self.cuts, values, len(reco)) & np.logical_or.reduce(fits), {})


@dataclass(frozen=True)
class DecaySkim:
    """Events that pass `cuts` and in which at least one of `targets` is found."""

    name: str
    code: int | None
    description: str
    cuts: tuple[Cut, ...]
    tracks: tuple[TrackList, ...]
    neutrals: tuple[NeutralList, ...]
    rules: tuple[Rule, ...]  # in the order in which they build on each other
    targets: tuple[str, ...]

    def apply(self, reco: RecoBatch, known: Observables | None = None) -> SkimResult:
        """Combine candidates in the events that pass the cuts; the best one has the smallest |delta E|."""
        values = observables(reco) if known is None else known
        chosen = np.flatnonzero(passes(self.cuts, values, len(reco)))
        found = best_candidates(self.candidates(reco.select(chosen)))
        passed = np.zeros(len(reco), dtype=bool)
        passed[chosen] = found.pop("found").astype(bool)
        variables = {}
        for name, value in found.items():
            variables[name] = np.full(len(reco), 0 if name == "candidates" else np.nan, np.float32)
            variables[name][chosen] = value
        return SkimResult(passed, variables)

    def candidates(self, reco: RecoBatch) -> list[Candidates]:
        """Candidates of each target, without the cuts on whole events."""
        variables = track_variables(reco.tracks)
        lists = {spec.name: track_candidates(reco, spec, variables) for spec in self.tracks}
        lists |= {spec.name: neutral_candidates(reco, spec) for spec in self.neutrals}
        for rule in self.rules:
            lists[rule.name] = apply_rule(rule, lists)
        return [lists[name] for name in self.targets]


@dataclass(frozen=True)
class CallableSkim:
    """A user's own skim: any function of a batch that gives one bool an event."""

    name: str
    function: Callable[[RecoBatch], NDArray[np.bool_]]
    code: int | None = None
    description: str = "a user's own skim"

    def apply(self, reco: RecoBatch, known: Observables | None = None) -> SkimResult:  # noqa: ARG002
        """Ask the function.

        Raises:
            BadEvent: it does not give one bool an event.
        """
        passed: Any = np.asarray(self.function(reco))
        if passed.dtype != bool or passed.shape != (len(reco),):
            raise BadEvent(
                f"the skim {self.name!r} gave {passed.dtype} of shape {passed.shape} "
                f"for {len(reco)} events; it must give one bool an event"
            )
        return SkimResult(passed, {})


def best_candidates(targets: list[Candidates]) -> dict[str, NDArray[np.float32]]:
    """For each event: `found`, and mbc_gev, delta_e_gev, candidates, target and channel of its best candidate.

    The best has the smallest |delta E|; the first in the order of targets and channels among equals.
    """
    n = targets[0].n_events
    event = np.concatenate([target.event_index for target in targets])
    momentum = np.concatenate([target.momentum for target in targets], axis=1)
    channel = np.concatenate([target.channel for target in targets])
    which = np.repeat(np.arange(len(targets)), [len(target) for target in targets])
    delta_e = momentum[0] - BEAM_GEV
    mbc = np.sqrt(np.maximum(BEAM_GEV**2 - momentum[1] ** 2 - momentum[2] ** 2 - momentum[3] ** 2, 0))
    order = np.lexsort((np.abs(delta_e), event))
    events, first = np.unique(event[order], return_index=True)
    best = order[first]
    result = {"found": np.zeros(n, np.float32)}
    result["found"][events] = 1
    for name, value in (("mbc_gev", mbc), ("delta_e_gev", delta_e), ("target", which), ("channel", channel)):
        result[name] = np.full(n, np.nan, np.float32)
        result[name][events] = value[best]
    return {**result, "candidates": np.bincount(event, minlength=n).astype(np.float32)}
