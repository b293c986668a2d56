"""Belle II's decay table in Pythia.

The table DECAY_BELLE2.DEC travels in the wheel of `decaylanguage`; it is read from there and nothing of it is kept
here. The decays of the particles in MOTHERS (open beauty and charm, charmonium, excited kaons and light mesons) replace
Pythia's own. All others stay Pythia's: light mesons with Dalitz decays, tau, hyperons, Xi_c and Omega_c (the table has
flavours for them that only EvtGen knows), chi_c and eta_c.

What is lost against EvtGen, for which the table was written:
* Form factors and helicity amplitudes. Models become Pythia's matrix elements: semileptonic ones V-A (22), vector to
  two pseudoscalars polarised (2), inclusive b -> s l l and b -> s gamma Pythia's own (12, 31), fragmentation PYTHIA n
  the mode n. All others are phase space. There is no CP violation.
* Channels with particles that Pythia does not know, or that are closed at Pythia's masses. The others are scaled up in
  their place; `DecaySummary.lost` says how much.
* Aliases that force a decay (K*0 to K_S0 pi0) become the particle itself.
* Radiated photons.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from smartbkg.errors import GenerationError, MissingExtra

TABLE_NAME: Final = "DECAY_BELLE2.DEC"
# Particles whose decays are taken from the table, by PDG code; antiparticles follow.
MOTHERS: Final = (
    *(511, 521, 513, 523),  # B, B*
    *(411, 421, 431, 413, 423, 433),  # D, D_s and their vector states
    *(10411, 10421, 10413, 10423, 20413, 20423, 415, 425),  # D**
    *(10431, 10433, 20433, 435),  # D_s**
    *(443, 100443, 30443),  # J/psi, psi(2S), psi(3770)
    *(4122, 4112, 4212, 4222),  # Lambda_c, Sigma_c
    *(313, 323, 10311, 10321, 10313, 10323, 20313, 20323, 315, 325, 30313, 30323, 100313, 100323),  # excited kaons
    *(10113, 10213, 20113, 20213, 20223, 215, 225),  # b_1, a_1, f_1, a_2, f_2
)
# Names of the table that the particle library does not translate.
NAMES: Final = {"D'_1+": 20413, "D'_1-": -20413, "rndmflav": 82, "anti-rndmflav": -82}
# Inclusive hadronic systems of EvtGen as the quarks that Pythia makes them of.
QUARK_SYSTEMS: Final = {"Xsd": (-3, 1), "Xsu": (-3, 2), "Xu-": (-2, 1), "Xu+": (2, -1), "Xu0": (2, -2)}
SEMILEPTONIC: Final = {"BCL", "BGL", "GOITY_ROBERTS", "HQET3", "ISGW2", "LLSW", "SLBKPOLE", "SLPOLE", "VUB"}
MODES: Final = {"BTOXSLL": 12, "BTOXSGAMMA": 31, "VSS": 2}
SEMILEPTONIC_MODE: Final = 22
MAX_PRODUCTS: Final = 8  # of one channel, in Pythia
# Parts of the width that a mother may lose before the result is no longer Belle II's.
MAX_LOST: Final = 0.1


@dataclass(frozen=True)
class Channel:
    """One decay channel: branching fraction, Pythia's matrix-element mode and products (none: names unknown)."""

    fraction: float
    mode: int
    products: tuple[int, ...]


@dataclass(frozen=True)
class DecaySummary:
    """What was loaded: mothers, channels, and the part of each mother's width that was lost (if any)."""

    version: str
    n_mothers: int
    n_channels: int
    lost: dict[int, float]

    def to_json(self) -> dict[str, Any]:
        """Plain values for a file's metadata."""
        lost = {str(pdg): round(part, 5) for pdg, part in sorted(self.lost.items())}
        return {
            "table": TABLE_NAME,
            "decaylanguage": self.version,
            "mothers": self.n_mothers,
            "channels": self.n_channels,
            "lost_fraction": lost,
        }


