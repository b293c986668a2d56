"""Modules: what an event loop is made of.

A module sees a batch (`event_batch`) or one event at a time (`event`); both kinds mix in one path, with the same
result. Its life: `initialize`, then for each run `beginRun`, the events, `endRun`, and at last `terminate`.
Letters: `B` events.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path as FilePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import FrameworkError
from smartbkg.framework.condition import AfterConditionPath, Condition
from smartbkg.framework.job import Job
from smartbkg.framework.statistics import ModuleStatistics
from smartbkg.framework.store import Store

if TYPE_CHECKING:
    from smartbkg.framework.path import Path

T = TypeVar("T")


class Module:
    """Base of all modules: override `event` or `event_batch`, and what else is needed.

    Attributes:
        store: the events at hand.
        job: settings of the job: seed, tags, metadata.
        exp, run: the run at hand, from `beginRun` on.
        failed: True in `terminate` when the job broke off.
        statistics: this module's own counts and times.
        extra_info: extra info this module writes -> the value for events that never reached it (in a path that
            comes back, or for a file that holds other events too).
    """

    extra_info: Mapping[str, Any] = MappingProxyType({})
    store: Store
    job: Job
    exp: int
    run: int
    failed: bool
    statistics: ModuleStatistics

    # Set when the module enters a path; class-wide values serve modules whose __init__ does not call ours.
    path: Path | None = None
    conditions: tuple[Condition, ...] = ()
    _name: str | None = None
    _returned: Any = None
    _resources: ExitStack

    @property
    def name(self) -> str:
        """The class's name, or the one given by `set_name`."""
        return self._name or type(self).__name__

    def set_name(self, name: str) -> None:
        """Another name, for messages and statistics."""
        self._name = name

    # What a module may override.

    def initialize(self) -> None:
        """Once, before the first event."""

    def beginRun(self) -> None:
        """Before the first event of a run."""

    def event(self) -> Any:
        """One event, in `self.store`; may give an integer return value."""
        raise FrameworkError(f"{self.name} has neither event nor event_batch")

    def event_batch(self, store: Store) -> Any:  # noqa: ARG002  (overridden)
        """A batch of events of one run; may give return values (B,)."""
        raise FrameworkError(f"{self.name} has neither event nor event_batch")

    def endRun(self) -> None:
        """After the last event of a run."""

    def terminate(self) -> None:
        """Once, at the end, also when the job broke off."""

    def end_batch(self) -> None:
        """After every batch as it was read, when all paths have seen their part of it."""

    def declare(self, store: Store) -> None:
        """Put on a store without events what this module will write; it tells output files their columns."""
        store.fill_missing(self.extra_info)

    # What a steering file or a module calls.

    def if_value(self, expression: str, path: Path, after: AfterConditionPath = AfterConditionPath.END) -> None:
        """Send events whose return value fulfils an expression such as '<1' to another path.

        With several conditions the first that holds decides.
        """
        path.check_without(self.path)
        self.conditions = (*self.conditions, Condition(expression, path, after))

    def if_false(self, path: Path, after: AfterConditionPath = AfterConditionPath.END) -> None:
        """Send events with a return value below 1 to another path."""
        self.if_value("<1", path, after)

    def if_true(self, path: Path, after: AfterConditionPath = AfterConditionPath.END) -> None:
        """Send events with a return value of at least 1 to another path."""
        self.if_value(">=1", path, after)

    def return_value(self, value: Any) -> None:
        """Set the return value from inside `event` or `event_batch`; returning it is the same."""
        self._returned = value

    @property
    def has_return_value(self) -> bool:
        """True when the events at hand were given a return value."""
        return self._returned is not None

    def resource(self, opened: AbstractContextManager[T]) -> T:
        """Enter a context that lasts until the job ends; it learns of an error as a `with` block would."""
        return self._resources.enter_context(opened)

    # What the loop calls.

    @property
    def sees_batches(self) -> bool:
        """True for a module of batches."""
        return type(self).event_batch is not Module.event_batch

    def start(self, job: Job, resources: ExitStack, statistics: ModuleStatistics) -> None:
        """Connect with a job, fresh also the second time."""
        if not self.sees_batches and type(self).event is Module.event:
            raise FrameworkError(f"{self.name} has neither event nor event_batch")
        self.job, self._resources, self.statistics = job, resources, statistics
        self.failed, self._returned = False, None

    def handle(self, store: Store) -> NDArray[np.float64]:
        """See the events; return values (B,), NaN where there is none."""
        if self.sees_batches:
            return self._call(self.event_batch, store)
        singles = store.one_by_one()
        values = np.concatenate([self._call(lambda _: self.event(), single) for single in singles])
        store.adopt(singles)
        return values

    def _call(self, function: Callable[[Store], Any], store: Store) -> NDArray[np.float64]:
        self.store, self._returned = store, None
        returned = function(store)
        if returned is not None:
            self._returned = returned
        if self._returned is None:
            return np.full(len(store), np.nan)
        values = np.asarray(self._returned)
        if values.dtype.kind not in "biu" or values.shape not in ((), (len(store),)):
            found = f"{values.dtype} of shape {values.shape}"
            raise FrameworkError(f"{self.name} returned {found}; want one integer or boolean an event ({len(store)})")
        return np.broadcast_to(values, len(store)).astype(np.float64)


class Source(Module):
    """A module that brings events: the first of a path, and only there."""

    # Files it reads, which no output of the path may replace.
    input_files: Sequence[FilePath] = ()

    def stores(self) -> Generator[Store]:
        """The events in batches of at most `self.job.batch_size`; at least one batch, which may hold no events."""
        raise FrameworkError(f"{self.name} brings no events")

    def event_batch(self, store: Store) -> None:
        """Nothing: the events are here already."""
