"""Skims in the event loop: the return value says which events pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from smartbkg import __version__
from smartbkg.errors import FrameworkError
from smartbkg.events import KEY_COLUMNS
from smartbkg.framework.module import Module
from smartbkg.framework.store import RECO, Store
from smartbkg.skim import Skim, get_skim
from smartbkg.skim.job import skim_table
from smartbkg.skim.skims import all_skims, check_skim

SKIMMED = "Skimmed"
PASSES = "passes_"


@dataclass(frozen=True)
class SkimColumns:
    """Columns (B,) of what skims found, in a store as `Skimmed`."""

    columns: Mapping[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def select(self, rows: NDArray[Any]) -> SkimColumns:
        """The rows of these events."""
        return SkimColumns({name: column[rows] for name, column in self.columns.items()})

    @classmethod
    def concat(cls, parts: Iterable[Self]) -> SkimColumns:
        """All rows in order; raises as `check_same_columns`."""
        parts = list(parts)
        for part in parts[1:]:
            check_same_columns(parts[0].columns, part.columns)
        return SkimColumns({name: np.concatenate([p.columns[name] for p in parts]) for name in parts[0].columns})


def check_same_columns(first: Iterable[str], other: Iterable[str]) -> None:
    """Refuse rows that not all say the same: a file of them would lose columns.

    Raises:
        FrameworkError
    """
    odd = sorted(set(first) ^ set(other))
    if odd:
        raise FrameworkError(
            f"the columns {', '.join(odd)} are there for some events only: apply the skim to all events of the output,"
            " or give each branch an output of its own"
        )


class SkimModule(Module):
    """Applies a skim to the reconstructed events; returns whether they pass, and writes `passes_<skim>`.

    Of a combined skim every part is written, too.

    Args:
        skim: its name or code, or a skim of your own.
    """

    def __init__(self, skim: Skim | str | int) -> None:
        self.skim = get_skim(skim) if isinstance(skim, str | int) else skim
        check_skim(self.skim)
        self.skims = all_skims([self.skim])
        self.extra_info = dict.fromkeys((PASSES + name for name in self.skims), False)

    def initialize(self) -> None:
        """Start counting."""
        self._n_passed = dict.fromkeys(self.skims, 0)

    def declare(self, store: Store) -> None:
        """The columns, without events."""
        self.event_batch(store)

    def event_batch(self, store: Store) -> NDArray[np.bool_]:
        """Decide; what earlier skims found stays beside it."""
        table = skim_table([self.skim], store[RECO])
        found = {name: table[name].to_numpy() for name in table.column_names if name not in KEY_COLUMNS}
        passed: dict[str, NDArray[np.bool_]] = {name: found[name] for name in self.skims}
        before = store[SKIMMED].columns if SKIMMED in store else {}
        store[SKIMMED] = SkimColumns({**before, **found})
        store.put(**{PASSES + name: column for name, column in passed.items()})
        for name, column in passed.items():
            self._n_passed[name] += int(column.sum())
        return passed[self.skim.name]

    def terminate(self) -> None:
        """Say in the files what was done."""
        n_events = self.statistics.n_events
        skims = [
            {"name": name, "code": skim.code, "retention": self._n_passed[name] / n_events if n_events else 0.0}
            for name, skim in self.skims.items()
        ]
        self.job.add_step("skim", self.statistics.ms_per_event, skims=skims, versions={"smartbkg": __version__})
