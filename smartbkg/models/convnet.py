"""The compact baseline: residual 1-D convolutions over an event's particles in the order of the generator.

What it reads are the numbers of a particle min-max scaled, its charge one-hot, its PDG code and its mother's embedded.
An event is padded to the longest of its batch and cut after `max_particles`; padding never changes a result.

Letters: `B` events, `N` particles, `P` particles padded, `F` features, `E` embedding, `I` inputs, `C` channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from smartbkg.errors import ModelMismatch

SLOPE = 0.01
# Below every activation, so that padding is never the largest of its event.
LOWEST = -1e30
CHARGES = 3  # negative, neutral, positive


@dataclass(frozen=True)
class ConvNetConfig:
    """Size of the network.

    Args:
        channels: C, of every convolution.
        blocks: residual blocks of two convolutions each.
        kernel: particles that a convolution sees; odd.
        units: width of an event's state.
        max_particles: of an event; the ones after them are not seen.
        n_tokens: rows of the PDG table, the spare one included.
        embedding: E.
        features: F, numbers of a particle beside its token; the last one is the charge.
    """

    channels: int = 48
    blocks: int = 3
    kernel: int = 3
    units: int = 32
    max_particles: int = 100
    n_tokens: int = 541
    embedding: int = 8
    features: int = 10

    def __post_init__(self) -> None:
        small = [name for name, value in vars(self).items() if value < 1]
        if small or self.kernel % 2 == 0 or self.features < 2:
            raise ModelMismatch(f"sizes are at least 1, the kernel odd, features 2 or more; found {self}")

    @property
    def inputs(self) -> int:
        """I: embedded code and mother, scaled numbers, charge."""
        return 2 * self.embedding + self.features - 1 + CHARGES


class ResidualBlock(nn.Module):
    """Two convolutions whose result is added to what came in; padding stays 0."""

    def __init__(self, config: ConvNetConfig) -> None:
        super().__init__()
        size = (config.channels, config.channels, config.kernel)
        self.first = nn.Conv1d(*size, padding=config.kernel // 2)
        self.second = nn.Conv1d(*size, padding=config.kernel // 2)

    def forward(self, h: Tensor, mask: Tensor) -> Tensor:
        """(B, C, P) and mask (B, 1, P) -> (B, C, P)."""
        inner = functional.leaky_relu(self.first(h), SLOPE) * mask
        return functional.leaky_relu(h + self.second(inner), SLOPE) * mask


class ConvNet(nn.Module):
    """The network: logits of events; a sigmoid outside makes them scores."""

    low: Tensor  # (F - 1,) what is scaled to 0
    span: Tensor  # (F - 1,) from there to what is scaled to 1

    def __init__(self, config: ConvNetConfig = ConvNetConfig()) -> None:
        super().__init__()
        self.config = config
        # One row more than there are tokens: of those without a mother.
        self.pdg_embedding = nn.Embedding(config.n_tokens + 1, config.embedding)
        self.register_buffer("low", torch.zeros(config.features - 1))
        self.register_buffer("span", torch.ones(config.features - 1))
        self.stem = nn.Linear(config.inputs, config.channels)
        self.blocks = nn.ModuleList([ResidualBlock(config) for _ in range(config.blocks)])
        self.fc = nn.Linear(2 * config.channels, config.units)
        self.fc_output = nn.Linear(config.units, 1)

    def scale_to(self, low: Tensor, high: Tensor) -> None:
        """Scale numbers between these (F-1,) to 0 to 1; where there is only one number, to 0."""
        self.low.copy_(low)
        self.span.copy_(torch.where(high > low, high - low, torch.ones_like(low)))

    def forward(self, x: Tensor, token: Tensor, mother: Tensor, event: Tensor, n_events: Tensor | int) -> Tensor:
        """Logits of the events.

        Args:
            x: (N, F) features, the charge last.
            token: (N,) PDG tokens.
            mother: (N,) position of the mother in the batch, -1 where there is none.
            event: (N,) position of each particle's event.
            n_events: B, as a number or a tensor (1,).

        Returns:
            (B,) logits.
        """
        counts = event.new_zeros(int(n_events)).index_add(0, event, torch.ones_like(event))  # (B,)
        longest = int(counts.max().clamp(1, self.config.max_particles))  # P
        place = torch.arange(len(event), device=event.device) - (torch.cumsum(counts, 0) - counts)[event]  # (N,)
        h = functional.leaky_relu(self.stem(self._inputs(x, token, mother)), SLOPE)  # (N, C)
        # What is cut away goes to a place of its own, which is left out.
        padded = h.new_zeros(len(counts), longest + 1, h.shape[1])
        padded = padded.index_put((event, place.clamp(max=longest)), h)
        h = padded[:, :longest].transpose(1, 2)  # (B, C, P)
        mask = (torch.arange(longest, device=event.device) < counts[:, None]).to(h.dtype)[:, None]  # (B, 1, P)
        for block in self.blocks:
            h = block(h, mask)
        pooled = torch.cat([_mean(h, mask), _largest(h, mask)], dim=1)  # (B, 2 * C)
        logits: Tensor = self.fc_output(functional.leaky_relu(self.fc(pooled), SLOPE))  # (B, 1)
        return logits[:, 0]

    def _inputs(self, x: Tensor, token: Tensor, mother: Tensor) -> Tensor:
        """(N, I)."""
        nobody = torch.full_like(token, self.config.n_tokens)
        mothers = torch.where(mother >= 0, token[mother.clamp(min=0)], nobody) if len(token) else token
        scaled = ((x[:, :-1] - self.low) / self.span).clamp(0.0, 1.0)  # (N, F - 1)
        charge = x[:, -1:]
        sign = torch.cat([charge < -0.5, (charge >= -0.5) & (charge <= 0.5), charge > 0.5], dim=1)  # (N, 3)
        return torch.cat([self.pdg_embedding(token), self.pdg_embedding(mothers), scaled, sign.to(x.dtype)], dim=1)


def _mean(h: Tensor, mask: Tensor) -> Tensor:
    """Mean of an event's particles, (B, C, P) -> (B, C); 0 for an empty event."""
    return h.sum(2) / mask.sum(2).clamp(min=1.0)


def _largest(h: Tensor, mask: Tensor) -> Tensor:
    """Largest of an event's particles, (B, C, P) -> (B, C); 0 for an empty event."""
    filled = mask[:, :, 0]  # (B, 1)
    return torch.where(mask > 0, h, torch.full_like(h, LOWEST)).amax(2) * filled
