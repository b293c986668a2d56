"""The kinds of networks that tell from one event which pass one skim, by the name in their manifests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

from smartbkg.errors import NotAModel
from smartbkg.features import CONVNET_SPEC, GATGAP_SPEC, FeatureSpec
from smartbkg.models.convnet import ConvNet, ConvNetConfig
from smartbkg.models.gat import GATGAP_CONFIG, Gat, GatConfig

# All take packed batches as `Features.network_inputs` makes them and give logits (B,).
EventNetwork: TypeAlias = Gat | ConvNet
NetworkConfig: TypeAlias = GatConfig | ConvNetConfig

GATGAP, CONVNET = "gatgap", "convnet"
DEFAULTS: dict[str, NetworkConfig] = {GATGAP: GATGAP_CONFIG, CONVNET: ConvNetConfig()}
SPECS: dict[str, FeatureSpec] = {GATGAP: GATGAP_SPEC, CONVNET: CONVNET_SPEC}


def make_network(config: NetworkConfig) -> EventNetwork:
    """A network of this size, its weights from torch's generator."""
    return ConvNet(config) if isinstance(config, ConvNetConfig) else Gat(config)


def kind_of(config: NetworkConfig) -> str:
    """The name of the kind in manifests."""
    return CONVNET if isinstance(config, ConvNetConfig) else GATGAP


def read_config(values: Mapping[str, Any], source: Path | str) -> ConvNetConfig:
    """The size that a manifest of the baseline names; that of GATGAP is read from the weights.

    Raises:
        NotAModel: an entry is missing, unknown or no number.
        ModelMismatch: there is no network of this size.
    """
    known = {f.name for f in dataclasses.fields(ConvNetConfig)}
    wrong = sorted(name for name in {*known, *values} if name not in known or type(values.get(name)) is not int)
    if wrong:
        raise NotAModel(source, f"the configuration in its manifest has wrong entries: {', '.join(wrong)}")
    return ConvNetConfig(**values)
