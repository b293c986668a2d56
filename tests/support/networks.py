"""Small networks with random weights, and the files they live in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from smartbkg.features import GATGAP_SPEC
from smartbkg.manifest import Manifest
from smartbkg.models.checkpoint import KIND, save_checkpoint
from smartbkg.models.gat import GATGAP_CONFIG, Gat, GatConfig
from smartbkg.training.export import export_onnx

SMALL_CONFIG = GatConfig(units=4, heads=2, layers=2, gap=True)


def random_network(config: GatConfig = GATGAP_CONFIG, seed: int = 1) -> Gat:
    """A network whose every parameter is random, biases too, and whose logits spread by about 1."""
    torch.manual_seed(seed)
    network = Gat(config)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1 or "attn" in name:
                parameter.normal_(0.0, 0.3)
        network.fc_output.weight.mul_(10.0)  # events must differ by more than rounding
    return network.eval()


def manifest_of(network: Gat, **more: object) -> Manifest:
    """The smallest manifest that fits a network."""
    config = dataclasses.asdict(network.config)
    return Manifest(KIND, GATGAP_SPEC, GATGAP_SPEC.token_digest, config, **more)  # type: ignore[arg-type]


def write_model(folder: Path, network: Gat) -> tuple[Path, Path]:
    """Checkpoint and export of a network, as a training leaves them."""
    checkpoint, export = folder / "GATGAPgen.pth", folder / "GATGAPgen.onnx"
    sha256 = save_checkpoint(checkpoint, network, manifest_of(network))
    export_onnx(export, network, manifest_of(network, checkpoint_sha256=sha256))
    return checkpoint, export
