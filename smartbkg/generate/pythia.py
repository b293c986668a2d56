"""Pythia 8 behind one method: the events of a block, read in bulk.

B pairs: the B mesons of all events of a block are appended to one record, decayed by one `nextBatch(1)`, and the
record is split by the topmost ancestor of each entry. Continuum and tau pairs: one `nextBatch(n)`. Particles are never
touched one by one in Python, but for the two B mesons of an event, which Pythia takes one at a time.

Left out: photon radiation in hadron decays, interference and polarisation in hadron decays (phase space, but for the
matrix elements Pythia has), CP violation, radiative tails of the Upsilon(4S).
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import GenerationError, MissingExtra
from smartbkg.events import EventBatch, MCParticles, MCStatus, event_type_code
from smartbkg.generate.beams import BPairs, beam_momenta, relative_spread, sample_b_pairs
from smartbkg.generate.belle2_decays import load_belle2_decays
from smartbkg.generate.config import B_PAIR_TYPES, BLOCK_EVENTS, FERMION_TYPES, TAU_DECAYS, GenerateConfig
from smartbkg.generate.history import NO_MOTHER, Record, clean_history, top_ancestor

UPSILON_4S: Final = 300553
MM_PER_NS: Final = 299.792458
# Particles that live longer (c tau) reach the detector: K_L, pi, K, mu, n stay; K_S, Lambda, D, tau decay.
MAX_LIFETIME_MM: Final = 1000
# The virtual photon's mass range opens well below any event that the detector could take for a full one; the cross
# section with this cut is 1.31 nb for u ubar.
MIN_PHOTON_MASS_GEV: Final = 4.0
# A block whose hadron decays fail is made again from the next random stream; none in 100,000 events did.
MAX_ATTEMPTS: Final = 5
# Pythia works in double precision; what is larger is a lost particle.
MAX_MOMENTUM_ERROR_GEV: Final = 1e-5
# Marsaglia and Zaman's generator takes 900 million seeds and a phase of 24 bits (in units of 2^-24).
_RANDOM_SEEDS, _RANDOM_PHASES = 900_000_000, 16_777_213


class PythiaSource:
    """Makes blocks of one job's events. Costs a tenth of a second and 0.3 GB.

    Attributes:
        pythia: the generator itself, initialised.
        decays: which decay table is in force, for a file's metadata.
    """

    def __init__(self, config: GenerateConfig) -> None:
        self.config = config
        self.pythia = _new_pythia(_settings(config))
        self.decays: dict[str, Any] = {"table": "Pythia 8"}
        if config.decays == "belle2":
            self.decays = load_belle2_decays(self.pythia).to_json()
        if not self.pythia.init():
            raise GenerationError(f"Pythia refuses its settings for {config.event_type}")
        self._charges: dict[int, float] = {}

    def block(self, number: int) -> EventBatch:
        """All BLOCK_EVENTS events of a block, whichever of them the job asks for."""
        event = number * BLOCK_EVENTS + 1 + np.arange(BLOCK_EVENTS)
        for attempt in range(MAX_ATTEMPTS):
            self._seed(number, attempt)
            batch = self._b_pairs(event) if self.config.event_type in B_PAIR_TYPES else self._continuum(event)
            if batch is not None:
                return batch
        raise GenerationError(f"Pythia failed {MAX_ATTEMPTS} times on block {number} of {self.config.event_type}")

    def _seed(self, number: int, attempt: int) -> None:
        """Set Pythia's generator to the stream of a block: its seed and the phase of its second sequence."""
        c = self.config
        words = (c.seed, "pythia", c.event_type, c.exp, c.run, number, attempt)
        digest = hashlib.sha256("\x1f".join(map(str, words)).encode()).digest()
        random = self.pythia.rndm
        random.init(1 + int.from_bytes(digest[:8], "little") % _RANDOM_SEEDS)
        state = random.getState()
        state.c = (int.from_bytes(digest[8:16], "little") % _RANDOM_PHASES) / 2.0**24
        random.setState(state)

    def _b_pairs(self, event: NDArray[np.int64]) -> EventBatch | None:
        c = self.config
        pdg = B_PAIR_TYPES[c.event_type]
        data = self.pythia.particleData
        pairs = sample_b_pairs(pdg, data.m0(pdg), data.tau0(pdg), (c.seed, c.exp, c.run, event))
        record = self.pythia.event
        record.reset()
        rows = zip(
            pairs.pdg.ravel().tolist(), pairs.b_gev.reshape(-1, 4).tolist(), pairs.tau_mm.ravel().tolist(), strict=True
        )
        for code, momentum, tau in rows:
            record[record.append(code, 1, 0, 0, *momentum, pairs.b_mass_gev)].tau(tau)
        found = self.pythia.nextBatch(1, "none")
        return None if found[0] is None else self._batch(_with_upsilon(_read(found), pairs), event)

    def _continuum(self, event: NDArray[np.int64]) -> EventBatch | None:
        return self._batch(_read(self.pythia.nextBatch(len(event))), event)

    def _batch(self, record: Record, event: NDArray[np.int64]) -> EventBatch | None:
        """Events of a record; None when one of them lost a particle."""
        history = clean_history(record)
        last, first = history.last_entry, history.first_entry
        row_event = record.event[first]
        counts = np.bincount(row_event, minlength=len(event))
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        if not _conserved(record, last, history.status, row_event):
            return None
        p, vertex = record.momentum_gev[last].astype(np.float32), record.vertex_mm[first]
        start = offsets[row_event]
        particles = MCParticles(
            pdg=record.pdg[first],
            mother=np.where(history.mother < 0, NO_MOTHER, history.mother - start).astype(np.int32),
            status=history.status.astype(np.int32),
            mass_gev=record.mass_gev[last].astype(np.float32),
            charge=self._charge(record.pdg[first]),
            energy_gev=p[:, 3],
            px_gev=p[:, 0],
            py_gev=p[:, 1],
            pz_gev=p[:, 2],
            x_cm=(vertex[:, 0] / 10).astype(np.float32),
            y_cm=(vertex[:, 1] / 10).astype(np.float32),
            z_cm=(vertex[:, 2] / 10).astype(np.float32),
            time_ns=(vertex[:, 3] / MM_PER_NS).astype(np.float32),
        )
        c = self.config
        return EventBatch(
            exp=np.full(len(event), c.exp, np.int32),
            run=np.full(len(event), c.run, np.int32),
            event=event.astype(np.int64),
            event_type=np.full(len(event), event_type_code(c.event_type), np.int8),
            offsets=offsets,
            particles=particles,
        )

    def _charge(self, pdg: NDArray[np.int64]) -> NDArray[np.float32]:
        codes, where = np.unique(pdg, return_inverse=True)
        for code in codes.tolist():
            if code not in self._charges:
                self._charges[code] = 0.0 if code == UPSILON_4S else self.pythia.particleData.chargeType(code) / 3
        return np.array([self._charges[code] for code in codes.tolist()], np.float32)[where]


