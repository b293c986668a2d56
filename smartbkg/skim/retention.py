"""How many events of each type pass each skim: the retention table.

Counted from skimmed files, or from files of reconstructed events, whose skims are then applied.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from smartbkg.errors import BadEvent
from smartbkg.events import EVENT_TYPES, KEY_COLUMNS, UNKNOWN_TYPE, read_keys
from smartbkg.parquet import read_metadata, read_schema, read_tables
from smartbkg.skim.job import found_skims, skimmed_batches
from smartbkg.skim.library import group_of
from smartbkg.skim.own import ALL
from smartbkg.skim.skims import Skim, all_skims

UNKNOWN = "unknown"
# B pairs first, then quark pairs from light to heavy, then tau pairs.
TYPE_ORDER = ("mixed", "charged", "uubar", "ddbar", "ssbar", "ccbar", "taupair", UNKNOWN)
MAX_DECIMALS = 4  # of percent: one event in a million
# No event of n: the true fraction is below this over n with a probability of 68 %, as one standard deviation.
NONE_PASSED = -math.log(1 - 0.6827)


@dataclass
class Count:
    """Events of one type that pass a skim, of those that were asked."""

    passed: int = 0
    events: int = 0

    @property
    def retention(self) -> float:
        """Passed over all."""
        return self.passed / self.events if self.events else math.nan

    @property
    def error(self) -> float:
        """Binomial; for no passing event the limit at 68 %.

        >>> count = Count(36, 100)
        >>> round(count.error, 6)
        0.048
        """
        if not self.events:
            return math.nan
        if not self.passed:
            return NONE_PASSED / self.events
        return math.sqrt(self.retention * (1 - self.retention) / self.events)


@dataclass
class RetentionTable:
    """Counts by skim and event type."""

    events: dict[str, int] = field(default_factory=dict)
    counts: dict[str, dict[str, Count]] = field(default_factory=dict)
    codes: dict[str, int | None] = field(default_factory=dict)

    @property
    def types(self) -> list[str]:
        """Event types that are there."""
        return [name for name in TYPE_ORDER if name in self.events]

    def add(self, event_type: NDArray[np.int8], passed: dict[str, NDArray[np.bool_]]) -> None:
        """Count events: types (B,), and what passes each skim (B,)."""
        for code in np.unique(event_type).tolist():
            name = UNKNOWN if code == UNKNOWN_TYPE else EVENT_TYPES[code]
            chosen = event_type == code
            n = int(chosen.sum())
            self.events[name] = self.events.get(name, 0) + n
            for skim, flags in passed.items():
                count = self.counts.setdefault(skim, {}).setdefault(name, Count())
                count.events += n
                count.passed += int(flags[chosen].sum())

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        skims = []
        for name in self._order():
            found = {kind: count for kind in self.types if (count := self.counts[name].get(kind))}
            skims.append(
                {
                    "name": name,
                    "code": self.codes.get(name),
                    "group": group_of(name),
                    "types": {
                        kind: {
                            "events": count.events,
                            "passed": count.passed,
                            "retention": count.retention,
                            "error": count.error,
                        }
                        for kind, count in found.items()
                    },
                }
            )
        return {"events": {kind: self.events[kind] for kind in self.types}, "skims": skims}

    def to_markdown(self) -> str:
        """The table, retentions in percent."""
        rows = [["skim", "code", *self.types], ["---", "---:", *("---:" for _ in self.types)]]
        rows.append(["events", "", *(str(self.events[kind]) for kind in self.types)])
        for name in self._order():
            found = self.counts[name]
            cells = [_percent(found[kind]) if kind in found else "–" for kind in self.types]
            rows.append([name, str(self.codes.get(name) or ""), *cells])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(f"| {' | '.join(c.ljust(w) for c, w in zip(r, widths, strict=True))} |" for r in rows)

    def _order(self) -> list[str]:
        """By code, then users' own by name."""
        return sorted(self.counts, key=lambda name: (self.codes.get(name) or math.inf, name))


def count_passing(
    paths: Iterable[Path],
    skims: Sequence[Skim | str] = (ALL,),
    *,
    only: bool = False,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> RetentionTable:
    """Count all events of skimmed files, or of reconstructed ones by applying the skims to them.

    Args:
        paths: skimmed files, files of reconstructed events, or both.
        skims: as for `skim_file`.
        only: leave other skims of skimmed files out.
        workers: processes side by side.
        progress: called with the number of events counted so far.

    Raises:
        BadEvent: a file of which it is not known how many events there were before, or one that is given twice.
        ColumnsMissing: a skimmed file without one of the skims.
        FileNotFoundError, NotAnEventFile, SkimError, UnknownName.
    """
    found, paths = all_skims(found_skims(skims)), list(paths)
    twice = {path for path in paths if [p.resolve() for p in paths].count(path.resolve()) > 1}
    if twice:
        raise BadEvent(f"{', '.join(sorted(map(str, twice)))} would be counted more than once")
    table = RetentionTable()
    table.codes.update({name: skim.code for name, skim in found.items()})
    done = 0
    for path in paths:
        metadata, schema = read_metadata(path), read_schema(path)
        _refuse_incomplete(path, metadata, schema)
        if metadata.get("kind") == "skimmed":
            names = list(found) if only else [f.name for f in schema if pa.types.is_boolean(f.type)]
            table.codes = _codes(metadata) | table.codes
            batches = read_tables(path, [*KEY_COLUMNS, *names])
        else:
            names = list(found)
            batches = (rows for rows, _ in skimmed_batches(skims, path, workers))
        for rows in batches:
            table.add(read_keys(rows, path)["event_type"], {name: rows[name].to_numpy() for name in names})
            done += len(rows)
            if progress is not None:
                progress(done)
    return table


def _percent(count: Count) -> str:
    """Two digits of the error (but no more than four decimals), and the retention to the same place.

    >>> [_percent(Count(*pair)) for pair in ((312, 10_000), (0, 10_000), (1, 3), (0, 0))]
    ['3.12 ± 0.17', '< 0.011', '33 ± 27', '–']
    """
    if not count.events:
        return "–"
    error = 100 * count.error
    digits = min(max(1 - math.floor(math.log10(error)), 0), MAX_DECIMALS) if error else 0
    return f"{100 * count.retention:.{digits}f} ± {error:.{digits}f}" if count.passed else f"< {error:.{digits}f}"


def _codes(metadata: dict[str, Any]) -> dict[str, int | None]:
    steps = metadata.get("provenance", [])
    return {skim["name"]: skim["code"] for step in steps for skim in step.get("skims", [])}


def _refuse_incomplete(path: Path, metadata: dict[str, Any], schema: pa.Schema) -> None:
    steps = [step for step in metadata.get("provenance", []) if step.get("step") == "filter"]
    filtered = any(step.get("n_kept", -1) != step.get("n_events") for step in steps)  # not where it only scored
    if filtered or any(name == "weight" or name.startswith("weight_") for name in schema.names):
        raise BadEvent(f"{path} holds events that a filter has kept: retentions are those of unfiltered events")
    if metadata.get("kind") == "skimmed" and "retention" not in metadata:
        raise BadEvent(
            f"{path} was written in an event loop and may hold passing events only: give the file of reconstructed "
            "events, or what `smartbkg skim` makes of it"
        )
