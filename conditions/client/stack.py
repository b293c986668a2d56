"""The stack of tags in force where nobody names one: said once for a whole job, by the environment."""

from __future__ import annotations

import os

STACK_VARIABLES = ("CONDITIONS_TAGS", "BELLE2_CONDB_GLOBALTAG")  # ours first; both hold names between spaces


def stack_in_force() -> tuple[str, ...]:
    """Names of tags, the first one wins; empty when no variable holds any."""
    for variable in STACK_VARIABLES:
        if tags := os.environ.get(variable, "").split():
            return tuple(tags)
    return ()
