"""Trained files as filters: for every skim a logit, and the probability to keep that a job would use.

Two kinds: networks with one logit for one skim, as GATGAP, and the multi-skim network with its configuration.
Letters: `B` events, `S` outputs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.bridging import build_bridged
from smartbkg.decision import MAX_WEIGHT
from smartbkg.errors import BadEvent, UnknownName
from smartbkg.events import EVENT_TYPES, EventBatch
from smartbkg.features import build
from smartbkg.multiskim_scorer import MultiSkimScorer
from smartbkg.pdg import PdgTable
from smartbkg.scorer import Scorer, sigmoid
from smartbkg.smartbackground import SmartBackgroundConfig, activation

Floats = NDArray[np.float64]


class EventFilter(ABC):
    """A filter ready to score.

    Attributes:
        kind: of the network, as in manifests.
        name: what the user named.
        skims: of the outputs, in their order; None for an output that does not say.
        sha256: digest of each file by its role.
        stream: of the draws in a job.
        max_weight: of a kept event.
        weight_name: the column of a skim's weights in kept files, `{skim}` in it for its name.
    """

    kind: str
    stream: str
    weight_name: str
    max_weight: float

    def __init__(self, name: str, skims: tuple[str | None, ...], sha256: dict[str, str]) -> None:
        self.name, self.skims, self.sha256 = name, skims, sha256

    def column(self, skim: str) -> int:
        """The output for a skim.

        Raises:
            UnknownName: the network has none.
        """
        if skim not in self.skims:
            raise UnknownName(f"skim of {self.name}", skim, filter(None, self.skims))
        return self.skims.index(skim)

    def described(self) -> dict[str, Any]:
        """Plain values, for figures."""
        return {"kind": self.kind, "source": self.name, "skims": list(self.skims), "sha256": self.sha256}

    @abstractmethod
    def logits(self, batch: EventBatch) -> Floats:
        """(B, S) logits; BadScore for one that is NaN."""

    @abstractmethod
    def probability(self, skim: str, logit: Floats) -> Floats:
        """(B,) probability to keep for a skim, as a job that samples uses it."""


class OneSkimFilter(EventFilter):
    """GATGAP, or another network of one logit. Asked about another skim, its score is judged by that purpose."""

    stream, weight_name, max_weight = "NNFilterModule", "weight", MAX_WEIGHT

    def __init__(self, scorer: Scorer, name: str, sha256: dict[str, str]) -> None:
        self._scorer, self.kind = scorer, scorer.manifest.kind
        super().__init__(name, (scorer.manifest.skim,), sha256)

    def column(self, skim: str) -> int:  # noqa: ARG002
        """The one that there is."""
        return 0

    def logits(self, batch: EventBatch) -> Floats:
        """(B, 1)."""
        return self._scorer.logits(build(batch, self._scorer.spec))[:, None]

    def probability(self, skim: str, logit: Floats) -> Floats:  # noqa: ARG002
        """The sigmoid; no event gets more than the largest weight."""
        return np.maximum(sigmoid(logit), 1.0 / self.max_weight)


class MultiSkimFilter(EventFilter):
    """One network for many skims, each with an activation of its own.

    Args:
        scorer: of the logits.
        config: what they mean; both belong together.
        name: what the user named.
        sha256: of its files.
        event_type: of all events, in place of what they say themselves.
    """

    kind, stream, weight_name = "multiskim", "SmartBackground", "weight_{skim}"

    def __init__(
        self,
        scorer: MultiSkimScorer,
        config: SmartBackgroundConfig,
        name: str,
        sha256: dict[str, str],
        event_type: str | None = None,
    ) -> None:
        self._scorer, self._config, self._table = scorer, config, PdgTable.of_codes(config.pdg_codes)
        self.max_weight = config.max_weight
        forced = None if event_type is None else config.event_type(event_type)
        # The number of each of our types, -1 for one that the network does not know.
        self._numbers = np.array([config.event_types.get(own, -1) if forced is None else forced for own in EVENT_TYPES])
        self._forced = forced
        super().__init__(name, tuple(skim.name for skim in config.skims), sha256)

    def logits(self, batch: EventBatch) -> Floats:
        """(B, S); an event without any particle that the network sees is kept in any case, and has an infinite one."""
        features = build_bridged(batch, self._table)
        logits = self._scorer.logits(features, self._types(batch))
        logits[features.counts == 0] = np.inf
        return logits

    def probability(self, skim: str, logit: Floats) -> Floats:
        """By the activation of the skim."""
        entry = self._config.skims[self.column(skim)]
        return activation(logit, entry.a, entry.b, self.max_weight)

    def described(self) -> dict[str, Any]:
        """With the activations, which decide as much as the network does."""
        activations = {skim.name: {"a": skim.a, "b": skim.b} for skim in self._config.skims}
        return {**super().described(), "activation": activations, "max_weight": self.max_weight}

    def _types(self, batch: EventBatch) -> NDArray[np.int64]:
        """(B,) numbers of the event types for the network."""
        if self._forced is not None:
            return np.full(len(batch), self._forced)
        codes = batch.event_type.astype(np.int64)
        numbers = np.where(codes >= 0, self._numbers[codes], -1)
        wrong = np.flatnonzero(numbers < 0)
        if len(wrong):
            first = int(codes[wrong[0]])
            raise BadEvent(
                f"{len(wrong)} of {len(batch)} events are of {'no type' if first < 0 else EVENT_TYPES[first]}, "
                f"{self.name} knows {', '.join(sorted(self._config.event_types))}: give --event-type"
            )
        return numbers
