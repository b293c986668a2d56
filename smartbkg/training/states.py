"""The file from which a training goes on: plain values, and the identity of the training they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from smartbkg.errors import NotAModel, TrainingError
from smartbkg.models.checkpoint import load_plain

IDENTITY = "identity"


def read_state(path: Path, entries: tuple[str, ...], identity: str | None = None) -> dict[str, Any]:
    """The entries of a training's state.

    Args:
        path: the file.
        entries: that must be there beside the identity.
        identity: JSON of the training that goes on; None for whichever it is.

    Raises:
        TrainingError: it is of other data, another configuration or another start.
        NotAModel: it is damaged, or no state of a training.
    """
    values = load_plain(path.read_bytes(), path)
    missing = sorted({IDENTITY, *entries} - set(values))
    if missing:
        found = ", ".join(map(str, values)) or "nothing"
        raise NotAModel(path, f"it is no state of a training: it lacks {', '.join(missing)}; found {found}")
    if identity is not None and values[IDENTITY] != identity:
        asked, found_identity = json.loads(identity), identity_of(values, path)
        other = ", ".join(
            f"{name} {found_identity.get(name)!r} instead of {asked[name]!r}"
            for name in asked
            if asked[name] != found_identity.get(name)
        )
        raise TrainingError(f"{path} is of another training and cannot be resumed as this one: {other}")
    return values


def identity_of(values: dict[str, Any], path: Path) -> dict[str, Any]:
    """The identity in a state, as plain values.

    Raises:
        NotAModel: it is none.
    """
    try:
        identity = json.loads(values[IDENTITY])
    except (TypeError, ValueError) as error:
        raise NotAModel(path, f"the identity of its training is no JSON: {error}") from error
    if not isinstance(identity, dict):
        raise NotAModel(path, "the identity of its training is no JSON object")
    return identity
