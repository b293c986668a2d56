"""Rows of events found by their name: (exp, run, event), never the event number alone, never the order of files.

Letters: `B` events.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import EventDataError, EventTwice

EventKeys = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]
NOT_FOUND = -1


class EventIndex:
    """Finds the rows of events; made once, asked for batch after batch.

    Args:
        keys: exp, run and event (B,) of each row.
        what: what the rows are, for messages.

    Raises:
        EventTwice: two rows have the same name.
        EventDataError: numbers too far apart to be matched.
    """

    def __init__(self, keys: EventKeys, what: str = "given") -> None:
        event = keys[2].astype(np.int64)
        self._runs, run_number = np.unique(_run_code(keys), return_inverse=True)
        self._first = int(event.min()) if len(event) else 0
        self._span = int(event.max()) - self._first + 1 if len(event) else 1
        if self._span * len(self._runs) >= 1 << 63:
            raise EventDataError(
                f"event numbers from {self._first} to {event.max()} in {len(self._runs)} runs cannot be matched"
            )
        code = run_number.astype(np.int64) * self._span + (event - self._first)
        self._order = np.argsort(code, kind="stable")
        self._sorted = code[self._order]
        twice = np.flatnonzero(np.diff(self._sorted) == 0)
        if len(twice):
            name = event_name(keys, int(self._order[twice[0]]))
            raise EventTwice(
                f"{len(twice)} events are {what} more than once, the first is {name}: a file twice, or two event types "
                f"generated for the same run?"
            )

    def rows_of(self, keys: EventKeys) -> NDArray[np.int64]:
        """(B,) row of each of these events, NOT_FOUND where there is none."""
        if not len(self._sorted):
            return np.full(len(keys[2]), NOT_FOUND, dtype=np.int64)
        run, shifted = _run_code(keys), keys[2].astype(np.int64) - self._first
        run_number = np.minimum(np.searchsorted(self._runs, run), len(self._runs) - 1)
        known = (self._runs[run_number] == run) & (shifted >= 0) & (shifted < self._span)
        code = np.where(known, run_number * self._span + shifted, 0)
        place = np.minimum(np.searchsorted(self._sorted, code), len(self._sorted) - 1)
        return np.where(known & (self._sorted[place] == code), self._order[place], NOT_FOUND)


def join_keys(many: Sequence[EventKeys]) -> EventKeys:
    """The keys of several batches, one after the other."""
    exp, run, event = (np.concatenate([keys[i] for keys in many]) for i in range(3))
    return exp, run, event


def event_name(keys: EventKeys, row: int) -> str:
    """How messages name an event.

    >>> event_name((np.array([0]), np.array([12]), np.array([7])), 0)
    'event 7 of run 0,12'
    """
    return f"event {keys[2][row]} of run {keys[0][row]},{keys[1][row]}"


def _run_code(keys: EventKeys) -> NDArray[np.int64]:
    return (keys[0].astype(np.int64) << 32) | keys[1].astype(np.int64)
