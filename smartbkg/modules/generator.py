"""Generated events in the event loop: event numbers first, then the particles of a real generator."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from smartbkg import __version__
from smartbkg.errors import FrameworkError
from smartbkg.events import EventBatch
from smartbkg.framework.module import Module, Source
from smartbkg.framework.path import Path
from smartbkg.framework.store import MC_PARTICLES, Store
from smartbkg.generate import GenerateConfig, generate
from smartbkg.generate.config import MAX_NUMBER


def add_generator(path: Path, finalstate: str, n_events: int | None = None, **settings: Any) -> Module:
    """Append a generator of one event type; on an empty path, after the numbers of `n_events` events.

    Args:
        path: usually with an EventInfoSetter in it.
        finalstate: mixed, charged, uubar, ddbar, ssbar, ccbar or taupair.
        n_events: how many, when the path has no EventInfoSetter.
        settings: `exp`, `run` and `first_event` for the numbers; `seed`, `decays` and `tau_decays` for the generator.
    """
    if n_events is not None:
        numbers = {name: [settings.pop(name)] for name in ("exp", "run") if name in settings}
        first = settings.pop("first_event", 1)
        setter = EventInfoSetter([n_events], numbers.get("exp", [0]), numbers.get("run", [0]), first)
        path.add_module(setter)
    return path.add_module(EventGenerator(finalstate, **settings))


class EventInfoSetter(Source):
    """Numbers the events: for each run of the lists, so many events.

    Args:
        evtNumList: how many events in each run.
        expList: experiment of each run.
        runList: run numbers.
        first_event: number of the first event in every run.
    """

    def __init__(
        self,
        evtNumList: Sequence[int],
        expList: Sequence[int] = (0,),
        runList: Sequence[int] = (0,),
        first_event: int = 1,
    ) -> None:
        if not len(evtNumList) == len(expList) == len(runList):
            lengths = f"evtNumList {len(evtNumList)}, expList {len(expList)}, runList {len(runList)}"
            raise FrameworkError(f"the lists want one entry a run each; their lengths are {lengths}")
        if min([*evtNumList, *expList, *runList, first_event], default=0) < 0:
            raise FrameworkError("event, experiment and run numbers are not negative")
        self.runs = list(zip(expList, runList, evtNumList, strict=True))
        self.first_event = first_event

    def stores(self) -> Generator[Store]:
        """Events with numbers and without particles."""
        if not any(n_events for *_, n_events in self.runs):
            yield Store.from_events(_numbered(0, 0, np.arange(0)))
        for exp, run, n_events in self.runs:
            for begin in range(0, n_events, self.job.batch_size):
                events = np.arange(begin, min(begin + self.job.batch_size, n_events)) + self.first_event
                yield Store.from_events(_numbered(exp, run, events))


class EventGenerator(Module):
    """Fills `MCParticles` with events of Pythia 8, the same for the same seed and numbers.

    Args:
        finalstate: the event type.
        seed: of the generator; the job's when left out.
        settings: `decays` and `tau_decays`, as in `smartbkg.generate.GenerateConfig`.
    """

    def __init__(self, finalstate: str, seed: int | None = None, **settings: Any) -> None:
        # The settings are checked here; the numbers of events come from the store.
        self.config = GenerateConfig(finalstate, n_events=0, seed=0 if seed is None else seed, **settings)
        self.seed = seed

    def initialize(self) -> None:
        """Settle the seed."""
        self.config = replace(self.config, seed=self.job.seed_or(self.seed))
        self._ready = EventBatch.empty()

    def beginRun(self) -> None:
        """Begin the run's events anew, at the first number that is asked for."""
        self._blocks: Iterator[EventBatch] | None = None

    def event_batch(self, store: Store) -> None:
        """Take the next events of the run.

        Raises:
            FrameworkError: the numbers are not the ones that come next; events were filtered away before.
        """
        if self._blocks is None:
            self._blocks = self._generate(int(store.event[0]))
            self._ready = EventBatch.empty()
        parts = [self._ready]
        while sum(map(len, parts)) < len(store):
            parts.append(next(self._blocks))
        made = EventBatch.concat([part for part in parts if len(part)])
        wanted, self._ready = made[: len(store)], made[len(store) :]
        if not np.array_equal(wanted.event, store.event):
            raise FrameworkError(f"{self.name} makes all events of a run in order: put it right behind their numbers")
        store.event_type = wanted.event_type
        store[MC_PARTICLES] = wanted

    def terminate(self) -> None:
        """Say in the files what was done."""
        config = self.config.to_json()
        self.job.add_step(
            "generate",
            self.statistics.ms_per_event,
            generator="Pythia 8",
            config={name: config[name] for name in ("event_type", "seed", "decays", "tau_decays")},
            versions={"smartbkg": __version__},
        )

    def _generate(self, first_event: int) -> Iterator[EventBatch]:
        """All events of the run from a number on; blocks are made when they are asked for."""
        n_events = MAX_NUMBER - first_event + 1
        return generate(replace(self.config, n_events=n_events, exp=self.exp, run=self.run, first_event=first_event))


def _numbered(exp: int, run: int, events: np.ndarray[Any, np.dtype[np.int64]]) -> EventBatch:
    """Events (B,) of a run without particles, of unknown type."""
    return EventBatch(
        exp=np.full(len(events), exp, dtype=np.int32),
        run=np.full(len(events), run, dtype=np.int32),
        event=events.astype(np.int64),
        event_type=np.full(len(events), -1, dtype=np.int8),
        offsets=np.zeros(len(events) + 1, dtype=np.int64),
        particles=EventBatch.empty().particles,
    )
