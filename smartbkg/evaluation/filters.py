"""Trained files as filters: for every skim a logit, and the probability to keep that a job would use.

Two kinds: GATGAP, with one logit for one skim, and the multi-skim network with its configuration. Both are opened
from local files; who resolves names to files stands elsewhere. Letters: `B` events, `S` outputs.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.decision import MAX_WEIGHT
from smartbkg.errors import ManifestMissing, TrainingError, UnknownName
from smartbkg.events import EventBatch
from smartbkg.features import build
from smartbkg.scorer import Scorer, open_scorer, sigmoid
from smartbkg.smartbackground import BATCHED_FILE, CONFIG_FILE, WEIGHTS_FILE

Floats = NDArray[np.float64]
GATGAP_FILES = ("GATGAPgen.onnx", "GATGAPgen.pth")  # the export is faster and needs no torch


@dataclass(frozen=True)
class FilterFiles:
    """Local files of one trained filter.

    Args:
        weights: checkpoint or export.
        config: of a multi-skim filter.
        batched: companion of its weights, for batches.
        source: what the user named, for messages and reports; the weights' path when left out.
    """

    weights: Path
    config: Path | None = None
    batched: Path | None = None
    source: str = ""

    @property
    def name(self) -> str:
        """How reports call it."""
        return self.source or str(self.weights)


class EventFilter(ABC):
    """A filter ready to score.

    Attributes:
        kind: gatgap or multiskim.
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


class GatgapFilter(EventFilter):
    """One network, one logit. It may be asked about any skim: then its score is judged by another purpose."""

    kind, stream, weight_name, max_weight = "gatgap", "NNFilterModule", "weight", MAX_WEIGHT

    def __init__(self, scorer: Scorer, name: str) -> None:
        self._scorer = scorer
        digests = {"weights": file_sha256(scorer.path), "checkpoint": scorer.manifest.checkpoint_sha256}
        super().__init__(name, (scorer.manifest.skim,), {role: d for role, d in digests.items() if d is not None})

    def column(self, skim: str) -> int:  # noqa: ARG002
        """The one that there is."""
        return 0

    def logits(self, batch: EventBatch) -> Floats:
        """(B, 1)."""
        return self._scorer.logits(build(batch, self._scorer.spec))[:, None]

    def probability(self, skim: str, logit: Floats) -> Floats:  # noqa: ARG002
        """The sigmoid; no event gets more than the largest weight."""
        return np.maximum(sigmoid(logit), 1.0 / self.max_weight)


def find_files(path: Path, config: Path | None = None) -> FilterFiles:
    """The files that belong to a trained file, a configuration, or a folder that a training has left.

    Args:
        path: file or folder.
        config: of the multi-skim weights, when it does not lie beside them.

    Raises:
        FileNotFoundError: says what would have to be there.
        TrainingError: a folder with two filters.
    """
    if path.is_dir():
        return _in_folder(path, config)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    if path.name in GATGAP_FILES:
        return FilterFiles(path, source=str(path))
    if path.suffix == ".json":  # the configuration leads to its weights
        return _multiskim(path.parent / WEIGHTS_FILE, path, str(path))
    beside = path.parent / CONFIG_FILE
    config = config or (beside if beside.is_file() else None)
    if path.name == WEIGHTS_FILE and config is not None:
        return _multiskim(path, config, str(path))
    return FilterFiles(path, config, source=str(path))


def open_filter(files: FilterFiles, threads: int = 1) -> EventFilter:
    """Open a filter; what the weights hold decides of which kind it is.

    Raises:
        FileNotFoundError, NotAModel, ManifestMissing, ModelMismatch.
        MissingExtra: a checkpoint needs torch.
    """
    if files.config is None:
        return GatgapFilter(open_scorer(files.weights, threads), files.name)
    raise ManifestMissing(files.weights)


def file_sha256(path: Path) -> str:
    """Digest of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _in_folder(folder: Path, config: Path | None) -> FilterFiles:
    gatgap = [folder / name for name in GATGAP_FILES if (folder / name).is_file()]
    weights = folder / WEIGHTS_FILE
    if gatgap and weights.is_file():
        raise TrainingError(f"{folder} holds two filters: name {gatgap[0].name} or {weights.name} in it")
    if gatgap:
        return FilterFiles(gatgap[0], source=str(folder))
    if weights.is_file():
        return _multiskim(weights, config or folder / CONFIG_FILE, str(folder))
    raise FileNotFoundError(f"no trained filter in {folder}: a training leaves {GATGAP_FILES[0]} or {WEIGHTS_FILE}")


def _multiskim(weights: Path, config: Path, source: str) -> FilterFiles:
    for path in (weights, config):
        if not path.is_file():
            raise FileNotFoundError(f"no file {path}: weights and configuration of {source} belong together")
    batched = weights.parent / BATCHED_FILE
    return FilterFiles(weights, config, batched if batched.is_file() else None, source)
