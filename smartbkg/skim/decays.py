"""The words of the skims: particles, decay channels and cuts, as data.

A particle's list is written once, for the particle; the antiparticle is meant, too. A name may carry a label that
sets two lists of the same particle apart: `pi+:slow`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from smartbkg.skim.cuts import Cut

SELF_CONJUGATE = frozenset(
    {
        *("gamma", "pi0", "eta", "eta'", "rho0", "omega", "phi", "K_S0"),
        *("J/psi", "psi(2S)", "eta_c", "chi_c1", "Upsilon", "eta_b"),
        *("dilepton", "lepton_pair", "long_lived"),
    }
)
ANTI = "anti-"


def conjugate(name: str) -> str:
    """The antiparticle's name.

    >>> [conjugate(n) for n in ("D0", "anti-D0", "pi+:slow", "K_S0")]
    ['anti-D0', 'D0', 'pi-:slow', 'K_S0']
    """
    base, colon, label = name.partition(":")
    if base in SELF_CONJUGATE:
        return name
    if base.endswith(("+", "-")):
        return base[:-1] + ("-" if base.endswith("+") else "+") + colon + label
    return (base.removeprefix(ANTI) if base.startswith(ANTI) else ANTI + base) + colon + label


def is_self_conjugate(name: str) -> bool:
    """Whether the particle is its own antiparticle."""
    return conjugate(name) == name


def charge_of(name: str) -> int:
    """Charge in units of e, from the sign at the end of the name."""
    base = name.partition(":")[0]
    return {"+": 1, "-": -1}.get(base[-1], 0)


@dataclass(frozen=True)
class Channel:
    """One decay, written `D0 -> K- pi+ pi0`, with cuts of its own."""

    text: str
    cuts: tuple[Cut, ...] = ()

    def __post_init__(self) -> None:
        if self.text.count(" -> ") != 1 or not self.daughters:
            raise ValueError(f"a decay is written 'D0 -> K- pi+', found {self.text!r}")
        if charge_of(self.mother) != sum(map(charge_of, self.daughters)):
            raise ValueError(f"{self.text} does not conserve charge")

    @cached_property
    def mother(self) -> str:
        """Name of the decaying particle."""
        return self.text.split(" -> ")[0]

    @cached_property
    def daughters(self) -> tuple[str, ...]:
        """Names of the decay products, in the order they are combined: put the rarest first."""
        return tuple(self.text.split(" -> ")[1].split())


@dataclass(frozen=True)
class TrackList:
    """Tracks taken for one particle, e.g. `K+`; variables of the cuts are those of `final.track_variables`."""

    name: str
    mass_gev: float
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True)
class NeutralList:
    """Reconstructed `K_S0`, `pi0` or `gamma` candidates; variables of the cuts as in `final.neutral_candidates`."""

    name: str
    mass_gev: float
    cuts: tuple[Cut, ...] = ()


@dataclass(frozen=True)
class Rule:
    """How one particle is put together: its channels, cuts for all of them, the mass it gets afterwards."""

    name: str
    channels: tuple[Channel, ...]
    cuts: tuple[Cut, ...] = ()
    mass_gev: float | None = None

    def __post_init__(self) -> None:
        for channel in self.channels:
            if channel.mother != self.name:
                raise ValueError(f"{channel.text!r} stands among the decays of {self.name}")


@dataclass(frozen=True)
class Selection:
    """Candidates of other lists of the same particle in one list, with cuts, and with another mass afterwards."""

    name: str
    sources: tuple[str, ...]
    cuts: tuple[Cut, ...] = ()
    mass_gev: float | None = None


@dataclass(frozen=True)
class Without:
    """The candidates of a list that use no track or cluster of any candidate of the vetoes."""

    name: str
    source: str
    vetoes: tuple[str, ...]


ListSpec = TrackList | NeutralList | Rule | Selection | Without
