"""What is said about shipped payloads: which bytes, how they were made, and what they are worth on unseen events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

COLUMNS: Final = ("skim", "retention", "AUC", "speed-up", "effective", "paired pull", "KL")


def described(tag: str, payload: Any) -> dict[str, Any]:
    """A payload in plain values, with all of its metadata."""
    return {
        "tag": tag,
        "name": payload.name,
        "revision": payload.revision,
        "sha256": payload.sha256,
        "md5": payload.md5,
        "size_bytes": payload.size_bytes,
        "published": payload.created_at.isoformat(),
        "metadata": dict(payload.metadata),
    }


def story(metadata: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """How a network was made, in words: what, and what is said of it."""
    training = metadata.get("provenance", {}).get("training", {})
    if "recipe" in metadata:
        yield "made by", str(metadata["recipe"])
    if "n_events" in training:
        types = training.get("event_types", {})
        of = ", ".join(f"{kind} {facts['n_events']}" for kind, facts in types.items())
        yield "trained on", f"{training['n_events']} events" + (f" ({of})" if of else "")
    said = _how(training)
    if said:
        yield "training", said
    evaluation = metadata.get("evaluation")
    if evaluation:
        kinds = evaluation.get("event_types", {})
        of = ", ".join(f"{kind} {count}" for kind, count in kinds.items())
        yield "evaluated on", f"{evaluation['n_events']} unseen events" + (f" ({of})" if of else "")


def skim_rows(metadata: Mapping[str, Any]) -> list[list[str]]:
    """The main figures of each skim that was evaluated, in the order of `COLUMNS`."""
    return [[name, *_cells(figures)] for name, figures in metadata.get("evaluation", {}).get("skims", {}).items()]


def _how(training: Mapping[str, Any]) -> str:
    config, versions = training.get("config", {}), training.get("versions", {})
    facts = {
        "device": config.get("device"),
        "epochs": config.get("epochs"),
        "seed": config.get("seed"),
        "seconds": training.get("seconds"),
        "torch": versions.get("torch"),
    }
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)


def _cells(figures: Mapping[str, Any]) -> Iterator[str]:
    """The cells of a row; what is unknown is a dash."""
    for name, form in (
        ("retention", ".2%"),
        ("auc", ".4f"),
        ("speed_up_reference", ".2f"),
        ("effective_fraction", ".2%"),
        ("largest_paired_pull", "+.2f"),
        ("largest_kl", ".5f"),
    ):
        value = figures.get(name)
        yield "-" if value is None else format(value, form)
