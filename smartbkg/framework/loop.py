"""`process`: read batches, lead them along the paths, write nothing when anything fails.

A batch holds events of one run. A module's conditions split it; what comes back from a branch is put in order
again. All `terminate` calls come before any file takes its name, so that a job writes all its files or none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import Any

import numpy as np

from smartbkg.atomic import refuse_to_overwrite
from smartbkg.errors import FrameworkError, ModuleFailed
from smartbkg.framework.condition import AfterConditionPath
from smartbkg.framework.job import Job, as_tags
from smartbkg.framework.module import Module, Source
from smartbkg.framework.output import Output
from smartbkg.framework.path import Path
from smartbkg.framework.statistics import ModuleStatistics, Statistics, Stopwatch
from smartbkg.framework.store import Store


def process(
    path: Path,
    max_event: int = 0,
    *,
    seed: int | None = None,
    batch_size: int = 1024,
    global_tags: Sequence[str] | None = None,
    conditions: Any = None,
) -> Statistics:
    """Lead events along a path.

    Args:
        path: its first module is a source of events.
        max_event: stop after so many events; 0 for all.
        seed: of all draws; the same seed gives the same events, whatever the batch size.
        batch_size: most events in a batch. It changes times and memory, never the result.
        global_tags: the stack of tags for payloads; None leaves it to the environment.
        conditions: the store or client that has the payloads, by address or opened; None: the environment's.

    Returns:
        What each module did; print it.

    Raises:
        FrameworkError: the path cannot be processed.
        ModuleFailed: a module raised; no output file is there.
    """
    modules = path.modules()
    names = _checked_names(modules)
    declared = path.extra_info()
    job = Job(seed, batch_size, as_tags(global_tags), conditions, declared)
    loop = _Loop(path, job, dict(zip(modules, names, strict=True)))
    loop.run(max_event)
    return loop.statistics


def _checked_names(modules: Sequence[Module]) -> list[str]:
    """Names of the modules, made different where two have the same; refuses what cannot be processed."""
    if not modules or not isinstance(modules[0], Source):
        found = modules[0].name if modules else "nothing"
        raise FrameworkError(f"a path begins with a module that brings events, such as EventInput, not with {found}")
    if modules[0].conditions:
        raise FrameworkError(f"{modules[0].name} brings events and has no return value: no conditions on it")
    late = [module.name for module in modules[1:] if isinstance(module, Source)]
    if late:
        raise FrameworkError(f"only the first module brings events; {', '.join(late)} is not the first")
    files = [module.output_file.absolute() for module in modules if isinstance(module, Output)]
    twice = sorted({str(file) for file in files if files.count(file) > 1})
    if twice:
        raise FrameworkError(f"two modules write {', '.join(twice)}: one would replace what the other wrote")
    for file in files:
        refuse_to_overwrite(modules[0].input_files, file)
    names = [module.name for module in modules]
    return [f"{n}_{names[:i].count(n) + 1}" if names.count(n) > 1 else n for i, n in enumerate(names)]


class _Loop:
    """One job: the modules, the run at hand, the counts."""

    def __init__(self, path: Path, job: Job, names: dict[Module, str]) -> None:
        self.path, self.job, self.modules = path, job, list(names)
        self.statistics = Statistics(modules=[ModuleStatistics(name) for name in names.values()])
        self.current: tuple[int, int] | None = None
        self.where = "before the first event"

    def run(self, max_event: int) -> None:
        with ExitStack() as resources:  # files take their names, or vanish, when this is left
            started: list[Module] = []
            try:
                for module, statistics in zip(self.modules, self.statistics.modules, strict=True):
                    module.start(self.job, resources, statistics)
                    started.append(module)
                    self._setup(module, "initialize", module.initialize)
                self._events(max_event)
            except BaseException as error:
                _terminate_after(error, started)
                raise
            for module in started:
                self._setup(module, "terminate", module.terminate)
            for module in started:
                if isinstance(module, Output):  # a disk that is full now leaves no file of the job
                    self._setup(module, "finish", module.finish)

    def _events(self, max_event: int) -> None:
        for count, store in enumerate(self._read(max_event)):
            if count == 0:
                self._declare(self.path, store.select(np.arange(0)))
            for part in _runs(store):
                self._enter_run(part)
                self.statistics.n_events += len(part)
                self.statistics.n_finished += len(self._walk(self.path, part))
                for module in self.modules:
                    started = Stopwatch()
                    self._guarded(module, "end_batch", module.end_batch)
                    module.statistics.add_time(started)
        self._leave_run()

    def _read(self, max_event: int) -> Iterator[Store]:
        source = self.modules[0]
        if not isinstance(source, Source):
            return
        room = max_event or math.inf
        with closing(source.stores()) as stores:
            while room > 0:
                started = Stopwatch()
                store: Store | None = self._guarded(source, "stores", lambda: next(stores, None))
                if store is None:
                    return
                if len(store) > room:
                    store = store.select(np.arange(int(room)))
                room -= len(store)
                source.statistics.add_batch(len(store), started)
                yield store

    def _declare(self, path: Path, store: Store) -> Store:
        """Lead a store without events along all branches, so that files know their columns."""
        for element in path.elements:
            if isinstance(element, Path):
                store = self._declare(element, store)
                continue
            self._guarded(element, "declare", partial(element.declare, store))
            for condition in element.conditions:
                arrived = self._declare(condition.path, store.copy())
                if condition.after is AfterConditionPath.CONTINUE:
                    store.extra |= arrived.extra
        return store

    def _walk(self, path: Path, store: Store) -> Store:
        """Lead events to the end of a path; those that arrive there."""
        for element in path.elements:
            if not len(store):
                break
            if isinstance(element, Path):
                store = self._walk(element, store)
                continue
            if isinstance(element, Source):
                continue
            self.where, started = _where(store), Stopwatch()
            values = self._guarded(element, "event", partial(element.handle, store))
            element.statistics.add_batch(len(store), started)
            if element.conditions:
                store = self._branch(element, values, store)
        return store

    def _branch(self, module: Module, values: Any, store: Store) -> Store:
        """Send events where the first condition that holds wants them; those that go on here."""
        here = np.ones(len(store), dtype=bool)
        back: list[Store] = []
        fills: dict[str, Any] = {}
        for condition in module.conditions:
            taken = here & ~np.isnan(values) & condition.holds(values)
            here &= ~taken
            arrived = self._walk(condition.path, store.select(taken)) if taken.any() else None
            if condition.after is AfterConditionPath.CONTINUE:
                back += [] if arrived is None else [arrived]
                fills |= condition.path.extra_info()
        if here.all() and not fills:
            return store
        parts = [part for part in [store.select(here), *back] if len(part)] or [store.select(here)]
        for part in parts:
            part.fill_missing(fills)
        return Store.concat(parts).in_order()

    def _enter_run(self, store: Store) -> None:
        run = (int(store.exp[0]), int(store.run[0]))
        if run == self.current:
            return
        self._leave_run()
        self.current = run
        self.statistics.n_runs += 1
        self.where = f"run {run[0]}:{run[1]}"
        for module in self.modules:
            module.exp, module.run = run
            self._setup(module, "beginRun", module.beginRun)

    def _leave_run(self) -> None:
        if self.current is not None:
            for module in self.modules:
                self._setup(module, "endRun", module.endRun)
        self.current = None

    def _setup(self, module: Module, step: str, call: Callable[[], None]) -> None:
        started = Stopwatch()
        self._guarded(module, step, call)
        module.statistics.setup_wall_s += started.wall_s

    def _guarded(self, module: Module, step: str, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except Exception as error:
            raise ModuleFailed(module.name, step, self.where, error) from error


def _runs(store: Store) -> Iterator[Store]:
    """The batch, cut where the run changes."""
    change = np.flatnonzero((np.diff(store.exp) != 0) | (np.diff(store.run) != 0)) + 1
    if not len(change):
        if len(store):
            yield store
        return
    for rows in np.split(np.arange(len(store)), change):
        yield store.select(rows)


def _where(store: Store) -> str:
    return f"run {store.exp[0]}:{store.run[0]}, events {store.event.min()} to {store.event.max()}"


def _terminate_after(error: BaseException, started: Sequence[Module]) -> None:
    """Let the modules clean up after an error; what goes wrong then is noted on the error, not raised."""
    for module in started:
        module.failed = True
        try:
            module.terminate()
        except Exception as second:
            error.add_note(f"and module {module.name} failed in terminate: {second}")