def _new_pythia(settings: list[str]) -> Any:
    try:
        import awkward  # noqa: F401  Pythia gives its batches as awkward arrays
        from pythia8mc import Pythia
    except ImportError as error:
        raise MissingExtra(error.name or "pythia8mc", "generate") from error
    pythia = Pythia("", False)
    for line in settings:
        if not pythia.readString(line):
            raise GenerationError(f"Pythia refuses the setting {line!r}")
    return pythia


def _settings(config: GenerateConfig) -> list[str]:
    common = [
        "Print:quiet = on",
        "Check:event = off",  # a block of B pairs is no event to Pythia; `_conserved` checks instead
        "Random:setSeed = on",
        "Random:seed = 1",  # of the initialisation alone: every block has its own
        "ParticleDecays:limitTau0 = on",
        f"ParticleDecays:tau0Max = {MAX_LIFETIME_MM}",
        "ParticleDecays:mixB = off",  # coherent mixing is drawn with the pair
        f"TauDecays:mode = {TAU_DECAYS[config.tau_mode]}",
    ]
    if config.event_type in B_PAIR_TYPES:
        return [*common, "ProcessLevel:all = off"]
    electron, positron = beam_momenta()
    spread = relative_spread()
    return [
        *common,
        "Beams:frameType = 3",
        "Beams:idA = 11",
        "Beams:idB = -11",
        *(
            f"Beams:p{axis}{side} = {float(value)!r}"
            for side, beam in (("A", electron), ("B", positron))
            for axis, value in zip("xyz", beam[:3], strict=True)
        ),
        "Beams:allowMomentumSpread = on",
        f"Beams:sigmaPzA = {float(spread * electron[3])!r}",
        f"Beams:sigmaPzB = {float(spread * positron[3])!r}",
        "WeakSingleBoson:ffbar2gmZ = on",
        "23:onMode = off",
        f"23:onIfAny = {FERMION_TYPES[config.event_type]}",
        f"23:mMin = {MIN_PHOTON_MASS_GEV}",
        f"PhaseSpace:mHatMin = {MIN_PHOTON_MASS_GEV}",
    ]


