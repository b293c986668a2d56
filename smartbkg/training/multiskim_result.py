"""What comes out of a training of the multi-skim network: activations, figures, and the files that are published.

Letters: `B` events, `S` skims.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from smartbkg import __version__
from smartbkg.atomic import write_atomically
from smartbkg.events import EVENT_TYPES
from smartbkg.models.multiskim_checkpoint import save_multiskim
from smartbkg.models.transformer import Transformer
from smartbkg.multiskim_manifest import MultiSkimManifest
from smartbkg.pdg import PdgTable
from smartbkg.smartbackground import (
    BATCHED_FILE,
    CONFIG_FILE,
    WEIGHTS_FILE,
    SkimEntry,
    SmartBackgroundConfig,
    all_event_types,
)
from smartbkg.training.activation import figures, fit_activation
from smartbkg.training.loop import Epoch
from smartbkg.training.multiskim_config import MultiSkimConfig
from smartbkg.training.multiskim_crew import bind
from smartbkg.training.multiskim_data import MultiSkimSet
from smartbkg.training.multiskim_export import export_pair
from smartbkg.training.multiskim_loop import MultiSkimState, type_samples

CHECKPOINT = "multiskim.pt"
# What a trained file says of each skim; metrics.json says it for each event type, too.
_SHORT = ("a", "b", "auc", "speed_up", "effective_fraction", "retention", "n_training_passing")


@dataclass(frozen=True)
class Files:
    """What a training leaves to be published, and the checkpoint it can go on from."""

    weights: Path
    batched: Path
    config: Path
    checkpoint: Path


@dataclass(frozen=True)
class Result:
    """A finished training.

    Args:
        network: of the best epoch.
        entries: the skims with their activations.
        figures: of each skim, by name.
        training: what it was trained on and how, in plain values that do not depend on time or place.
        max_weight: of the activation.
        parent: what the first weights are from.
    """

    network: Transformer
    entries: tuple[SkimEntry, ...]
    figures: dict[str, Any]
    training: dict[str, Any]
    max_weight: float
    parent: dict[str, Any] | None

    @classmethod
    def of(
        cls,
        data: MultiSkimSet,
        rows: NDArray[np.int64],
        logits: NDArray[np.float32],
        state: MultiSkimState,
        config: MultiSkimConfig,
        parent: dict[str, Any] | None,
    ) -> Result:
        """Fit the activations to the logits (B, S) of validation events."""
        entries, found = fit_all(data, rows, logits, config)
        network = Transformer(dataclasses.replace(config.model, n_skims=len(data.skims)))
        bind(network, state.best.cpu().clone())
        best = min(state.history, key=lambda epoch: epoch.loss)
        training = {
            **_data_figures(data),
            "n_validation": len(rows),
            "epochs": len(state.history),
            "best_epoch": best.number,
            "validation_loss": best.loss,
            "config": dataclasses.asdict(config),
        }
        return cls(network.eval(), entries, found, training, config.max_weight, parent)

    def metrics(self) -> dict[str, Any]:
        """All figures, ready for JSON."""
        return {
            "skims": self.figures,
            **self.summary(),
            **self.training,
            "parent": self.parent,
            "versions": _versions(),
        }

    def summary(self) -> dict[str, Any]:
        """Figures over all skims."""
        lowest = min(self.figures, key=lambda name: self.figures[name]["speed_up"])
        own = list(self.figures.values())
        return {
            "n_skims": len(own),
            "auc": float(np.mean([skim["auc"] for skim in own])),
            "speed_up": float(np.mean([skim["speed_up"] for skim in own])),
            "lowest_speed_up": self.figures[lowest]["speed_up"],
            "lowest_speed_up_skim": lowest,
            "seed": self.training["config"]["seed"],
        }

    def save(self, folder: Path) -> Files:
        """Write checkpoint, both exports and the configuration that is bound to them."""
        short = {name: {key: skim[key] for key in _SHORT} for name, skim in self.figures.items()}
        manifest = MultiSkimManifest(
            skims=tuple((entry.code, entry.name) for entry in self.entries),
            model_config=dataclasses.asdict(self.network.config),
            data_digest=self.training["data_digest"],
            metrics={**self.summary(), "skims": short, "epochs": self.training["epochs"]},
            parent=self.parent,
        )
        files = Files(folder / WEIGHTS_FILE, folder / BATCHED_FILE, folder / CONFIG_FILE, folder / CHECKPOINT)
        sha256 = save_multiskim(files.checkpoint, self.network, manifest)
        bound = dataclasses.replace(manifest, checkpoint_sha256=sha256)
        weights_sha256, batched_sha256 = export_pair(files.weights, files.batched, self.network, bound)
        config = SmartBackgroundConfig(
            max_weight=self.max_weight,
            event_types=all_event_types(),
            skims=self.entries,
            pdg_codes=PdgTable.smartbackground().codes,
            weights_sha256=weights_sha256,
            batched_sha256=batched_sha256,
            provenance={"metrics": manifest.metrics, "training": self.training, "smartbkg": __version__},
        )
        # The configuration comes last: it never names files that are not there.
        write_atomically(files.config, config.to_json().encode())
        return files


def fit_all(
    data: MultiSkimSet, rows: NDArray[np.int64], logits: NDArray[np.float32], config: MultiSkimConfig
) -> tuple[tuple[SkimEntry, ...], dict[str, Any]]:
    """The activation of each skim, and its figures; from the logits (B, S) of validation events."""
    entries, found = [], {}
    passing = data.count_passing().sum(axis=0)
    for place, skim in enumerate(data.skims):
        samples = type_samples(data, rows, logits, place, data.weight[rows])
        a, b = (round(value, 4) for value in fit_activation(samples, config.times, config.max_weight))
        entries.append(SkimEntry(place, skim.code, skim.name, a, b))
        own = figures(samples, a, b, config.times, config.max_weight)
        n_training = int(passing[place]) - own["n_validation_passing"]
        found[skim.name] = {"code": skim.code, "a": a, "b": b, "n_training_passing": n_training, **own}
    return tuple(entries), found


def log_of(history: Sequence[Epoch]) -> str:
    """A line an epoch, as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [f.name for f in dataclasses.fields(Epoch)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(epoch) for epoch in history)
    return text.getvalue()


def _data_figures(data: MultiSkimSet) -> dict[str, Any]:
    counts, retention = data.count_passing(), data.retention
    per_type = {
        kind: {
            "n_events": int(data.natural[number]),
            "retention": {s.name: float(retention[number, place]) for place, s in enumerate(data.skims)},
        }
        for number, kind in enumerate(EVENT_TYPES)
    }
    return {
        "data_digest": data.digest,
        "n_events": int(data.natural.sum()),
        "n_kept": len(data),
        "n_without_particles": int((data.features.counts == 0).sum()),
        "n_passing": {s.name: int(counts[:, place].sum()) for place, s in enumerate(data.skims)},
        "event_types": per_type,
    }


def _versions() -> dict[str, str]:
    return {
        "smartbkg": __version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
