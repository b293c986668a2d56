"""Generated events -> what the multi-skim network sees; numpy only, the same for training and for the event loop.

All generated particles are seen but the initial ones, those produced at x, y or z >= 10 cm (one-sided: a vertex at
-50 cm stays), and quarks and gluons. Whatever is left out is bridged: the mother of a particle is its nearest ancestor
that is seen, so a hadron of a string hangs on whatever the string came from.

Letters: `B` events, `M` generated particles, `N` particles the network sees.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import ModelMismatch
from smartbkg.events import EventBatch, MCParticles, MCStatus
from smartbkg.features import Features
from smartbkg.pdg import PdgTable
from smartbkg.trees import check_finite, ends_of_links, mother_positions

# Columns of x: time and place from the first particle that is seen, then energy and momentum in the laboratory.
_RELATIVE = ("time_ns", "x_cm", "y_cm", "z_cm")
_ABSOLUTE = ("energy_gev", "px_gev", "py_gev", "pz_gev")
FEATURE_NAMES = (*(f"{name.replace('_', '_since_first_', 1)}" for name in _RELATIVE), *_ABSOLUTE)
MAX_VERTEX_CM = 10.0
LAST_QUARK, GLUON = 5, 21


@dataclass(frozen=True)
class BridgedSpec:
    """How events become inputs of the multi-skim network. It is one convention; it travels in every trained file.

    Args:
        features: columns of `x`.
        token_table: name of the PDG table.
        forbidden_status: bits no particle may have.
        max_vertex_cm: x, y and z of the production vertex must each be smaller; negative ones always are.
        bridged_pdgs: what is skipped whatever its status, `|pdg| <= 5` written out.
    """

    features: tuple[str, ...] = FEATURE_NAMES
    token_table: str = "smartbackground"  # noqa: S105 (a table of particle tokens)
    forbidden_status: int = int(MCStatus.INITIAL)
    max_vertex_cm: float = MAX_VERTEX_CM
    bridged_pdgs: tuple[int, ...] = (*range(-LAST_QUARK, LAST_QUARK + 1), GLUON)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            **dataclasses.asdict(self),
            "features": list(self.features),
            "bridged_pdgs": list(self.bridged_pdgs),
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The reverse of `as_dict`; the convention of this release is the only one there is.

        Raises:
            ModelMismatch: another convention.
        """
        here = cls()
        if values != here.as_dict():
            wrong = sorted(name for name in {*values, *here.as_dict()} if values.get(name) != here.as_dict().get(name))
            raise ModelMismatch(
                f"features of another convention: {', '.join(f'{name} is {values.get(name)!r}' for name in wrong)}; "
                f"this release makes {', '.join(f'{name} {here.as_dict().get(name)!r}' for name in wrong)}"
            )
        return here

    def to_json(self) -> str:
        """One line of JSON, keys sorted."""
        return json.dumps(self.as_dict(), sort_keys=True)

    @cached_property
    def digest(self) -> str:
        """sha256 of `to_json()`."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()


BRIDGED_SPEC = BridgedSpec()


def build_bridged(batch: EventBatch, table: PdgTable | None = None) -> Features:
    """Features of a batch of events for the multi-skim network.

    Args:
        batch: the events.
        table: PDG codes and their tokens; those of the deployed network by default.

    Returns:
        `x` (N, 8) t, x, y, z from the first particle seen (ns, cm), then E, px, py, pz (GeV); `mother` (N,) index
        inside the event of the nearest ancestor that is seen, -1 where there is none.

    Raises:
        BadEvent: a mother index outside its event, a circle of mothers, or a number that is not finite.
    """
    particles = batch.particles
    table = PdgTable.smartbackground() if table is None else table
    parent = mother_positions(batch)  # (M,)
    own = np.arange(len(parent))
    keep = _seen(particles)  # (M,)
    ends_of_links(batch, parent)  # a circle is refused, even where the next lines would not go round in it
    nearest = ends_of_links(batch, np.where(keep, own, parent))  # (M,) itself when it is seen
    ancestor = nearest[parent]

    kept_before = np.concatenate([[0], np.cumsum(keep)])  # (M+1,)
    offsets = kept_before[batch.offsets].astype(np.int64)  # (B+1,)
    rows = np.flatnonzero(keep)  # (N,)
    event = batch.event_index[rows]
    linked = (keep[ancestor] & (parent != own))[rows]
    token, known = table.tokens(particles.pdg[rows])
    codes, counts = np.unique(particles.pdg[rows][~known], return_counts=True)
    return Features(
        x=_numbers(batch, rows, rows[offsets[event]]),
        token=token.astype(np.int64),
        mother=np.where(linked, kept_before[ancestor[rows]] - offsets[event], -1).astype(np.int64),
        offsets=offsets,
        unknown_pdgs=dict(zip(codes.tolist(), counts.tolist(), strict=True)),
    )


def _seen(particles: MCParticles) -> NDArray[np.bool_]:
    """(M,) True for the particles the network sees. A vertex that is no number is seen, and refused by name later."""
    keep = (particles.status & BRIDGED_SPEC.forbidden_status) == 0
    keep &= ((particles.pdg < -LAST_QUARK) | (particles.pdg > LAST_QUARK)) & (particles.pdg != GLUON)
    for axis in (particles.x_cm, particles.y_cm, particles.z_cm):
        keep &= ~(axis >= MAX_VERTEX_CM)
    return np.asarray(keep)


def _numbers(batch: EventBatch, rows: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.float32]:
    """(N, 8) float32 of the particles at `rows` (N,), relative to those at `first` (N,)."""
    particles = batch.particles
    x = np.empty((len(rows), len(FEATURE_NAMES)), dtype=np.float32)
    with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused below, by name
        for column, name in enumerate(_RELATIVE):
            values = getattr(particles, name)
            x[:, column] = values[rows] - values[first]  # in the type the numbers come in, then rounded
        for column, name in enumerate(_ABSOLUTE, start=len(_RELATIVE)):
            x[:, column] = getattr(particles, name)[rows]
    finite = np.isfinite(x).all(axis=1)
    if not finite.all():
        wrong = np.zeros(len(particles), dtype=bool)
        wrong[rows[~finite]] = True
        check_finite(batch, wrong)
    return x
