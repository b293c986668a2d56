"""A training set small enough to learn from in a second."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from smartbkg.events import EventWriter
from support.events import decay_trees, kaon_labels, write_labels

SKIM = "toySkim"


@dataclass(frozen=True)
class ToySample:
    """Event file and skimmed file of the same events."""

    events: Path
    labels: Path


def write_toy_sample(folder: Path, n_events: int = 240, seed: int = 1, kaons: int = 3) -> ToySample:
    """Shallow B decays that pass with a few kaons."""
    batch = decay_trees(n_events, seed, depth=3)
    sample = ToySample(folder / f"toy{seed}.parquet", folder / f"toy{seed}.labels.parquet")
    with EventWriter(sample.events, {"times_ms": {"generate": 0.05}}) as writer:
        writer.write(batch)
    write_labels(sample.labels, batch, kaon_labels(batch, kaons), SKIM)
    return sample
