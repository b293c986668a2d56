"""The multi-skim network: a transformer over the particles of an event that knows who is whose mother.

Particles are related: itself, mother, child, sibling, ancestor, descendant, or not at all. Each head of each layer
learns what each relation is worth and adds it to its attention, so a B meson can look at all that came out of it in
one step. Events are padded to a common length; padding (pdg = -1) never changes a result.

Numbers come in raw (ns, cm, GeV) and are brought to a common scale inside, so an exported network carries that, too.

Letters: `B` events, `P` particles padded, `F` features, `D` width, `H` heads, `U` units a head, `L` layers,
`R` relations, `K` queries of the pooling, `S` skims.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from smartbkg.errors import ModelMismatch

RELATIONS = ("self", "mother", "child", "sibling", "ancestor", "descendant")
# What padding adds to an attention: exp() of it is 0 in every precision, and float16 can hold it.
PADDING = -3e4
# Flight time and length of a typical charm or beauty meson, and a soft momentum: below these, numbers stay linear.
TIME_NS, LENGTH_CM, SOFT_GEV = 0.001, 0.01, 0.1
AT_REST_GEV = 1e-3  # slower than this has no direction
# Of t, x, y, z, E, pz, distance, momentum, momentum across: units, and what brings their logarithms to order one.
UNITS = (TIME_NS, *[LENGTH_CM] * 3, SOFT_GEV, SOFT_GEV, LENGTH_CM, SOFT_GEV, SOFT_GEV)
SHRINK = (0.3, 0.3, 0.3, 0.3, 0.5, 0.5, 0.3, 0.5, 0.5)
N_SCALED = len(UNITS) + 7  # numbers of a particle that `scaled` makes
USUAL_PARTICLES = 32.0  # sums over an event are told in units of this


@dataclass(frozen=True)
class TransformerConfig:
    """Size of a multi-skim network.

    Args:
        n_skims: S, outputs.
        d_model: D, width.
        heads: H; D must be a multiple.
        layers: L.
        d_hidden: width of the two-layer network after each attention.
        d_embedding: width of a PDG code's embedding.
        queries: K, learned questions of the pooling.
        d_head: width of the layer before the logits.
        doublings: ancestors count up to 2 ** doublings generations away.
        n_tokens: rows of the PDG embedding.
        n_event_types: rows of the event type's embedding.
    """

    n_skims: int = 51
    d_model: int = 64
    heads: int = 4
    layers: int = 3
    d_hidden: int = 128
    d_embedding: int = 32
    queries: int = 4
    d_head: int = 128
    doublings: int = 3  # eight generations reach from a B meson to every photon
    n_tokens: int = 562
    n_event_types: int = 7

    def __post_init__(self) -> None:
        small = [name for name, value in vars(self).items() if value < 1]
        if small or self.d_model % self.heads:
            raise ModelMismatch(f"sizes are at least 1 and d_model is a multiple of heads; found {self}")


class Layer(nn.Module):
    """Attention with relations, then two dense layers; both added to what came in."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.d_model
        self.heads = config.heads
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, config.d_hidden)
        self.down = nn.Linear(config.d_hidden, width)

    def forward(self, h: Tensor, bias: Tensor) -> Tensor:
        """(B, P, D) and what relations add to the attention (H, B, P, P) -> (B, P, D)."""
        b, p, d = h.shape
        qkv = self.qkv(self.norm(h)).reshape(b, p, 3, self.heads, d // self.heads).permute(2, 3, 0, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]  # each (H, B, P, U)
        attention = torch.matmul(q * (d // self.heads) ** -0.5, k.transpose(-1, -2)) + bias  # (H, B, P, P)
        mixed = torch.matmul(torch.softmax(attention, dim=-1), v)  # (H, B, P, U)
        h = h + self.out(mixed.permute(1, 2, 0, 3).reshape(b, p, d))
        down: Tensor = self.down(functional.relu(self.up(self.norm2(h))))
        return h + down


class Pooling(nn.Module):
    """An event's particles as one vector: K weighted means, for what is there, and a sum, for how much of it."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.d_model)
        self.gate = nn.Linear(config.d_model, config.queries)
        self.count = nn.Linear(config.d_model, config.d_model)

    def forward(self, h: Tensor, real: Tensor) -> Tensor:
        """(B, P, D) and 1.0 for particles, 0.0 for padding (B, P, 1) -> (B, (K + 1) * D)."""
        h = self.norm(h)
        weight = torch.softmax(self.gate(h) + PADDING * (1.0 - real), dim=1) * real  # (B, P, K); an event may be empty
        means = torch.matmul(weight.transpose(1, 2), h).flatten(1)  # (B, K * D)
        total = (functional.relu(self.count(h)) * real).sum(dim=1) / USUAL_PARTICLES  # (B, D)
        return torch.cat([means, total], dim=1)


class Transformer(nn.Module):
    """One logit a skim for each event."""

    def __init__(self, config: TransformerConfig = TransformerConfig()) -> None:
        super().__init__()
        self.config = config
        width, inputs = config.d_model, config.d_embedding + N_SCALED
        self.pdg = nn.Embedding(config.n_tokens, config.d_embedding)
        self.own = nn.Linear(inputs, width)
        self.from_mother = nn.Linear(inputs, width, bias=False)
        self.event_type = nn.Embedding(config.n_event_types, width)
        self.mix = nn.Linear(width, width)
        self.relation = nn.Parameter(_first_bias(config))  # (L * H, R)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.pooling = Pooling(config)
        self.head = nn.Linear((config.queries + 1) * width + width, config.d_head)
        self.logits = nn.Linear(config.d_head, config.n_skims)
        for embedding in (self.pdg, self.event_type):
            nn.init.normal_(embedding.weight, std=0.3)

    def forward(self, x: Tensor, pdg: Tensor, mother: Tensor, c: Tensor) -> Tensor:
        """Logits of padded events.

        Args:
            x: (B, P, 8) float32: t, x, y, z, E, px, py, pz (ns, cm, GeV); 0 in padding.
            pdg: (B, P) tokens, -1 in padding.
            mother: (B, P) index inside the event, -1 where there is none and in padding.
            c: (B,) event type.

        Returns:
            (B, S) logits.
        """
        config = self.config
        real = (pdg >= 0).to(x.dtype).unsqueeze(-1)  # (B, P, 1)
        planes = relations(mother, real, config.doublings)  # (R + 1, B, P, P)
        u = torch.cat([self.pdg(pdg.clamp(min=0)), scaled(x)], dim=-1)  # (B, P, embedding + scaled)
        kind = self.event_type(c)  # (B, D)
        h = self.own(u) + self.from_mother(torch.matmul(planes[1], u)) + kind.unsqueeze(1)  # (B, P, D)
        h = self.mix(functional.relu(h))
        padding = torch.full_like(self.relation[:, :1], PADDING)
        bias = torch.matmul(torch.cat([self.relation, padding], dim=1), planes.flatten(1))  # (L * H, B * P * P)
        bias = bias.reshape(config.layers, config.heads, *planes.shape[1:])
        for number, layer in enumerate(self.layers):
            h = layer(h, bias[number])
        joined = torch.cat([self.pooling(h, real), kind], dim=1)
        logits: Tensor = self.logits(functional.relu(self.head(joined)))
        return logits


def scaled(x: Tensor) -> Tensor:
    """Raw numbers of particles on scales of order one.

    Args:
        x: (..., 8) t, x, y, z, E, px, py, pz (ns, cm, GeV).

    Returns:
        (..., 16): linear around 0 and logarithmic beyond: time, place, energy, momentum along the beam, distance,
        momentum, momentum across the beam; then energy, momentum and direction as they are.
    """
    lengths = torch.cat([_length(x[..., 1:4]), _length(x[..., 5:]), _length(x[..., 5:7])], dim=-1)  # (..., 3)
    chosen = torch.cat([x[..., :5], x[..., 7:], lengths], dim=-1) / x.new_tensor(UNITS)  # (..., 9)
    logarithm = torch.sign(chosen) * torch.log1p(chosen.abs()) * x.new_tensor(SHRINK)
    return torch.cat([logarithm, x[..., 4:], x[..., 5:] / (lengths[..., 1:2] + AT_REST_GEV)], dim=-1)


def relations(mother: Tensor, real: Tensor, doublings: int) -> Tensor:
    """Who is what to whom: planes of 0.0 and 1.0.

    Args:
        mother: (B, P) index inside the event, -1 where there is none.
        real: (B, P, 1) 1.0 for particles, 0.0 for padding.
        doublings: ancestors count up to 2 ** doublings generations away.

    Returns:
        (R + 1, B, P, P), a plane each of RELATIONS, the last one for padding: 1.0 where the column's particle is that
        to the row's particle. A mother is an ancestor, too, and a child a sibling of itself.
    """
    place = torch.arange(mother.shape[1], device=mother.device, dtype=mother.dtype)  # (P,)
    mothers = (mother.unsqueeze(2) == place).to(real.dtype)  # (B, P, P)
    itself = (place.unsqueeze(1) == place).to(real.dtype).expand_as(mothers)
    siblings = torch.matmul(mothers, mothers.transpose(1, 2))
    # Links of one length, and of all up to it: each step doubles both. A particle has one ancestor at each distance.
    far, ancestors = mothers, mothers
    for _ in range(doublings):
        ancestors = ancestors + torch.matmul(far, ancestors)
        far = torch.matmul(far, far)
    padding = (1.0 - real).transpose(1, 2).expand_as(mothers)
    children, descendants = mothers.transpose(1, 2), ancestors.transpose(1, 2)
    return torch.stack([itself, mothers, children, siblings, ancestors, descendants, padding])


def _length(vector: Tensor) -> Tensor:
    return vector.square().sum(dim=-1, keepdim=True).sqrt()


def _first_bias(config: TransformerConfig) -> Tensor:
    """(L * H, R) before training: heads take turns in looking up, down, aside and everywhere, and learn from there."""
    bias = torch.zeros(config.layers, config.heads, len(RELATIONS))
    for head, near in enumerate((("mother", "ancestor"), ("child", "descendant"), ("sibling",))):
        for relation in near if head < config.heads else ():
            bias[:, head, RELATIONS.index(relation)] = 1.0
    return bias.flatten(0, 1)
