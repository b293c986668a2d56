"""What a skim is: a name, perhaps a code, and a rule that says which reconstructed events pass.

Cuts on whole events only (`EventSkim`), and any callable of the user's own (`CallableSkim`); decay chains and cuts
have a file of their own (`chains.DecaySkim`). Letters: `B` events.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.reco import RecoBatch
from smartbkg.errors import BadEvent
from smartbkg.skim.cuts import Cut, passes
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
