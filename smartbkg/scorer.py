"""Trained file -> score in [0, 1] for batches of events. ONNX Runtime; no torch unless the file is a checkpoint.

Events are packed one after the other without padding, so the cost follows the number of particles and events of
any lengths share a call. Letters: `B` events, `N` particles.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import BadScore, ManifestMissing, MissingExtra, ModelMismatch, NotAModel
from smartbkg.features import Features, FeatureSpec
from smartbkg.manifest import METADATA_PROPERTY, Manifest
from smartbkg.sessions import first_line, metadata, open_session, side_by_side

if TYPE_CHECKING:
    import onnxruntime

# Particles of one call: some 17 mixed events. Larger calls leave the processor's cache and are slower, smaller ones pay
# for the number of operations: 0.107 ms an event with 700, 0.113 with 350, 0.131 with 3000.
MAX_PARTICLES = 700
MAX_EVENTS = 1024
INPUTS = {"x": "tensor(float)", "token": "tensor(int64)", "mother": "tensor(int64)", "event": "tensor(int64)",
          "n_events": "tensor(int64)"}  # fmt: skip
OUTPUT = "logit"
# First bytes of a zip archive and of a pickle: torch's new and old file format.
_TORCH_MAGIC = (b"PK\x03\x04", b"\x80\x02")


class Scorer(ABC):
    """Scores of events by one trained file."""

    _calls_at_once = 1

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest

    @property
    def spec(self) -> FeatureSpec:
        """How to build the features this file wants."""
        return self.manifest.feature_spec

    def logits(self, features: Features) -> NDArray[np.float64]:
        """(B,) logits, in the order of the events.

        Raises:
            BadScore: a logit is NaN.
            ModelMismatch: features of another width.
        """
        width = len(self.spec.features)
        if features.x.shape[1] != width:
            raise ModelMismatch(f"{self.path} wants {width} features a particle, found {features.x.shape[1]}")
        logits = np.empty(len(features))

        def call(chunk: tuple[int, int]) -> NDArray[np.float32]:
            return self._logits(features.between(*chunk).network_inputs())

        chunks = list(_chunks(features))
        for (first, last), part in zip(chunks, side_by_side(call, chunks, self._calls_at_once), strict=True):
            if part.shape != (last - first,):
                raise ModelMismatch(f"{self.path} gave {part.shape} for {last - first} events: it is no event filter")
            logits[first:last] = part
        if np.isnan(logits).any():
            raise BadScore(f"{self.path} gave NaN for {np.isnan(logits).sum()} of {len(features)} events")
        return logits

    def score(self, features: Features) -> NDArray[np.float64]:
        """(B,) probabilities to keep, in the order of the events; raises as `logits`."""
        return sigmoid(self.logits(features))

    @abstractmethod
    def _logits(self, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        """(B,) logits of one call."""


class OnnxScorer(Scorer):
    """Scores with an exported file."""

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        path, self._calls_at_once = Path(path), threads
        self._session = open_session(path, path.read_bytes())
        try:
            text = metadata(path, self._session, METADATA_PROPERTY)
            _check_interface(path, self._session, has_manifest=text is not None)
        except (NotAModel, ModelMismatch):
            raise
        except Exception as error:  # names of inputs that are no text
            raise NotAModel(path, f"ONNX Runtime refuses it: {first_line(error)}") from error
        if text is None:
            raise ManifestMissing(path)
        super().__init__(path, Manifest.from_json(text, path))

    def _logits(self, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        try:
            logits: NDArray[np.float32] = self._session.run([OUTPUT], inputs)[0]
        except Exception as error:
            raise ModelMismatch(f"{self.path} does not fit its inputs: {first_line(error)}") from error
        return logits


def open_scorer(path: Path | str, threads: int = 1) -> Scorer:
    """Open a trained file, exported or checkpoint; its content decides, whatever its name.

    Args:
        path: the file.
        threads: calls at once of an export, threads of one call of a checkpoint. One is best with one core.

    Raises:
        FileNotFoundError, NotAModel, ManifestMissing, ModelMismatch.
        MissingExtra: a checkpoint needs torch.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    with path.open("rb") as stream:
        magic = stream.read(4)
    if not magic:
        raise NotAModel(path, "it is empty")
    if not magic.startswith(_TORCH_MAGIC):
        return OnnxScorer(path, threads)
    try:
        from smartbkg.models.scoring import TorchScorer
    except ImportError as error:
        raise MissingExtra("torch", "train") from error
    return TorchScorer(path, threads)


def sigmoid(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Logit -> probability, exact at both ends.

    >>> sigmoid(np.array([-800.0, 0.0, 800.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    small = np.exp(-np.abs(logits))
    return np.asarray(np.where(logits >= 0, 1.0, small) / (1.0 + small))


def _chunks(features: Features) -> Iterator[tuple[int, int]]:
    """Ranges of events that share a call: at most MAX_PARTICLES particles, or one event that alone has more."""
    offsets, first = features.offsets, 0
    while first < len(features):
        last = int(np.searchsorted(offsets, offsets[first] + MAX_PARTICLES, side="right")) - 1
        last = min(max(last, first + 1), first + MAX_EVENTS)
        yield first, last
        first = last


def _check_interface(path: Path, session: onnxruntime.InferenceSession, *, has_manifest: bool) -> None:
    found = {node.name: node.type for node in session.get_inputs()}
    outputs = [node.name for node in session.get_outputs()]
    if found != INPUTS or OUTPUT not in outputs:
        wanted = ", ".join(f"{name} {kind}" for name, kind in INPUTS.items())
        there = ", ".join(f"{name} {kind}" for name, kind in found.items()) or "none"
        more = "" if has_manifest else "; it carries no manifest either"
        raise ModelMismatch(
            f"{path} is no exported event filter: inputs {wanted} and the output {OUTPUT} were expected, "
            f"found inputs {there} and outputs {', '.join(outputs)}{more}"
        )
