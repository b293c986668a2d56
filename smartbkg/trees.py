"""Mother links of a packed batch of events: where each mother stands, and who is at the top.

Everything follows the links by doubling: a pass over all particles goes twice as far as the one before, so the longest
chain of a batch costs a few passes and no loop over particles.

Letters: `B` events, `M` generated particles.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import BadEvent
from smartbkg.events import EventBatch


def mother_positions(batch: EventBatch) -> NDArray[np.int64]:
    """(M,) position in the batch of each particle's mother; its own where it has none.

    Raises:
        BadEvent: a mother index outside its event.
    """
    mother = batch.particles.mother.astype(np.int64)
    event = batch.event_index
    outside = (mother < -1) | (mother >= batch.counts[event])
    if outside.any():
        first = int(np.flatnonzero(outside)[0])
        raise BadEvent(
            f"{event_name(batch, event[first])}: mother index {mother[first]} among "
            f"{batch.counts[event[first]]} particles"
        )
    return np.where(mother < 0, np.arange(len(mother)), mother + batch.offsets[event])


def ends_of_links(batch: EventBatch, link: NDArray[np.int64]) -> NDArray[np.int64]:
    """(M,) where the links from each particle end: a particle that links to itself.

    Args:
        batch: the events.
        link: (M,) position in the batch that each particle links to, inside its event.

    Raises:
        BadEvent: the links of an event go round in a circle.
    """
    end = link
    longest = int(batch.counts.max(initial=1))
    for _ in range(longest.bit_length()):
        further = end[end]
        if np.array_equal(further, end):
            break  # most trees are far less deep than they have particles
        end = further
    circle = link[end] != end
    if circle.any():
        event = batch.event_index[int(np.flatnonzero(circle)[0])]
        raise BadEvent(f"{event_name(batch, event)}: the mother links go round in a circle")
    return end


def check_finite(batch: EventBatch, wrong: NDArray[np.bool_]) -> None:
    """Refuse the first particle that is marked (M,) as having a number that is not finite.

    Raises:
        BadEvent: with the event's name.
    """
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        event = int(batch.event_index[first])
        raise BadEvent(
            f"{event_name(batch, event)}: particle {first - batch.offsets[event]} has a number that is not finite"
        )


def event_name(batch: EventBatch, row: int) -> str:
    """How messages call the event of this row."""
    return f"event {batch.event[row]} of run {batch.exp[row]},{batch.run[row]}"