def load_belle2_decays(pythia: Any, table: Mapping[int, Sequence[Channel]] | None = None) -> DecaySummary:
    """Replace Pythia's decays of MOTHERS (or of another table's), before its `init`.

    Raises:
        MissingExtra: decaylanguage or particle is not installed.
        GenerationError: the table lacks a mother or loses too much of one.
    """
    from importlib.metadata import version

    data = pythia.particleData
    lost, n_channels = {}, 0
    for pdg, channels in (read_belle2_table() if table is None else table).items():
        usable = [c for c in channels if c.products and _is_open(data, pdg, c.products)]
        total = sum(c.fraction for c in channels)
        lost[pdg] = 1.0 - sum(c.fraction for c in usable) / total if total else 1.0
        if lost[pdg] > MAX_LOST:
            raise GenerationError(f"{TABLE_NAME}: {lost[pdg]:.0%} of the decays of {pdg} are unknown to Pythia")
        entry = data.particleDataEntryPtr(pdg)
        entry.clearChannels()
        for channel in usable:
            filled = [*channel.products, *[0] * (MAX_PRODUCTS - len(channel.products))]
            entry.addChannel(1, channel.fraction / total, channel.mode, *filled)
        n_channels += len(usable)
    return DecaySummary(version("decaylanguage"), len(lost), n_channels, {k: v for k, v in lost.items() if v > 1e-9})


@cache
def read_belle2_table() -> dict[int, tuple[Channel, ...]]:
    """Channels of MOTHERS as the table has them, read once a process (some two seconds).

    Raises:
        MissingExtra, GenerationError: as for `load_belle2_decays`.
    """
    try:
        import decaylanguage
    except ImportError as error:
        raise MissingExtra("decaylanguage", "generate") from error
    parser = decaylanguage.DecFileParser(Path(decaylanguage.__file__).parent / "data" / TABLE_NAME)
    parser.parse()
    aliases = parser.dict_aliases()
    names = parser.list_decay_mother_names()
    codes = {name: _codes(name) for name in names if name not in aliases}
    named = {code[0]: name for name, code in codes.items() if len(code) == 1}
    missing = [pdg for pdg in MOTHERS if pdg not in named]
    if missing:
        raise GenerationError(f"{TABLE_NAME} of decaylanguage has no decays of {', '.join(map(str, missing))}")
    table = {}
    for pdg in MOTHERS:
        # Every other particle ends its chain, so that this is one step of decays.
        steps: Any = parser.build_decay_chains(named[pdg], stable_particles=set(names) - {named[pdg]})[named[pdg]]
        table[pdg] = tuple(
            _channel(pdg, step, [_codes(aliases.get(name, name)) for name in step["fs"]])
            for step in steps
            if step["bf"] > 0
        )
    return table


@cache
def _codes(name: str) -> tuple[int, ...]:
    """PDG codes of EvtGen's name: one, the quarks of an inclusive system, or none for an unknown name."""
    from particle.converters import EvtGenName2PDGIDBiMap
    from particle.exceptions import MatchingIDNotFound

    if name.removeprefix("anti-") in QUARK_SYSTEMS:
        sign = -1 if name.startswith("anti-") else 1
        return tuple(sign * quark for quark in QUARK_SYSTEMS[name.removeprefix("anti-")])
    if name in NAMES:
        return (NAMES[name],)
    try:
        return (int(EvtGenName2PDGIDBiMap[name]),)
    except MatchingIDNotFound:
        return ()


def _channel(mother: int, step: dict[str, Any], codes: Iterable[tuple[int, ...]]) -> Channel:
    parts = list(codes)
    model, numbers = step["model"], step["model_params"]
    if model == "PYTHIA":
        mode = int(numbers[0]) if numbers else 0
    else:
        mode = SEMILEPTONIC_MODE if model in SEMILEPTONIC else MODES.get(model, 0)
    products = [code for part in parts for code in part]
    if not all(parts) or len(products) > MAX_PRODUCTS:
        return Channel(step["bf"], mode, ())
    if mode == SEMILEPTONIC_MODE and model != "PYTHIA":
        products = _leptons_first(mother, products)
    return Channel(step["bf"], mode, tuple(products))


def _leptons_first(mother: int, products: list[int]) -> list[int]:
    """The order of Pythia's V-A element: b hadrons neutrino, lepton, rest; c hadrons lepton, neutrino, rest."""
    neutrinos = [p for p in products if abs(p) in (12, 14, 16)]
    charged = [p for p in products if abs(p) in (11, 13, 15)]
    rest = [p for p in products if not 11 <= abs(p) <= 16]
    beauty = "5" in str(mother)[-4:-1]
    return [*neutrinos, *charged, *rest] if beauty else [*charged, *neutrinos, *rest]


def _is_open(data: Any, mother: int, products: Iterable[int]) -> bool:
    """Does Pythia know all products, and can the mother decay to them at its nominal mass?"""
    products = list(products)
    if not all(data.isParticle(code) for code in products):
        return False
    hadrons = [code for code in products if data.isHadron(code) or data.isLepton(code)]
    return bool(sum(data.mMin(code) or data.m0(code) for code in hadrons) < data.m0(mother))
