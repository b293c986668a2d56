"""Draws for particles: each belongs to its event and its index in the event, whatever else is simulated.

Letters: `C` chosen particles.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from smartbkg.draws import normal, uniform
from smartbkg.events import EventBatch


class EventDraws:
    """Draws of the particles at `rows` (C,) of a batch."""

    def __init__(self, batch: EventBatch, rows: NDArray[np.int64], seed: int) -> None:
        event = batch.event_index[rows]
        self._seed = seed
        self._keys = (batch.exp[event], batch.run[event], batch.event[event])
        self._index = rows - batch.offsets[:-1][event]

    def take(self, chosen: NDArray[Any]) -> EventDraws:
        """Draws of some of these particles."""
        taken = object.__new__(EventDraws)
        taken._seed = self._seed
        taken._keys = (self._keys[0][chosen], self._keys[1][chosen], self._keys[2][chosen])
        taken._index = self._index[chosen]
        return taken

    def uniform(self, stream: str) -> NDArray[np.float64]:
        """(C,) in [0, 1)."""
        return uniform(self._seed, *self._keys, stream=f"detector {stream}", index=self._index)

    def normal(self, stream: str) -> NDArray[np.float64]:
        """(C,) standard normal."""
        return normal(self._seed, *self._keys, stream=f"detector {stream}", index=self._index)
