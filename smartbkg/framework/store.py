"""What modules share about the events of a batch.

Letters: `B` events. Collections such as `MCParticles` (an EventBatch) and `Reco` hold one entry an event and know
how to select and concatenate; extra info is one column (B,) a name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import FrameworkError
from smartbkg.events import EventBatch

MC_PARTICLES = "MCParticles"
RECO = "Reco"
KEYS = ("exp", "run", "event", "event_type")


class Collection(Protocol):
    """Data of some events, in their order."""

    def __len__(self) -> int: ...

    def select(self, rows: NDArray[Any]) -> Self:
        """The data of these events."""

    @classmethod
    def concat(cls, parts: Any) -> Self:
        """The data of all parts, in order."""


class Store:
    """The events of one batch, all of one run.

    Attributes:
        exp, run, event, event_type: (B,) each.
        rows: (B,) position of each event in the batch as it was read.
        extra: extra info, a column (B,) a name; change it through `put`.
    """

    def __init__(
        self,
        keys: Mapping[str, NDArray[Any]],
        collections: Mapping[str, Collection] | None = None,
        extra: Mapping[str, NDArray[Any]] | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> None:
        self.exp: NDArray[np.int32] = keys["exp"]
        self.run: NDArray[np.int32] = keys["run"]
        self.event: NDArray[np.int64] = keys["event"]
        self.event_type: NDArray[np.int8] = keys["event_type"]
        self.rows = np.arange(len(self.event)) if rows is None else rows
        self.collections: dict[str, Collection] = dict(collections or {})
        self.extra: dict[str, NDArray[Any]] = dict(extra or {})

    @classmethod
    def from_events(cls, batch: EventBatch) -> Store:
        """A store of generated events; their extra info becomes the store's."""
        keys = {name: getattr(batch, name) for name in KEYS}
        return cls(keys, {MC_PARTICLES: replace(batch, extra={})}, batch.extra)

    def __len__(self) -> int:
        return len(self.event)

    def __contains__(self, name: str) -> bool:
        return name in self.collections

    def __getitem__(self, name: str) -> Any:
        if name not in self.collections:
            have = ", ".join(sorted(self.collections)) or "nothing"
            raise FrameworkError(f"no {name!r} in the store, which holds {have}: is its module before this one?")
        return self.collections[name]

    def __setitem__(self, name: str, collection: Collection) -> None:
        if len(collection) != len(self):
            raise FrameworkError(f"{name!r} has {len(collection)} entries for {len(self)} events")
        self.collections[name] = collection

    @property
    def mc_particles(self) -> EventBatch:
        """The generated particles."""
        events: EventBatch = self[MC_PARTICLES]
        return events

    @property
    def events(self) -> EventBatch:
        """The generated events with all extra info, as a file holds them."""
        return self.mc_particles.with_extra(**self.extra)

    def put(self, **columns: Any) -> None:
        """Set extra info: a column (B,), or one value for every event."""
        for name, column in columns.items():
            values = np.asarray(column)
            if values.dtype.kind not in "biufU":
                raise FrameworkError(f"extra info {name!r} is {values.dtype}: want numbers, booleans or text")
            if values.ndim == 0:
                values = np.full(len(self), values)
            if values.shape != (len(self),):
                raise FrameworkError(f"extra info {name!r} has shape {values.shape} for {len(self)} events")
            self.extra[name] = values

    def fill_missing(self, fills: Mapping[str, Any]) -> None:
        """Give events that never saw a module the values it declared for them."""
        self.put(**{name: value for name, value in fills.items() if name not in self.extra})

    def copy(self, collections: Sequence[str] | None = None) -> Store:
        """The same arrays in a store of its own, with these collections or all."""
        kept = {n: c for n, c in self.collections.items() if collections is None or n in collections}
        return Store({name: getattr(self, name) for name in KEYS}, kept, self.extra, self.rows)

    def select(self, rows: NDArray[Any]) -> Store:
        """The events at these rows: a mask (B,) or indices, in their order."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        return Store(
            {name: getattr(self, name)[rows] for name in KEYS},
            {name: collection.select(rows) for name, collection in self.collections.items()},
            {name: column[rows] for name, column in self.extra.items()},
            self.rows[rows],
        )

    @classmethod
    def concat(cls, parts: Sequence[Store]) -> Store:
        """All events of the parts, one part behind the other.

        Raises:
            FrameworkError: a collection or extra info is there for some of the events only, or of two types.
        """
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        for part in parts[1:]:
            _check_same(first.collections.keys(), part.collections.keys(), "collection")
            _check_same(first.extra.keys(), part.extra.keys(), "extra info")
            for name, column in first.extra.items():
                # One kind of text is as good as another; numbers of two types would be written as either.
                if column.dtype != part.extra[name].dtype and column.dtype.kind != "U":
                    kinds = f"{column.dtype} and {part.extra[name].dtype}"
                    raise FrameworkError(f"extra info {name!r} is of two types, {kinds}: write one type always")
        return cls(
            {name: np.concatenate([getattr(p, name) for p in parts]) for name in KEYS},
            {n: type(c).concat([p.collections[n] for p in parts]) for n, c in first.collections.items()},
            {name: np.concatenate([p.extra[name] for p in parts]) for name in first.extra},
            np.concatenate([p.rows for p in parts]),
        )

    def in_order(self) -> Store:
        """The same events in the order in which they were read."""
        if np.all(self.rows[:-1] <= self.rows[1:]):
            return self
        return self.select(np.argsort(self.rows, kind="stable"))

    def one_by_one(self) -> list[Store]:
        """A store of each single event."""
        return [self.select(np.array([row])) for row in range(len(self))]

    def adopt(self, parts: Sequence[Store]) -> None:
        """Take over what was changed in stores of the single events."""
        joined = Store.concat(parts)
        self.collections, self.extra = joined.collections, joined.extra


def _check_same(first: Any, second: Any, what: str) -> None:
    partial = sorted(set(first) ^ set(second))
    if partial:
        raise FrameworkError(
            f"{what} {', '.join(map(repr, partial))} is there for some events only: write it for every event, or name"
            " it in the module's `extra_info` with the value the other events get"
        )
