"""Skims by decay chains: candidates are put together, and an event passes in which one is found.

Letters: `B` events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.reco import RecoBatch
from smartbkg.skim.candidates import Candidates
from smartbkg.skim.combine import Mask
from smartbkg.skim.cuts import Cut, passes
from smartbkg.skim.decays import ListSpec
from smartbkg.skim.frame import BEAM_GEV
from smartbkg.skim.observables import observables
from smartbkg.skim.shared import SharedBatch
from smartbkg.skim.skims import Observables, SkimResult
from smartbkg.skim.steering import OnPath


@dataclass(frozen=True)
class DecaySkim(OnPath):
    """Events that pass `cuts` and in which at least one candidate of `targets` is found.

    Args:
        name: the users' name.
        code: the experiment's number, None for a user's own skim.
        description: one sentence.
        cuts: on observables of the whole event.
        targets: names of the lists of which one candidate is wanted, of `lists` or of the standard lists.
        lists: lists of the skim's own, each built on those before it and on the standard lists.
        best: which candidate of an event is the best: `delta_e`, the smallest |delta E|, for B mesons; `momentum`,
            the largest in the collision frame, for all others.
    """

    name: str
    code: int | None
    description: str
    cuts: tuple[Cut, ...]
    targets: tuple[str, ...]
    lists: tuple[ListSpec, ...] = ()
    best: str = "delta_e"

    def __post_init__(self) -> None:
        if self.best not in ("delta_e", "momentum"):
            raise ValueError(f"{self.name}: the best candidate is that of 'delta_e' or 'momentum', not {self.best!r}")

    def apply(self, reco: RecoBatch, known: Observables | None = None) -> SkimResult:
        """Combine candidates in the events that pass the cuts.

        With a `SharedBatch` the standard lists are made once for all skims of the batch; without, only for the
        events that pass. The result is the same.
        """
        values = observables(reco) if known is None else known
        fits = passes(self.cuts, values, len(reco))
        if isinstance(values, SharedBatch) and values.reco is reco:
            found = best_candidates(self.candidates(values, fits), self.best)
            return SkimResult(found.pop("found").astype(bool), found)
        chosen = np.flatnonzero(fits)
        found = best_candidates(self.candidates(SharedBatch(reco.select(chosen))), self.best)
        passed = np.zeros(len(reco), dtype=bool)
        passed[chosen] = found.pop("found").astype(bool)
        variables = {}
        for name, value in found.items():
            variables[name] = np.full(len(reco), 0 if name == "candidates" else np.nan, np.float32)
            variables[name][chosen] = value
        return SkimResult(passed, variables)

    def candidates(self, batch: SharedBatch, events: Mask | None = None) -> list[Candidates]:
        """Candidates of each target, in all events or those where `events` (B,) is True."""
        lists = batch.own_lists(self.lists, events)
        targets = [lists[name] for name in self.targets]
        if events is None:
            return targets
        return [target.take(np.flatnonzero(events[target.event_index])) for target in targets]


def best_candidates(targets: list[Candidates], best: str = "delta_e") -> dict[str, NDArray[np.float32]]:
    """For each event: `found`, and two variables, candidates, target and channel of its best candidate.

    The variables are mbc_gev and delta_e_gev for the smallest |delta E|, mass_gev and p_gev for the largest momentum;
    the first in the order of targets and channels is best among equals.
    """
    n = targets[0].n_events
    event = np.concatenate([target.event_index for target in targets])
    momentum = np.concatenate([target.momentum for target in targets], axis=1)
    p2 = momentum[1] ** 2 + momentum[2] ** 2 + momentum[3] ** 2
    if best == "delta_e":
        delta_e = momentum[0] - BEAM_GEV
        rank, own = np.abs(delta_e), {"mbc_gev": np.sqrt(np.maximum(BEAM_GEV**2 - p2, 0)), "delta_e_gev": delta_e}
    else:
        rank, own = -p2, {"mass_gev": np.sqrt(np.maximum(momentum[0] ** 2 - p2, 0)), "p_gev": np.sqrt(p2)}
    own["target"] = np.repeat(np.arange(len(targets)), [len(target) for target in targets])
    own["channel"] = np.concatenate([target.channel for target in targets])
    order = np.lexsort((rank, event))
    events, first = np.unique(event[order], return_index=True)
    result = {"found": np.zeros(n, np.float32)}
    result["found"][events] = 1
    for name, value in own.items():
        result[name] = np.full(n, np.nan, np.float32)
        result[name][events] = value[order[first]]
    return {**result, "candidates": np.bincount(event, minlength=n).astype(np.float32)}
