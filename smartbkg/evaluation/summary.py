"""The figures of an evaluation that go with a payload: few enough to be read side by side, bound to files by digest."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any

from smartbkg.atomic import write_atomically
from smartbkg.errors import NotAModel

log = logging.getLogger(__name__)

EVALUATION_FILE = "evaluation.json"
_OF_SKIM = ("n_passing", "retention", "auc", "auc_uncertainty", "kept_fraction", "effective_fraction", "problem")
_OF_TIMES = ("speed_up", "speed_up_uncertainty", "threshold_speed_up")
_OF_COMPARISON = (
    "effective_events",
    "sum_pull",
    "largest_pull",
    "largest_paired_pull",
    "likely_largest_pull",
    "n_bins",
    "p_value",
    "largest_kl",
    "largest_kl_expected",
)
_OF_TYPE = ("n_events", "retention", "auc", "kept_fraction")


def write_evaluation(folder: Path, figures: dict[str, Any]) -> Path:
    """Put all figures into a folder, for `evaluation_summary` and for people."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / EVALUATION_FILE
    write_atomically(path, (json.dumps(figures, indent=1, allow_nan=False) + "\n").encode())
    return path


def evaluation_summary(folder: Path, sha256: str | Collection[str]) -> dict[str, Any] | None:
    """What a payload's metadata shall say of the evaluation that lies in a folder.

    Args:
        folder: of a training, perhaps with the `evaluation.json` of `smartbkg evaluate --store-in`.
        sha256: of the file that is published, or of all files that are; each must have been evaluated.

    Returns:
        None when nothing was evaluated, or other files were; the latter is said in the log.

    Raises:
        NotAModel: the file cannot be read.
    """
    path = folder / EVALUATION_FILE
    try:
        figures = json.loads(path.read_text(encoding="utf-8"))
        known = set(figures["filter"]["sha256"].values())
        wanted = {sha256} if isinstance(sha256, str) else set(sha256)
        if not wanted <= known:
            log.warning("%s is of other files and left out: evaluate again with --store-in %s", path, folder)
            return None
        return summary_of(figures)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise NotAModel(path, f"it is no evaluation of this release: {error!r}") from error


def summary_of(figures: dict[str, Any]) -> dict[str, Any]:
    """All figures without curves, bins and lists, six digits each."""
    return {
        "n_events": figures["n_events"],
        "event_types": figures["event_types"],
        "mixture": "natural" if figures["mixture"] else "as given",
        "network_ms": _short(figures["network_ms"]),
        "sampling": figures["sampling"],
        "skims": {skim: _of_skim(values) for skim, values in figures["skims"].items()},
    }


def _of_skim(values: dict[str, Any]) -> dict[str, Any]:
    found = _chosen(values, _OF_SKIM)
    for times in ("reference", "measured"):
        found |= {f"{name}_{times}": _short(values[times][name]) for name in _OF_TIMES if times in values}
    found |= _chosen(values.get("comparison") or {}, _OF_COMPARISON)
    types = values.get("event_types", {})
    return {**found, **({"event_types": {t: _chosen(f, _OF_TYPE) for t, f in types.items()}} if types else {})}


def _chosen(values: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: _short(values[name]) for name in names if name in values}


def _short(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value
