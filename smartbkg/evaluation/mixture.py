"""In which proportions event types occur at the collider: weights that turn any sample into the natural mixture.

Letters: `B` events, `T` event types.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smartbkg.events import EVENT_TYPES

# Cross sections at the Υ(4S) in nb, as the experiment quotes them for continuum and τ pairs; its 1.110 nb of B pairs
# are charged in 51.4 % of all cases.
CROSS_SECTION_NB = {
    "charged": 0.571,
    "mixed": 0.539,
    "uubar": 1.61,
    "ddbar": 0.40,
    "ssbar": 0.38,
    "ccbar": 1.30,
    "taupair": 0.919,
}
_BY_CODE = np.array([CROSS_SECTION_NB[name] for name in EVENT_TYPES])


def natural_weights(event_type: NDArray[np.int8]) -> NDArray[np.float64] | None:
    """(B,) weights of mean 1 that give each type its share of those that are there.

    Args:
        event_type: (B,) codes.

    Returns:
        None where it is the mixture already (one type), or where nobody knows (an event without type).

    >>> natural_weights(np.array([0, 0, 0, 5], np.int8)).round(3).tolist()
    [0.781, 0.781, 0.781, 1.657]
    """
    if not len(event_type) or event_type.min() < 0:
        return None
    counts = np.bincount(event_type, minlength=len(EVENT_TYPES))
    if np.count_nonzero(counts) < 2:
        return None
    each = np.where(counts > 0, _BY_CODE, 0.0) / np.maximum(counts, 1)  # (T,)
    return np.asarray((each * (len(event_type) / each.dot(counts)))[event_type])


def shares(event_type: NDArray[np.int8]) -> dict[str, float]:
    """The fraction of each type in the natural mixture of those that are there."""
    there = [name for code, name in enumerate(EVENT_TYPES) if (event_type == code).any()]
    total = sum(CROSS_SECTION_NB[name] for name in there)
    return {name: CROSS_SECTION_NB[name] / total for name in there}
