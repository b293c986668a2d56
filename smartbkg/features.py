"""Generated events -> what the GATGAP network sees; numpy only, the same for training and for the event loop.

Letters: `B` events, `M` generated particles, `N` particles kept for the network, `F` features.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import ModelMismatch
from smartbkg.events import EventBatch, MCParticles, MCStatus, take_ragged
from smartbkg.pdg import PdgTable
from smartbkg.trees import check_finite, ends_of_links, mother_positions

_SINCE_ROOT = "time_since_root_ns"
_FEATURE_NAMES = (_SINCE_ROOT, "energy_gev", "x_cm", "y_cm", "z_cm", "px_gev", "py_gev", "pz_gev", "mass_gev", "charge")


@dataclass(frozen=True)
class FeatureSpec:
    """Which particles a network sees, and which numbers of each, in order. Travels inside every trained file.

    Args:
        features: columns of `x`; names and units of `MCParticles`, and the time since the tree's root.
        token_table: name of the PDG table.
        required_status: bits every particle must have.
        forbidden_status: bits no particle may have.
        max_vertex_cm: |x|, |y| and |z| of the production vertex must each be smaller.
    """

    features: tuple[str, ...] = _FEATURE_NAMES[:8]
    token_table: str = "gatgap"  # noqa: S105 (a table of particle tokens)
    required_status: int = int(MCStatus.PRIMARY)
    forbidden_status: int = int(MCStatus.VIRTUAL | MCStatus.INITIAL | MCStatus.ISR_PHOTON | MCStatus.FSR_PHOTON)
    max_vertex_cm: float = 10.0

    def __post_init__(self) -> None:
        unknown = sorted(set(self.features) - set(_FEATURE_NAMES))
        if unknown:
            raise ModelMismatch(f"unknown features {', '.join(unknown)}; known: {', '.join(_FEATURE_NAMES)}")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {**dataclasses.asdict(self), "features": list(self.features)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The reverse of `as_dict`.

        Raises:
            ModelMismatch: a value is missing, unknown or of the wrong kind.
        """
        known = {f.name for f in dataclasses.fields(cls)}
        if set(values) != known:
            raise ModelMismatch(f"a feature spec has {', '.join(sorted(known))}; found {', '.join(sorted(values))}")
        try:
            return cls(
                features=tuple(str(name) for name in values["features"]),
                token_table=str(values["token_table"]),
                required_status=int(values["required_status"]),
                forbidden_status=int(values["forbidden_status"]),
                max_vertex_cm=float(values["max_vertex_cm"]),
            )
        except (TypeError, ValueError, OverflowError) as error:
            raise ModelMismatch(f"a feature spec with values of the wrong kind: {error}") from error

    def to_json(self) -> str:
        """One line of JSON, keys sorted: equal specs give equal text."""
        return json.dumps(self.as_dict(), sort_keys=True)

    @cached_property
    def digest(self) -> str:
        """sha256 of `to_json()`."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    @property
    def token_digest(self) -> str:
        """Digest of the PDG table's content."""
        return PdgTable.named(self.token_table).digest


GATGAP_SPEC = FeatureSpec()
# The convolutional baseline scales its numbers itself, and takes the last one, the charge, for a class.
CONVNET_SPEC = FeatureSpec(features=_FEATURE_NAMES)


