"""How to train the multi-skim network: one frozen value."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field

import torch

from smartbkg.errors import TrainingError, UnknownName
from smartbkg.models.transformer import TransformerConfig
from smartbkg.smartbackground import MAX_WEIGHT
from smartbkg.training.metrics import REFERENCE_TIMES, ReferenceTimes

PRECISIONS = ("fp32", "bf16")
DEVICES = ("cpu", "cuda")


@dataclass(frozen=True)
class MultiSkimConfig:
    """How to train.

    Args:
        model: size of the network; its number of skims is that of the data.
        seed: of the first weights, the batches and the augmentation.
        epochs: all of them are trained; the best one is kept.
        epoch_events: events drawn in an epoch; at most as many as there are.
        batch_size: events of a step.
        learning_rate, final_rate: of AdamW, the largest and the last; a cosine between them.
        warm_up: fraction of all steps in which the rate rises to its largest.
        weight_decay: of matrices.
        clip: largest norm of a step's gradient.
        ema: the weights that are kept are means over the last 1 / (1 - ema) steps.
        validation_fraction: of all events.
        validation_events: of these, as many are drawn by weight to judge each epoch; the last figures are of all.
        rare: pairs of skim and type with fewer passing events count less (`multiskim_balance`).
        max_repeats: no event is shown more often in an epoch.
        augment: show events rotated, reflected and charge conjugated.
        max_weight: of the activation.
        precision: `fp32`, or `bf16` for the products inside the network.
        device: `cpu` or `cuda`.
        threads: of torch in each process. The same number gives the same weights.
        times: per event, for the speed-up.
    """

    model: TransformerConfig = field(default_factory=TransformerConfig)
    seed: int = 1
    epochs: int = 20
    epoch_events: int = 200_000
    batch_size: int = 512
    learning_rate: float = 2e-3
    final_rate: float = 2e-5
    warm_up: float = 0.04
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.998
    validation_fraction: float = 0.15
    validation_events: int = 20_000
    rare: float = 200.0
    max_repeats: float = 2.0
    augment: bool = True
    max_weight: float = MAX_WEIGHT
    precision: str = "fp32"
    device: str = "cpu"
    threads: int = 1
    times: ReferenceTimes = REFERENCE_TIMES

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise UnknownName("precision", self.precision, PRECISIONS)
        if self.device not in DEVICES:
            raise UnknownName("device", self.device, DEVICES)
        for name in ("learning_rate", "final_rate", "clip", "rare", "max_repeats"):
            if not 0.0 < getattr(self, name) < float("inf"):
                raise TrainingError(f"{name} is a positive number, not {getattr(self, name)}")
        for name in ("validation_fraction", "warm_up", "ema"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise TrainingError(f"{name} is between 0 and 1, not {getattr(self, name)}")
        for name in ("epochs", "epoch_events", "batch_size", "validation_events", "threads"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} is at least 1, not {getattr(self, name)}")

    def check_device(self) -> None:
        """Refuse a device that is not there.

        Raises:
            TrainingError
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise TrainingError("the device cuda was asked for, and torch finds none here: train with --device cpu")

    def identity(self, data_digest: str, skims: list[str], start_from: str | None) -> str:
        """What two trainings must share for one to resume the other."""
        settings = {**dataclasses.asdict(self), "data": data_digest, "skims": skims, "start_from": start_from}
        return json.dumps(settings, sort_keys=True)
