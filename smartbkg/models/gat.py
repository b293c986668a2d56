"""GATGAP: graph attention over the decay tree with global attention pooling after every layer.

The names of the parameters are those of the published checkpoints, which load as they are.

Letters: `B` events, `N` particles, `F` features, `H` heads, `U` units a head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from smartbkg.models.layers import AttentionPooling, GATConv, Trees, mean_pooling

LAYER_SLOPE = 0.01  # the published network


@dataclass(frozen=True)
class GatConfig:
    """Size of a GATGAP network; the defaults are those of the published class, see GATGAP_CONFIG.

    Args:
        units: outputs of a head, and width of an event's state.
        heads: attention heads.
        layers: graph layers.
        gap: pool with learned attention; else with the mean.
        n_tokens: rows of the embedding, the spare one included.
        embedding: width of the embedding.
        features: F, numbers of a particle beside its token.
    """

    units: int = 128
    heads: int = 4
    layers: int = 5
    gap: bool = False
    n_tokens: int = 541
    embedding: int = 8
    features: int = 8


# The deployed network.
GATGAP_CONFIG = GatConfig(units=32, heads=4, layers=6, gap=True)


class GatLayer(nn.Module):
    """One step for the particles (attention) and one for their event (pooling, joined to the state before)."""

    def __init__(self, config: GatConfig, *, first: bool) -> None:
        super().__init__()
        width = config.heads * config.units
        inputs = config.embedding + config.features if first else width
        self.gat = GATConv(inputs, config.units, config.heads)
        self.fc = nn.Linear(width if first else config.units + width, config.units)
        self.gap: AttentionPooling | None = None
        if config.gap:
            self.gap_gate = nn.Linear(width, 1)
            # The published checkpoints hold the gate under both names; so do ours, that strict loading works there.
            self.gap = AttentionPooling(self.gap_gate)

    def forward(self, h: Tensor, state: Tensor | None, trees: Trees) -> tuple[Tensor, Tensor]:
        """Particles (N, inputs) and state (B, U) or None -> (N, H * U), (B, U)."""
        h = functional.leaky_relu(self.gat(h, trees), LAYER_SLOPE)
        pooled = mean_pooling(h, trees) if self.gap is None else self.gap(h, trees)  # (B, H * U)
        joined = pooled if state is None else torch.cat([state, pooled], dim=1)
        return h, functional.leaky_relu(self.fc(joined), LAYER_SLOPE)


class Gat(nn.Module):
    """The network: logits of events; a sigmoid outside makes them scores."""

    def __init__(self, config: GatConfig = GATGAP_CONFIG) -> None:
        super().__init__()
        self.config = config
        self.pdg_embedding = nn.Embedding(config.n_tokens, config.embedding)
        self.gat_layers = nn.ModuleList([GatLayer(config, first=i == 0) for i in range(config.layers)])
        self.fc_output = nn.Linear(config.units, 1)

    def forward(self, x: Tensor, token: Tensor, mother: Tensor, event: Tensor, n_events: Tensor | int) -> Tensor:
        """Logits of the events.

        Args:
            x: (N, F) features.
            token: (N,) PDG tokens.
            mother: (N,) position of the mother in the batch, -1 where there is no edge.
            event: (N,) position of each particle's event.
            n_events: B, as a number or a tensor (1,).

        Returns:
            (B,) logits.
        """
        trees = Trees.of(mother, event, int(n_events), x.dtype)
        h = torch.cat([self.pdg_embedding(token), x], dim=1)  # (N, embedding + F)
        state: Tensor | None = None
        for layer in self.gat_layers:
            h, state = layer(h, state, trees)
        logits: Tensor = self.fc_output(state)  # (B, 1)
        return logits[:, 0]
