"""What is said about a shipped payload: which bytes, how it was made, and what it is worth on events it never saw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

# Of an evaluation, what is shown; all of it is in the payload's metadata.
_MAIN: Final = ("n_events", "retention", "auc", "speed_up", "effective_fraction", "largest_kl")


class Entry(Protocol):
    """A payload of a snapshot, and its tag."""

    @property
    def tag(self) -> str:
        """Its tag."""
        ...

    @property
    def payload(self) -> Any:
        """A `conditions.Payload`."""
        ...


def described(entry: Entry) -> dict[str, Any]:
    """A payload in plain values, with the main figures."""
    payload = entry.payload
    return {
        "tag": entry.tag,
        "name": payload.name,
        "revision": payload.revision,
        "sha256": payload.sha256,
        "md5": payload.md5,
        "size_bytes": payload.size_bytes,
        "published": payload.created_at.isoformat(),
        "made": _made(payload.metadata),
        "metadata": dict(payload.metadata),
    }


def _made(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """How it was made and what it is worth, the few things that one looks at first."""
    training = metadata.get("provenance", {}).get("training", {})
    said = {
        "skim": metadata.get("skim"),
        "trained on": _words(training, ("n_events", "n_train", "epochs", "device")),
        "on validation events": _words(metadata.get("metrics", {}), _MAIN),
        "on unseen events": _words(metadata.get("evaluation", {}), _MAIN),
    }
    return {what: value for what, value in said.items() if value}


def _words(values: Mapping[str, Any], names: tuple[str, ...]) -> str:
    found = {name: values[name] for name in names if isinstance(values.get(name), int | float | str)}
    return ", ".join(
        f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in found.items()
    )
