"""Multi-skim weights -> one logit a skim for batches of events. ONNX Runtime; no torch.

Two forms of a network are read: for padded batches, and for one event a call, as existing programs have it (then with
or without a manifest). Events of a batch are sorted by length and padded to the next multiple of LENGTH_STEP, so few
shapes occur and little is padded in vain. The padded length of an event follows from its own length alone, and no
product of our networks has one row only; so every event goes through the same arithmetic whatever shares its batch,
and its logits are the same to the last bit.

Letters: `B` events, `N` particles, `P` particles padded, `S` skims.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from smartbkg.errors import BadEvent, BadScore, ModelMismatch, NotAModel, UnknownName
from smartbkg.features import Features
from smartbkg.manifest import METADATA_PROPERTY
from smartbkg.multiskim_manifest import MultiSkimManifest
from smartbkg.quantize import quantized
from smartbkg.sessions import first_line, metadata, open_session, side_by_side

if TYPE_CHECKING:
    import onnxruntime

log = logging.getLogger(__name__)

# Mixed events in batches of 64 and 1024 take 0.23 and 0.20 ms of CPU; with steps of 4 0.25 and 0.19, of 16 0.23 and
# 0.22. Half or twice as many particles a call make no difference that is larger than the noise.
LENGTH_STEP: Final = 8
MAX_ROWS: Final = 1024  # particles of one call, padding included
N_FEATURES: Final = 8
PRECISIONS: Final = ("fp32", "int8")
COMPARED: Final = 100  # events of the first batch that tell what a lower precision changes
_TYPES = {"x": "tensor(float)", "pdg": "tensor(int32)", "mother": "tensor(int32)", "c": "tensor(int32)"}
# Number of dimensions of x, pdg, mother, c in each form.
_SINGLE, _BATCHED = (2, 1, 1, 0), (3, 2, 2, 1)


@dataclass(frozen=True)
class PrecisionChange:
    """What a lower precision does to logits: how many events were compared, and |Δ| over all skims."""

    n_events: int
    mean: float
    largest: float


class MultiSkimScorer(ABC):
    """Logits of events by one trained file.

    Attributes:
        path: the file.
        manifest: what the file says about itself; None for one of another program.
        n_skims: S.
        change: what a lower precision did to logits of the first batch; None before it, and in full precision.
    """

    _exact: MultiSkimScorer | None = None
    _max_rows = MAX_ROWS
    change: PrecisionChange | None = None

    def __init__(
        self, path: Path, session: onnxruntime.InferenceSession, manifest: MultiSkimManifest | None, threads: int
    ) -> None:
        self.path, self.manifest, self._session, self._threads = path, manifest, session, threads
        self._output = session.get_outputs()[0].name
        self.n_skims = self._count_skims()

    def logits(self, features: Features, event_type: ArrayLike) -> NDArray[np.float64]:
        """Logits of events.

        Args:
            features: of B events, as `smartbkg.bridging` makes them.
            event_type: (B,) number of each event's type.

        Returns:
            (B, S) in the order of the events; 0.0 for an event without particles, about which a network says nothing.

        Raises:
            BadEvent: an event without a known type.
            BadScore: a logit that is not finite.
            ModelMismatch: features that are not those of this network.
        """
        kinds = self._checked(features, np.asarray(event_type))
        logits = np.zeros((len(features), self.n_skims))

        def call(rows: NDArray[np.int64]) -> NDArray[np.float32]:
            return self._call(features.select(rows), kinds[rows])

        parts = self._parts(features.counts)
        for rows, found in zip(parts, side_by_side(call, parts, self._threads), strict=True):
            if found.shape != (len(rows), self.n_skims):
                raise ModelMismatch(f"{self.path} gave {found.shape} for {len(rows)} events and {self.n_skims} skims")
            logits[rows] = found
        wrong = ~np.isfinite(logits).all(axis=1)
        if wrong.any():
            raise BadScore(f"{self.path} gave no finite logits for {wrong.sum()} of {len(features)} events")
        if self._exact is not None and self.change is None:
            self._compare(self._exact, features, kinds, logits)
        return logits

    def use_integers(self, exact: MultiSkimScorer) -> None:
        """Calls of one event each, because integers take their scale from all of a call; compared with `exact`."""
        self._exact, self._max_rows = exact, 1

    def _compare(
        self, exact: MultiSkimScorer, features: Features, kinds: NDArray[np.int32], logits: NDArray[np.float64]
    ) -> None:
        rows = np.flatnonzero(features.counts)[:COMPARED]
        if not len(rows):
            return
        change = np.abs(exact.logits(features.select(rows), kinds[rows]) - logits[rows])
        self.change = PrecisionChange(len(rows), float(change.mean()), float(change.max()))
        log.warning(
            "%s in integers: logits of %d events changed by %.4f on average, by %.4f at most",
            self.path, self.change.n_events, self.change.mean, self.change.largest,
        )  # fmt: skip

    @abstractmethod
    def _parts(self, counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """Rows of the events that share a call, for events with so many particles (B,); without empty events."""

    @abstractmethod
    def _call(self, features: Features, kinds: NDArray[np.int32]) -> NDArray[np.float32]:
        """Logits (rows, S) of the events of one part."""

    def _checked(self, features: Features, kinds: NDArray[Any]) -> NDArray[np.int32]:
        if features.x.ndim != 2 or features.x.shape[1] != N_FEATURES:
            raise ModelMismatch(f"{self.path} wants {N_FEATURES} features a particle, found {features.x.shape[1:]}")
        if kinds.shape != (len(features),):
            raise ModelMismatch(f"{len(features)} events need as many types, found {kinds.shape}")
        n_types = np.iinfo(np.int32).max if self.manifest is None else len(self.manifest.event_types)
        wrong = (kinds < 0) | (kinds >= n_types)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            raise BadEvent(f"{wrong.sum()} of {len(kinds)} events are of no type {self.path} knows: {kinds[first]}")
        return kinds.astype(np.int32)

    def _run(self, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        try:
            output: NDArray[np.float32] = self._session.run([self._output], inputs)[0]
        except Exception as error:  # the runtime has no common base for its errors
            raise ModelMismatch(f"{self.path} does not fit its inputs: {first_line(error)}") from error
        return output

    def _count_skims(self) -> int:
        last = (self._session.get_outputs()[0].shape or [None])[-1]
        found = last if isinstance(last, int) else self._call(_one_particle(), np.zeros(1, np.int32)).shape[-1]
        if self.manifest is not None and len(self.manifest.skims) != found:
            raise ModelMismatch(f"{self.path} has {found} outputs; its manifest names {len(self.manifest.skims)} skims")
        return int(found)


class _Batched(MultiSkimScorer):
    """The form for padded batches."""

    def _parts(self, counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        length = _padded_length(counts)
        order = np.argsort(length, kind="stable")
        order = order[np.searchsorted(length[order], 1) :]  # without events that are empty
        length = length[order]
        parts, first = [], 0
        while first < len(order):
            same = int(np.searchsorted(length, length[first], side="right"))
            last = min(first + max(self._max_rows // int(length[first]), 1), same)
            parts.append(order[first:last])
            first = last
        return parts

    def _call(self, features: Features, kinds: NDArray[np.int32]) -> NDArray[np.float32]:
        real = np.arange(_padded_length(features.counts)[0]) < features.counts[:, None]  # (B, P)
        x = np.zeros((*real.shape, N_FEATURES), np.float32)
        pdg, mother = np.full(real.shape, -1, np.int32), np.full(real.shape, -1, np.int32)
        x[real], pdg[real], mother[real] = features.x, features.token, features.mother
        return self._run({"x": x, "pdg": pdg, "mother": mother, "c": kinds})


class _Single(MultiSkimScorer):
    """The form for one event a call, ours or of another program."""

    def _parts(self, counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        rows = np.flatnonzero(counts)
        return np.split(rows, np.arange(1, len(rows))) if len(rows) else []

    def _call(self, features: Features, kinds: NDArray[np.int32]) -> NDArray[np.float32]:
        inputs = {
            "x": np.ascontiguousarray(features.x, np.float32),
            "pdg": features.token.astype(np.int32),
            "mother": features.mother.astype(np.int32),
            "c": kinds.reshape(()),
        }
        output = self._run(inputs)
        return output.reshape(1, -1) if output.ndim == 1 else output


def open_multiskim(path: Path | str, threads: int = 1, precision: str = "fp32") -> MultiSkimScorer:
    """Open multi-skim weights in either form; the inputs they ask for decide.

    Args:
        path: the file.
        threads: calls at once. One is best when a job has one core.
        precision: of the dense layers, one of PRECISIONS. "int8" makes integers of the weights, calls one event at a
            time, and says after its first batch how much it changed.

    Raises:
        FileNotFoundError
        NotAModel: empty, damaged, or no ONNX model.
        ModelMismatch: other inputs or outputs, or a manifest of another network.
        UnknownName: no such precision.
        MissingExtra: integers need onnx.
    """
    path = Path(path)
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, PRECISIONS)
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    content = path.read_bytes()
    if not content:
        raise NotAModel(path, "it is empty")
    session = open_session(path, content)
    text = metadata(path, session, METADATA_PROPERTY)
    dimensions = _dimensions(path, session)
    if dimensions not in (_SINGLE, _BATCHED):
        raise ModelMismatch(_other_interface(path, session))
    manifest = None if text is None else MultiSkimManifest.from_json(text, path)
    form = _Batched if dimensions == _BATCHED else _Single
    scorer = form(path, session, manifest, threads)
    if precision == "int8":
        exact, session = scorer, open_session(path, quantized(path, content))
        scorer = form(path, session, manifest, threads)
        scorer.use_integers(exact)
    return scorer


def _dimensions(path: Path, session: onnxruntime.InferenceSession) -> tuple[int, ...] | None:
    """Number of dimensions of x, pdg, mother, c; None when these are not the inputs, or the output is not one."""
    try:
        inputs = {node.name: node for node in session.get_inputs()}
        outputs = session.get_outputs()
    except Exception as error:  # names that are no text
        raise NotAModel(path, f"ONNX Runtime refuses it: {first_line(error)}") from error
    if {name: node.type for name, node in inputs.items()} != _TYPES or len(outputs) != 1:
        return None
    if outputs[0].type != "tensor(float)":
        return None
    return tuple(len(inputs[name].shape) for name in _TYPES)


def _other_interface(path: Path, session: onnxruntime.InferenceSession) -> str:
    there = ", ".join(f"{node.name} {node.type} {node.shape}" for node in session.get_inputs()) or "none"
    outputs = ", ".join(f"{node.name} {node.type} {node.shape}" for node in session.get_outputs())
    return (
        f"{path} is no multi-skim filter: inputs x float (n, 8), pdg int32 (n), mother int32 (n), c int32 () and one "
        f"float output (skims) were expected, or the same with events in front; found inputs {there} and outputs "
        f"{outputs}"
    )


def _padded_length(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """(B,) particles of each event with its padding."""
    return -(-counts // LENGTH_STEP) * LENGTH_STEP


def _one_particle() -> Features:
    one = np.zeros(1, np.int64)
    return Features(np.ones((1, N_FEATURES), np.float32), one, one - 1, np.array([0, 1]))
