"""Symmetries of the events, used to make more of little data.

The detector and the boost are symmetric under a reflection of y and, but for the crossing angle of 83 mrad, under
rotations about the beam; a skim treats particles and antiparticles alike. So each event is seen in another of these
guises in every epoch, which costs nothing at inference.

Letters: `N` particles, `T` tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smartbkg.pdg import PdgTable

_PLANES = (("x_cm", "y_cm"), ("x_since_first_cm", "y_since_first_cm"), ("px_gev", "py_gev"))


class Spec(Protocol):
    """What must be known of the features."""

    @property
    def features(self) -> Sequence[str]:
        """Columns of `x`."""

    @property
    def token_table(self) -> str:
        """Name of the PDG table."""


def augment(inputs: dict[str, NDArray[Any]], spec: Spec, draw: np.random.Generator) -> dict[str, NDArray[Any]]:
    """A random rotation, reflection and charge conjugation of each event; takes and gives `network_inputs`."""
    n_events, event = int(inputs["n_events"][0]), inputs["event"]
    angle = draw.uniform(0.0, 2.0 * np.pi, n_events)
    cos, sin = np.cos(angle)[event], np.sin(angle)[event]  # (N,)
    sign = np.where(draw.random(n_events) < 0.5, -1.0, 1.0)[event]
    x = inputs["x"].copy()
    for first, second in _columns(spec.features):
        a, b = inputs["x"][:, first], sign * inputs["x"][:, second]
        x[:, first], x[:, second] = cos * a - sin * b, sin * a + cos * b
    conjugate = (draw.random(n_events) < 0.5)[event]
    token = np.where(conjugate, conjugates(spec.token_table)[inputs["token"]], inputs["token"])
    if "charge" in spec.features:
        x[:, spec.features.index("charge")] *= np.where(conjugate, -1.0, 1.0)
    return {**inputs, "x": x, "token": token}


@cache
def conjugates(token_table: str) -> NDArray[np.int64]:
    """(T,) token of each token's antiparticle; its own where there is none in the table."""
    table = PdgTable.named(token_table)
    codes = np.array(table.codes, dtype=np.int64)
    own = np.arange(table.n_tokens)
    token, known = table.tokens(-codes)
    spare = own[len(codes) :]  # of unknown codes, where the table has a row for them
    return np.append(np.where(known, token, own[: len(codes)]), spare)


def _columns(features: Sequence[str]) -> list[tuple[int, int]]:
    return [(features.index(a), features.index(b)) for a, b in _PLANES if a in features and b in features]
