"""What skims share of one batch: each observable and each standard list is worked out once, when first asked for."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterator, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from smartbkg.detector.reco import RecoBatch
from smartbkg.skim.candidates import Candidates
from smartbkg.skim.combine import Lists, Mask, apply_rule, apply_selection, apply_veto
from smartbkg.skim.decays import ListSpec, NeutralList, Rule, Selection, TrackList
from smartbkg.skim.final import neutral_candidates, track_candidates, track_variables
from smartbkg.skim.observables import observables
from smartbkg.skim.standard import STANDARD


class SharedBatch(Mapping[str, NDArray[np.float32]]):
    """The observables of a batch by name, and beside them the standard lists of candidates.

    Give it to skims in the place of the observables; skims that know nothing of lists see the observables only.
    """

    def __init__(self, reco: RecoBatch, known: Mapping[str, NDArray[np.float32]] | None = None) -> None:
        self.reco = reco
        self._known = known

    @classmethod
    def of(cls, reco: RecoBatch, known: Mapping[str, NDArray[np.float32]] | None) -> SharedBatch:
        """`known` itself if it is the shared batch of these events, otherwise a new one."""
        return known if isinstance(known, SharedBatch) and known.reco is reco else cls(reco, known)

    @cached_property
    def observables(self) -> Mapping[str, NDArray[np.float32]]:
        """Those given, or computed now."""
        return observables(self.reco) if self._known is None else self._known

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        return self.observables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.observables)

    def __len__(self) -> int:
        return len(self.observables)

    @cached_property
    def lists(self) -> Lists:
        """The standard lists by name."""
        return _StandardLists(self)

    def own_lists(self, specs: tuple[ListSpec, ...], events: Mask | None = None) -> Lists:
        """Lists of one skim, built on each other in order and on the standard ones, which come along.

        Args:
            specs: the lists of the skim.
            events: (B,) True for the events in which its rules are applied; None means all.
        """
        own: dict[str, Candidates] = {}
        for spec in specs:
            own[spec.name] = self.make(spec, ChainMap(own, self.lists), events)  # type: ignore[arg-type]
        return ChainMap(own, self.lists)  # type: ignore[arg-type]

    def make(self, spec: ListSpec, lists: Lists, events: Mask | None = None) -> Candidates:
        """One list."""
        if isinstance(spec, TrackList):
            return track_candidates(self.reco, spec, self._track_variables)
        if isinstance(spec, NeutralList):
            return neutral_candidates(self.reco, spec)
        if isinstance(spec, Rule):
            return apply_rule(spec, lists, events)
        if isinstance(spec, Selection):
            return apply_selection(spec, lists)
        return apply_veto(spec, lists)

    @cached_property
    def _track_variables(self) -> dict[str, NDArray[np.float64]]:
        return track_variables(self.reco.tracks)


class _StandardLists(Mapping[str, Candidates]):
    """The standard lists of a batch, each made when first asked for."""

    def __init__(self, batch: SharedBatch) -> None:
        self._batch = batch
        self._made: dict[str, Candidates] = {}

    def __getitem__(self, name: str) -> Candidates:
        if name not in self._made:
            self._made[name] = self._batch.make(STANDARD[name], self)
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in STANDARD

    def __iter__(self) -> Iterator[str]:
        return iter(STANDARD)

    def __len__(self) -> int:
        return len(STANDARD)
