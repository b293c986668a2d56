"""Event files through filters, batch by batch: what is kept of them lies in a spool.

Letters: `B` events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import TrainingError
from smartbkg.evaluation.filters import EventFilter
from smartbkg.evaluation.spool import Spool
from smartbkg.events import read_batches
from smartbkg.matching import NOT_FOUND, EventIndex, EventKeys, event_name
from smartbkg.parquet import read_metadata
from smartbkg.training.metrics import ReferenceTimes

Progress = Callable[[int], None]
_KEYS = ("exp", "run", "event")


@dataclass(frozen=True)
class Scored:
    """All events with their logits.

    Args:
        keys: exp, run and event (B,).
        event_type: (B,) codes.
        row: (B,) of each event among the labels; empty without labels.
        network_ms: CPU time an event of each filter, features included.
    """

    keys: EventKeys
    event_type: NDArray[np.int8]
    row: NDArray[np.int64]
    network_ms: dict[str, float]
    _spool: Spool

    def __len__(self) -> int:
        return len(self.event_type)

    def logits(self, filter_key: str, column: int) -> NDArray[np.float64]:
        """(B,) of one output."""
        return np.asarray(self._spool.column(f"{filter_key}/{column}"))


@dataclass(frozen=True)
class Outputs:
    """A filter, and which of its outputs are wanted."""

    filter: EventFilter
    columns: tuple[int, ...]


def score_events(
    events: Sequence[Path],
    filters: Mapping[str, Outputs],
    spool: Spool,
    labelled: EventKeys | None = None,
    progress: Progress | None = None,
) -> Scored:
    """Score all events.

    Args:
        events: event files.
        filters: by keys of the caller's.
        spool: for the logits.
        labelled: the events that have a label; all that are scored must be among them.
        progress: told the number of events done.

    Raises:
        TrainingError: no event at all, or one without a label.
        EventTwice: an event in two files, or with two labels.
        EventDataError, ModelError: as the files' readers and the networks.
    """
    index = None if labelled is None else EventIndex(labelled, "labelled")
    spent_s, done = dict.fromkeys(filters, 0.0), 0
    for path in events:
        for batch in read_batches(path):
            names = (batch.exp, batch.run, batch.event)
            columns: dict[str, NDArray[np.generic]] = {**dict(zip(_KEYS, names, strict=True))}
            if index is not None:
                columns["row"] = _rows(index, names)
            spool.append({**columns, "event_type": batch.event_type})
            for key, outputs in filters.items():
                started = time.process_time()
                logits = outputs.filter.logits(batch)  # (B, S)
                spent_s[key] += time.process_time() - started
                spool.append({f"{key}/{column}": logits[:, column] for column in outputs.columns})
            done += len(batch)
            if progress is not None:
                progress(done)
    if not done:
        raise TrainingError("the event files hold no event: there is nothing to evaluate")
    exp, run, event = (spool.column(name) for name in _KEYS)
    EventIndex((exp, run, event))  # refuses events that are there twice
    network_ms = {key: 1e3 * seconds / done for key, seconds in spent_s.items()}
    row = np.empty(0, np.int64) if index is None else spool.column("row")
    return Scored((exp, run, event), spool.column("event_type"), row, network_ms, spool)


def measured_times(paths: Sequence[Path], network_ms: float) -> ReferenceTimes | None:
    """Times per event that the files carry, in the mean over their events; None where one of them is not known."""
    found: dict[str, list[tuple[float, int]]] = {}
    for path in paths:
        metadata = read_metadata(path)
        for name, value in metadata.get("times_ms", {}).items():
            found.setdefault(name, []).append((value, max(int(metadata.get("events", 1)), 1)))
    if not {"generate", "simulate", "skim"} <= set(found):
        return None
    known = {name: sum(t * n for t, n in values) / sum(n for _, n in values) for name, values in found.items()}
    return ReferenceTimes(known["generate"], network_ms, known["simulate"] + known["skim"])


def _rows(index: EventIndex, names: EventKeys) -> NDArray[np.int64]:
    rows = index.rows_of(names)
    missing = np.flatnonzero(rows == NOT_FOUND)
    if len(missing):
        raise TrainingError(
            f"{len(missing)} of {len(rows)} events have no label, the first is {event_name(names, missing[0])}: "
            f"label the same event files that are evaluated"
        )
    return rows
