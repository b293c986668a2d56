"""What a training has to know about each kind of network: its inputs, the names of its files, its export."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from smartbkg.features import FeatureSpec
from smartbkg.manifest import Manifest
from smartbkg.models.convnet import ConvNet
from smartbkg.models.gat import Gat
from smartbkg.models.kinds import CONVNET, GATGAP, SPECS, EventNetwork, NetworkConfig, kind_of
from smartbkg.training.convnet_export import convnet_bytes
from smartbkg.training.data import TrainingSet
from smartbkg.training.export import onnx_bytes

# Rows that are looked at at once for the smallest and largest numbers: 40 MB of float32.
_ROWS = 1_000_000


@dataclass(frozen=True)
class Kind:
    """One kind of network.

    Args:
        name: in manifests.
        stem: of the names of its files.
    """

    name: str
    stem: str

    @property
    def spec(self) -> FeatureSpec:
        """What it reads."""
        return SPECS[self.name]

    @property
    def checkpoint(self) -> str:
        """Name of the checkpoint."""
        return f"{self.stem}.pth"

    @property
    def export(self) -> str:
        """Name of the exported file."""
        return f"{self.stem}.onnx"


KINDS = {GATGAP: Kind(GATGAP, "GATGAPgen"), CONVNET: Kind(CONVNET, "ConvNet")}


def kind_for(config: NetworkConfig) -> Kind:
    """The kind of a network of this size."""
    return KINDS[kind_of(config)]


def export_bytes(network: EventNetwork, manifest: Manifest) -> bytes:
    """Content of the exported file: the same network and manifest give the same bytes."""
    return convnet_bytes(network, manifest) if isinstance(network, ConvNet) else onnx_bytes(network, manifest)


def fit_scales(network: EventNetwork, data: TrainingSet, rows: NDArray[np.int64]) -> None:
    """Fit what is no weight to the events that are trained on: the min-max scales of the baseline."""
    if isinstance(network, Gat):
        return
    counts, trained = data.features.counts, np.zeros(len(data), dtype=np.bool_)
    trained[rows] = True
    seen = np.repeat(trained, counts)  # (N,)
    x = data.features.x
    low, high = np.full(x.shape[1], np.inf), np.full(x.shape[1], -np.inf)
    for first in range(0, len(x), _ROWS):
        part = x[first : first + _ROWS][seen[first : first + _ROWS]]
        if len(part):
            low, high = np.minimum(low, part.min(axis=0)), np.maximum(high, part.max(axis=0))
    if np.isfinite(low).all():
        network.scale_to(*(torch.from_numpy(limit[:-1].astype(np.float32)) for limit in (low, high)))
