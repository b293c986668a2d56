"""Events that several tests look at, generated once."""

from __future__ import annotations

from functools import cache

import pytest

from smartbkg.events import EventBatch
from smartbkg.generate import GenerateConfig, generate

# Enough for the means below within a few per cent; a second for all types together.
N_EVENTS = 2000


@cache
def _sample(event_type: str, decays: str) -> EventBatch:
    return EventBatch.concat(generate(GenerateConfig(event_type, N_EVENTS, seed=11, decays=decays)))


@pytest.fixture(scope="session")
def sample():  # type: ignore[no-untyped-def]
    """A function (event type, decay table) -> N_EVENTS events, made once."""
    return lambda event_type, decays="pythia": _sample(event_type, decays)
