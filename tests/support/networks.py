"""Small networks with random weights, and the files they live in."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from smartbkg.manifest import Manifest
from smartbkg.models.checkpoint import save_checkpoint
from smartbkg.models.convnet import ConvNet, ConvNetConfig
from smartbkg.models.gat import GATGAP_CONFIG, Gat, GatConfig
from smartbkg.models.kinds import EventNetwork
from smartbkg.training.networks import export_bytes, kind_for

SMALL_CONFIG = GatConfig(units=4, heads=2, layers=2, gap=True)
SMALL_CONVNET = ConvNetConfig(channels=8, blocks=2, units=4, embedding=4)


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


def random_convnet(config: ConvNetConfig = SMALL_CONVNET, seed: int = 1) -> ConvNet:
    """A baseline whose every parameter is random, and whose scales are those of B decays."""
    torch.manual_seed(seed)
    network = ConvNet(config)
    network.scale_to(
        torch.tensor([0.0, 0.0, -1.0, -1.0, -1.0, -3.0, -3.0, -3.0, 0.0]),
        torch.tensor([0.1, 7.0, 1.0, 1.0, 1.0, 3.0, 3.0, 7.0, 5.5]),
    )
    with torch.no_grad():
        network.fc_output.weight.mul_(10.0)  # events must differ by more than rounding
    return network.eval()


def manifest_of(network: EventNetwork, **more: object) -> Manifest:
    """The smallest manifest that fits a network."""
    config, kind = dataclasses.asdict(network.config), kind_for(network.config)
    return Manifest(kind.name, kind.spec, kind.spec.token_digest, config, **more)  # type: ignore[arg-type]


def write_model(folder: Path, network: EventNetwork) -> tuple[Path, Path]:
    """Checkpoint and export of a network, as a training leaves them."""
    kind = kind_for(network.config)
    checkpoint, export = folder / kind.checkpoint, folder / kind.export
    sha256 = save_checkpoint(checkpoint, network, manifest_of(network))
    export.write_bytes(export_bytes(network, manifest_of(network, checkpoint_sha256=sha256)))
    return checkpoint, export
