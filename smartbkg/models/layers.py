"""Attention over decay trees, in plain torch.

A batch is packed: the particles of all events one after the other. A particle's neighbours are its mother, its
children and itself, so the graph is the column `mother` and nothing more.

Letters: `B` events, `N` particles, `H` heads, `U` units a head, `I` inputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

ATTENTION_SLOPE = 0.2  # the published network; the slope after a layer is another one


@dataclass(frozen=True)
class Trees:
    """The decay trees of a batch.

    Args:
        mother: (N,) position of the mother in the batch; its own where there is no edge.
        linked: (N, 1) 1.0 where there is an edge, else 0.0.
        event: (N,) position of each particle's event.
        n_events: B.
    """

    mother: Tensor
    linked: Tensor
    event: Tensor
    n_events: int

    @classmethod
    def of(cls, mother: Tensor, event: Tensor, n_events: int, dtype: torch.dtype = torch.float32) -> Trees:
        """Trees of mother positions (N,) with -1 where there is no edge."""
        linked = mother >= 0
        own = torch.arange(len(mother), device=mother.device)
        return cls(torch.where(linked, mother, own), linked.to(dtype)[:, None], event, n_events)


class GATConv(nn.Module):
    """Graph attention: each particle becomes a weighted mean of its neighbours' projections."""

    def __init__(self, inputs: int, units: int, heads: int) -> None:
        super().__init__()
        self.heads, self.units = heads, units
        self.attn_l = nn.Parameter(torch.empty(1, heads, units))
        self.attn_r = nn.Parameter(torch.empty(1, heads, units))
        self.bias = nn.Parameter(torch.zeros(heads * units))
        self.fc = nn.Linear(inputs, heads * units, bias=False)
        # Xavier with the gain of a ReLU keeps the size of h through the layers.
        for weight in (self.attn_l, self.attn_r, self.fc.weight):
            nn.init.xavier_normal_(weight, gain=nn.init.calculate_gain("relu"))

    def forward(self, h: Tensor, trees: Trees) -> Tensor:
        """(N, I) -> (N, H * U)."""
        mother = trees.mother
        z = self.fc(h).view(-1, self.heads, self.units)  # (N, H, U)
        as_source = (z * self.attn_l).sum(-1)  # (N, H)
        as_target = (z * self.attn_r).sum(-1)
        from_own, from_mother, from_child = self._attention(as_source, as_target, trees)  # (N, H) each
        out = from_own[:, :, None] * z + from_mother[:, :, None] * z[mother]  # (N, H, U)
        out = out.index_add(0, mother, from_child[:, :, None] * z)
        result: Tensor = out.flatten(1) + self.bias
        return result

    @staticmethod
    def _attention(as_source: Tensor, as_target: Tensor, trees: Trees) -> tuple[Tensor, Tensor, Tensor]:
        """Softmax over the incoming edges of each particle.

        Returns:
            (N, H) weights of: itself at itself, its mother at itself, and itself at its mother.
        """
        mother = trees.mother
        mothers_source = as_source[mother]
        with torch.no_grad():
            # leaky_relu only grows: the largest edge comes from the largest source. Shifting by it keeps exp() small.
            largest = torch.maximum(as_source, mothers_source)
            largest = largest.scatter_reduce(0, mother[:, None].expand_as(as_source), as_source, "amax")
            shift = _edge(largest, as_target)
        own = torch.exp(_edge(as_source, as_target) - shift)
        down = torch.exp(_edge(mothers_source, as_target) - shift) * trees.linked
        # Without an edge `mother` is the particle itself, so the exponent stays at most 0 there too.
        up = torch.exp(_edge(as_source, as_target[mother]) - shift[mother]) * trees.linked
        scale = 1.0 / (own + down).index_add(0, mother, up)
        return own * scale, down * scale, up * scale[mother]


class AttentionPooling(nn.Module):
    """Weighted sum of an event's particles, the weights a softmax of a learned gate; 0 for an empty event."""

    def __init__(self, gate_nn: nn.Linear) -> None:
        super().__init__()
        self.gate_nn = gate_nn

    def forward(self, h: Tensor, trees: Trees) -> Tensor:
        """(N, I) -> (B, I)."""
        gate = self.gate_nn(h)[:, 0]  # (N,)
        with torch.no_grad():
            largest = gate.new_zeros(trees.n_events).scatter_reduce(0, trees.event, gate, "amax", include_self=False)
        weight = torch.exp(gate - largest[trees.event])
        total = gate.new_zeros(trees.n_events).index_add(0, trees.event, weight)  # (B,)
        weighted = (weight / total[trees.event])[:, None] * h
        return h.new_zeros(trees.n_events, h.shape[1]).index_add(0, trees.event, weighted)


def mean_pooling(h: Tensor, trees: Trees) -> Tensor:
    """Mean of an event's particles, (N, I) -> (B, I); 0 for an empty event."""
    counts = h.new_zeros(trees.n_events).index_add(0, trees.event, h.new_ones(len(h)))
    total = h.new_zeros(trees.n_events, h.shape[1]).index_add(0, trees.event, h)
    return total / counts.clamp(min=1.0)[:, None]


def _edge(source: Tensor, target: Tensor) -> Tensor:
    return functional.leaky_relu(source + target, ATTENTION_SLOPE)
