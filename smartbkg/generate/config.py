"""What to generate: the settings of a generation job, checked when they are made.

A job is a range of event numbers of one type in one run. Events are made in blocks of BLOCK_EVENTS consecutive
numbers; everything random in a block follows from (seed, type, exp, run, number of the block) and nothing else. So
an event is the same whatever the number of workers, and however a job is cut into smaller ones.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from smartbkg.errors import BadSeed, GenerationError, UnknownName
from smartbkg.events import event_type_code

# Long enough that the fixed costs of a block vanish, short enough that a small job wastes little.
BLOCK_EVENTS: Final = 500
# Event, run and experiment numbers are 32-bit words of the counter-based random numbers (smartbkg.draws).
MAX_NUMBER: Final = (1 << 31) - 1

DECAY_TABLES: Final = ("pythia", "belle2")
# Name -> Pythia's TauDecays:mode. The fast one draws tau decays from phase space (and V-A for leptons), without rho
# and a_1 peaks; the correlated one uses helicity amplitudes with the spins of mother and sisters, 6 ms a tau.
TAU_DECAYS: Final = {"fast": 0, "correlated": 1}
# Correlated where taus are rare and it costs a factor two at most; fast for tau pairs, where it costs 300.
AUTO_TAU_DECAYS: Final = "auto"

B_PAIR_TYPES: Final = {"mixed": 511, "charged": 521}
# Type -> the fermion that the virtual photon decays to.
FERMION_TYPES: Final = {"ddbar": 1, "uubar": 2, "ssbar": 3, "ccbar": 4, "taupair": 15}


@dataclass(frozen=True)
class GenerateConfig:
    """One generation job.

    Attributes:
        event_type: one of `smartbkg.events.EVENT_TYPES`.
        n_events: how many; 0 gives a valid empty result.
        seed: any integer of 64 bits.
        exp, run: numbers the events carry.
        first_event: number of the first event, from 1. A job of events 1..1000 equals the jobs 1..300 and 301..1000
            put together; cuts at 500 n + 1 make no event twice.
        decays: "pythia", or "belle2" for the table of `smartbkg.generate.belle2_decays`.
        tau_decays: "fast", "correlated", or "auto": fast for taupair, correlated for all other types.
    """

    event_type: str
    n_events: int
    seed: int
    exp: int = 0
    run: int = 0
    first_event: int = 1
    decays: str = "pythia"
    tau_decays: str = AUTO_TAU_DECAYS

    def __post_init__(self) -> None:
        event_type_code(self.event_type)
        if self.decays not in DECAY_TABLES:
            raise UnknownName("decay table", self.decays, DECAY_TABLES)
        if self.tau_decays not in {AUTO_TAU_DECAYS, *TAU_DECAYS}:
            raise UnknownName("tau decay mode", self.tau_decays, [AUTO_TAU_DECAYS, *TAU_DECAYS])
        for name, least in (("n_events", 0), ("exp", 0), ("run", 0), ("first_event", 1)):
            check_number(name, getattr(self, name), least)
        if self.first_event + self.n_events - 1 > MAX_NUMBER:
            raise GenerationError(
                f"event numbers end at {MAX_NUMBER}: {self.n_events} from {self.first_event} do not fit"
            )
        if not -(1 << 63) <= self.seed < (1 << 64):
            raise BadSeed(self.seed)

    @property
    def tau_mode(self) -> str:
        """How taus decay: "fast" or "correlated"."""
        if self.tau_decays != AUTO_TAU_DECAYS:
            return self.tau_decays
        return "fast" if self.event_type == "taupair" else "correlated"

    @property
    def blocks(self) -> range:
        """Numbers of the blocks that hold the job's events."""
        if self.n_events == 0:
            return range(0)
        last_event = self.first_event + self.n_events - 1
        return range((self.first_event - 1) // BLOCK_EVENTS, (last_event - 1) // BLOCK_EVENTS + 1)

    def rows(self, block: int) -> slice:
        """Which events of a block belong to the job."""
        start = block * BLOCK_EVENTS + 1
        return slice(max(self.first_event - start, 0), min(self.first_event + self.n_events - start, BLOCK_EVENTS))

    def to_json(self) -> dict[str, Any]:
        """The settings as plain values, with the tau decays that are used."""
        return {**asdict(self), "tau_decays": self.tau_mode}


def check_number(name: str, value: int, least: int = 0) -> None:
    """Raise GenerationError for a number that no event can carry."""
    if not least <= value <= MAX_NUMBER:
        raise GenerationError(f"{name} must be {least} to {MAX_NUMBER}, found {value}")