def _read(found: Any) -> Record:
    """Flat arrays of the awkward events; mother rows count over all of them."""
    import awkward as ak

    entries = found.prt
    counts = ak.to_numpy(ak.num(entries.id, axis=1)).astype(np.int64)
    entries = ak.flatten(entries, axis=1)

    def column(values: Any) -> NDArray[Any]:
        return np.asarray(ak.to_numpy(values))

    event = np.repeat(np.arange(len(counts)), counts)
    start = np.repeat(np.cumsum(counts) - counts, counts)
    mothers = [column(getattr(entries, name)).astype(np.int64) for name in ("mother1", "mother2")]
    vertex = [column(ak.fill_none(getattr(entries.vProd, axis), 0.0)) for axis in ("px", "py", "pz", "e")]
    return Record(
        event=event,
        pdg=column(entries.id).astype(np.int64),
        status=column(entries.status).astype(np.int64),
        mother1=np.where(mothers[0] > 0, mothers[0] + start, NO_MOTHER),
        mother2=np.where(mothers[1] > 0, mothers[1] + start, NO_MOTHER),
        momentum_gev=np.stack([column(getattr(entries.p, axis)) for axis in ("px", "py", "pz", "e")], axis=1),
        mass_gev=column(entries.m),
        vertex_mm=np.stack(vertex, axis=1),
    )


def _with_upsilon(record: Record, pairs: BPairs) -> Record:
    """The one record of all B pairs, cut into events, each below its Upsilon(4S). Row 0, the system, is left out."""
    n = len(pairs.upsilon_gev)
    mother1, mother2 = (np.where(m > 0, m - 1 + n, NO_MOTHER) for m in (record.mother1[1:], record.mother2[1:]))
    mother1[: 2 * n] = np.repeat(np.arange(n), 2)  # the B mesons are rows 1 to 2n
    event = top_ancestor(np.concatenate([np.full(n, NO_MOTHER), mother1]))
    e, p = pairs.upsilon_gev[:, 3], pairs.upsilon_gev[:, :3]
    return Record(
        event=event,
        pdg=np.concatenate([np.full(n, UPSILON_4S), record.pdg[1:]]),
        status=np.concatenate([np.full(n, -1), record.status[1:]]),
        mother1=np.concatenate([np.full(n, NO_MOTHER), mother1]),
        mother2=np.concatenate([np.full(n, NO_MOTHER), mother2]),
        momentum_gev=np.concatenate([pairs.upsilon_gev, record.momentum_gev[1:]]),
        mass_gev=np.concatenate([np.sqrt(e**2 - (p**2).sum(axis=1)), record.mass_gev[1:]]),
        vertex_mm=np.concatenate([np.zeros((n, 4)), record.vertex_mm[1:]]),
    )


def _conserved(record: Record, entry: NDArray[np.int64], status: NDArray[np.int64], event: NDArray[np.int64]) -> bool:
    """Does every event's final state have the four-momentum of its roots?"""
    sign = ((status & MCStatus.STABLE) > 0).astype(np.float64)
    sign[(status & MCStatus.INITIAL) > 0] = -1.0
    sign[record.pdg[entry] == UPSILON_4S] = -1.0
    p = record.momentum_gev[entry] * sign[:, None]
    return all(
        bool(np.all(np.abs(np.bincount(event, weights=p[:, axis])) < MAX_MOMENTUM_ERROR_GEV)) for axis in range(4)
    )