@dataclass(frozen=True)
class Features:
    """Particles of many events as a network reads them, packed without padding.

    Args:
        x: (N, F) float32.
        token: (N,) PDG tokens.
        mother: (N,) index inside the event; its own index for a root, -1 when the mother was cut away.
        offsets: (B+1,) where each event's particles begin.
        unknown_pdgs: PDG code -> how many kept particles had it without a token of its own.
    """

    x: NDArray[np.float32]
    token: NDArray[np.int64]
    mother: NDArray[np.int64]
    offsets: NDArray[np.int64]
    unknown_pdgs: dict[int, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """(B,) particles of each event."""
        return np.diff(self.offsets)

    def select(self, rows: NDArray[Any]) -> Features:
        """The events at these rows: a mask (B,) or indices, in their order. Unknown codes are not counted again."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        flat, offsets = take_ragged(self.offsets, rows)
        return Features(self.x[flat], self.token[flat], self.mother[flat], offsets)

    def between(self, first: int, last: int) -> Features:
        """Events first .. last-1, without copying."""
        begin, end = int(self.offsets[first]), int(self.offsets[last])
        rows = slice(begin, end)
        return Features(self.x[rows], self.token[rows], self.mother[rows], self.offsets[first : last + 1] - begin)

    def network_inputs(self) -> dict[str, NDArray[Any]]:
        """The named inputs of every GATGAP network, torch or exported.

        Returns:
            `x` (N, F) float32; `token` (N,); `mother` (N,) index in the whole batch, -1 where there is no edge;
            `event` (N,) position of each particle's event; `n_events` (1,); all int64 but `x`.
        """
        event = np.repeat(np.arange(len(self)), self.counts)
        begin = (self.offsets[:-1] - self.offsets[0])[event]
        own = np.arange(len(event)) - begin
        edge = (self.mother >= 0) & (self.mother != own)
        return {
            "x": np.ascontiguousarray(self.x, dtype=np.float32),
            "token": self.token.astype(np.int64),
            "mother": np.where(edge, self.mother + begin, -1).astype(np.int64),
            "event": event.astype(np.int64),
            "n_events": np.array([len(self)], dtype=np.int64),
        }


def build(batch: EventBatch, spec: FeatureSpec = GATGAP_SPEC) -> Features:
    """Features of a batch of events.

    Raises:
        BadEvent: a mother index outside its event, a circle of mothers, or a number that is not finite.
    """
    particles = batch.particles
    parent = _parents(batch)  # (M,)
    with np.errstate(invalid="ignore"):  # what is not finite is refused below by name, unless it is cut
        values = {_SINCE_ROOT: particles.time_ns - particles.time_ns[ends_of_links(batch, parent)]}
    columns = [values[name] if name in values else getattr(particles, name) for name in spec.features]
    x = np.stack(columns, axis=1).astype(np.float32)  # (M, F)
    keep = _kept(particles, spec)  # (M,)
    check_finite(batch, keep & ~np.isfinite(x).all(axis=1))

    kept_before = np.concatenate([[0], np.cumsum(keep)])  # (M+1,)
    offsets = kept_before[batch.offsets]  # (B+1,)
    event = batch.event_index
    mother = np.where(keep[parent], kept_before[:-1][parent] - offsets[event], -1)
    token, known = PdgTable.named(spec.token_table).tokens(particles.pdg[keep])
    codes, counts = np.unique(particles.pdg[keep][~known], return_counts=True)
    return Features(
        x=x[keep],
        token=token.astype(np.int64),
        mother=mother[keep].astype(np.int64),
        offsets=offsets.astype(np.int64),
        unknown_pdgs=dict(zip(codes.tolist(), counts.tolist(), strict=True)),
    )


def _kept(particles: MCParticles, spec: FeatureSpec) -> NDArray[np.bool_]:
    """(M,) True for the particles the network sees."""
    keep = (particles.status & spec.required_status) == spec.required_status
    keep &= (particles.status & spec.forbidden_status) == 0
    for axis in (particles.x_cm, particles.y_cm, particles.z_cm):
        keep &= np.abs(axis) < spec.max_vertex_cm
    return np.asarray(keep)


def _parents(batch: EventBatch) -> NDArray[np.int64]:
    """(M,) position in the batch of each particle's mother; its own when it is a root of a tree."""
    parent = mother_positions(batch)
    virtual = (batch.particles.status & MCStatus.VIRTUAL) != 0
    return np.where(virtual[parent], np.arange(len(parent)), parent)
