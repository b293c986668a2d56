"""A checkpoint as a scorer, for jobs that have torch and no exported file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from smartbkg.models.checkpoint import load_checkpoint
from smartbkg.models.kinds import EventNetwork
from smartbkg.scorer import Scorer


class TorchScorer(Scorer):
    """Scores with the network of a checkpoint file."""

    def __init__(self, path: Path | str, threads: int = 1) -> None:
        checkpoint = load_checkpoint(path)
        super().__init__(Path(path), checkpoint.manifest)
        self._network = checkpoint.network
        self._threads = threads

    def _logits(self, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        return network_logits(self._network, inputs)


def network_logits(network: EventNetwork, inputs: dict[str, NDArray[Any]]) -> NDArray[np.float32]:
    """Logits (B,) of a network on inputs as `Features.network_inputs` makes them."""
    with torch.inference_mode():
        logits: NDArray[np.float32] = network(**{name: torch.from_numpy(a) for name, a in inputs.items()}).numpy()
    return logits
