"""Small multi-skim networks with random weights, and padded events for them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch
from torch import Tensor

from smartbkg.bridging import build_bridged
from smartbkg.features import Features
from smartbkg.models.transformer import Transformer, TransformerConfig
from smartbkg.multiskim_manifest import MultiSkimManifest
from smartbkg.training.multiskim_export import export_pair
from support.events import decay_trees

SMALL_TRANSFORMER = TransformerConfig(n_skims=3, d_model=16, heads=4, layers=2, d_hidden=24, d_embedding=8, d_head=16)


def random_transformer(config: TransformerConfig = SMALL_TRANSFORMER, seed: int = 1) -> Transformer:
    """A network whose every parameter is random and whose logits spread by about 1."""
    torch.manual_seed(seed)
    network = Transformer(config)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
        network.relation.add_(torch.randn_like(network.relation))
        network.logits.weight.mul_(5.0)  # events must differ by more than rounding
    return network.eval().requires_grad_(False)


def manifest_for(network: Transformer, **more: object) -> MultiSkimManifest:
    """The smallest manifest that fits a network."""
    skims = tuple((10_000_000 + i, f"skim{i}") for i in range(network.config.n_skims))
    return MultiSkimManifest(skims, dataclasses.asdict(network.config), **more)  # type: ignore[arg-type]


def write_pair(folder: Path, network: Transformer | None = None) -> tuple[Path, Path]:
    """Both exported forms of a network, bound to each other: of one event a call, of batches."""
    network = random_transformer() if network is None else network
    single, batched = folder / "weights.onnx", folder / "weights_batched.onnx"
    export_pair(single, batched, network, manifest_for(network))
    return single, batched


def pad(features: Features, event_type: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs of the torch network, padded to the longest event."""
    b, p = len(features), int(features.counts.max(initial=1))
    event = torch.from_numpy(features.counts).repeat_interleave(torch.from_numpy(features.counts))
    row = torch.arange(b).repeat_interleave(torch.from_numpy(features.counts))
    place = torch.arange(len(event)) - torch.from_numpy(features.offsets[:-1])[row]
    x, pdg, mother = torch.zeros(b, p, 8), torch.full((b, p), -1), torch.full((b, p), -1)
    x[row, place] = torch.from_numpy(features.x)
    pdg[row, place] = torch.from_numpy(features.token)
    mother[row, place] = torch.from_numpy(features.mother)
    return x, pdg, mother, event_type


def padded(n_events: int, seed: int = 1) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """x, pdg, mother, c of random decay trees of several types."""
    return pad(build_bridged(decay_trees(n_events, seed)), torch.arange(n_events) % 7)
