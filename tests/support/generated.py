"""Real events from the generator, made once a test process."""

from __future__ import annotations

from functools import cache

from smartbkg.detector import DetectorConfig, RecoBatch, simulate
from smartbkg.events import EventBatch
from smartbkg.generate import GenerateConfig, generate


@cache
def generated(event_type: str, n_events: int) -> EventBatch:
    """Events of one type."""
    return EventBatch.concat(generate(GenerateConfig(event_type, n_events, seed=3)))


@cache
def reconstructed(event_type: str, n_events: int) -> RecoBatch:
    """The same events after the fast detector."""
    return simulate(generated(event_type, n_events), DetectorConfig(), 1)
