"""HepMC3 files made elsewhere, read into the same events.

Reads the HepMC3 text format and HepMC2's, plain or compressed (.gz, .bz2, .xz). A particle's mother is the first
particle that goes into its production vertex. What the format does not say is filled in: charges follow from the PDG
codes, and status 4 (beam) becomes INITIAL, status 1 STABLE, a photon radiated by a beam ISR_PHOTON, an intermediate
photon or Z VIRTUAL. Files of hadron-level trees come through whole; partons keep one mother of several.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from smartbkg.errors import MissingExtra, NotAnEventFile
from smartbkg.events import EventBatch, MCParticles, MCStatus, event_type_code
from smartbkg.generate.config import check_number

EVENTS_PER_BATCH: Final = 1000
MM_PER_NS: Final = 299.792458

_OPENERS: Final[dict[str, Callable[..., Any]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
# How a file begins, the library's name of its format, and how a complete one ends.
_FORMATS: Final = (
    (b"HepMC::Asciiv3", "HepMC3", b"HepMC::Asciiv3-END"),
    (b"HepMC::IO_GenEvent", "HepMC2", b"HepMC::IO_GenEvent-END"),
)
_EVENT_LINE: Final = b"\nE "
_HEAD_BYTES, _TAIL_BYTES = 512, 256
_BEAM, _FINAL = 4, 1
_INTERMEDIATE = (23, 10022)  # Z or photon in Pythia's words, virtual photon in EvtGen's
_KEYS = ("pdg", "mother", "status", "mass", "momentum", "vertex")


def read_hepmc(
    path: Path | str, event_type: str, *, exp: int = 0, run: int = 0, first_event: int = 1
) -> Iterator[EventBatch]:
    """Events of a HepMC file in batches, numbered from `first_event` in file order.

    Raises:
        UnknownName: the event type.
        GenerationError: a number that events cannot carry.
        FileNotFoundError: no such file.
        NotAnEventFile: it is no HepMC file, is damaged, or ends before its end.
        MissingExtra: pyhepmc or particle is not installed.
    """
    code = event_type_code(event_type)
    for name, value in (("exp", exp), ("run", run), ("first_event", first_event)):
        check_number(name, value)
    path = Path(path)
    number = first_event
    events = _events(path)
    while chunk := list(islice(events, EVENTS_PER_BATCH)):
        counts = np.array([len(event["pdg"]) for event in chunk])
        keys = np.arange(number, number + len(chunk))
        yield EventBatch(
            exp=np.full(len(chunk), exp, np.int32),
            run=np.full(len(chunk), run, np.int32),
            event=keys.astype(np.int64),
            event_type=np.full(len(chunk), code, np.int8),
            offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            particles=_particles({key: np.concatenate([event[key] for event in chunk]) for key in _KEYS}),
        )
        number += len(chunk)


class _Watched(io.RawIOBase):
    """A stream for the reader that counts the events it hands out and remembers the last bytes.

    The reader stops without a word at a line it does not understand, and at the end of a file that was cut.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.tail = b""
        self.n_events = 0

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer from the stream."""
        data: bytes = self._stream.read(len(buffer))
        buffer[: len(data)] = data
        seen = self.tail[1 - len(_EVENT_LINE) :] + data
        self.n_events += seen.count(_EVENT_LINE)
        self.tail = (self.tail + data[-_TAIL_BYTES:])[-_TAIL_BYTES:]
        return len(data)

    def write(self, _data: Any) -> int:
        """The reader asks for this method and never calls it."""
        raise io.UnsupportedOperation("not writable")

    def readable(self) -> bool:
        """It is."""
        return True


def _events(path: Path) -> Iterator[dict[str, NDArray[Any]]]:
    try:
        import pyhepmc
    except ImportError as error:
        raise MissingExtra("pyhepmc", "generate") from error
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    with _OPENERS.get(path.suffix, open)(path, "rb") as stream:
        try:
            head = stream.read(_HEAD_BYTES)
            stream.seek(0)
            name, end = next(((name, end) for start, name, end in _FORMATS if start in head), (None, b""))
            if name is None:
                raise NotAnEventFile(path, "it does not begin as a HepMC3 or HepMC2 text file")
            watched, n_read = _Watched(stream), 0
            pyhepmc.Setup.print_errors = pyhepmc.Setup.print_warnings = False  # some go to stdout; ours say the same
            pyhepmc.Setup.debug_level = 0
            with pyhepmc.open(watched, format=name) as reader:
                for event in reader:
                    n_read += 1
                    yield _arrays(event, pyhepmc)
        except (OSError, EOFError, RuntimeError, ValueError, lzma.LZMAError) as error:
            raise NotAnEventFile(path, str(error)) from error
    if end not in watched.tail or n_read != watched.n_events:
        raise NotAnEventFile(path, f"it is damaged or cut short after {n_read} good events")


def _arrays(event: Any, pyhepmc: Any) -> dict[str, NDArray[Any]]:
    """One event as arrays: GeV, mm; mother rows in the event."""
    event.set_units(pyhepmc.Units.GEV, pyhepmc.Units.MM)
    data = pyhepmc.GenEventData()
    event.write_data(data)
    particles, vertices = data.particles, data.vertices
    origin = data.event_pos
    mother, vertex_of = _links(len(particles), len(vertices), data.links1, data.links2)
    positions = np.stack([vertices[name] for name in ("x", "y", "z", "t")], axis=1)
    return {
        "pdg": particles["pid"].astype(np.int64),
        "mother": mother,
        "status": _status(particles["pid"], particles["status"], mother),
        "mass": _mass(particles),
        "momentum": np.stack([particles[name] for name in ("px", "py", "pz", "e")], axis=1),
        "vertex": _vertices(mother, vertex_of, positions, np.array([origin.x, origin.y, origin.z, origin.t])),
    }


def _mass(particles: NDArray[Any]) -> NDArray[np.float64]:
    """The mass that was written, else that of the four-momentum."""
    square = particles["e"] ** 2 - particles["px"] ** 2 - particles["py"] ** 2 - particles["pz"] ** 2
    return np.where(particles["is_mass_set"], particles["mass"], np.sqrt(np.maximum(square, 0.0)))


def _vertices(
    mother: NDArray[np.int64], vertex_of: NDArray[np.int64], positions: NDArray[Any], origin: NDArray[Any]
) -> NDArray[np.float64]:
    """(N, 4) production vertices in mm. One without a position lies where the mother was made, at last at `origin`."""
    vertex = np.zeros((len(mother), 4))
    own = vertex_of >= 0
    vertex[own] = positions[vertex_of[own]]
    source, unset = np.arange(len(mother)), np.logical_not(vertex.any(axis=1))
    for _ in range(len(mother)):  # as many steps as the longest chain can have
        upwards = unset[source] & (mother[source] >= 0)
        if not upwards.any():
            break
        source[upwards] = mother[source[upwards]]
    vertex = vertex[source]
    vertex[unset[source]] = origin
    return vertex


def _links(
    n_particles: int, n_vertices: int, first: NDArray[Any], second: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Mother and production vertex of each particle, -1 for none.

    A link (particle, -vertex) goes into a vertex, (-vertex, particle) comes out of it; both count from 1.
    """
    incoming = first > 0
    vertex_mother = np.full(n_vertices, -1, np.int64)
    # Written backwards, so that the first of several incoming particles stays.
    vertex_mother[-second[incoming][::-1] - 1] = first[incoming][::-1] - 1
    vertex = np.full(n_particles, -1, np.int64)
    vertex[second[~incoming] - 1] = -first[~incoming] - 1
    return np.where(vertex >= 0, vertex_mother[vertex], -1) if n_vertices else vertex, vertex


def _status(pdg: NDArray[np.int32], code: NDArray[np.int32], mother: NDArray[np.int64]) -> NDArray[np.int32]:
    bits = np.full(len(pdg), int(MCStatus.PRIMARY), np.int32)
    from_beam = (mother >= 0) & np.equal(code[mother], _BEAM)
    photon, final = np.equal(pdg, 22), np.equal(code, _FINAL)
    bits[final] |= int(MCStatus.STABLE)
    bits[np.equal(code, _BEAM)] |= int(MCStatus.INITIAL)
    bits[np.isin(pdg, _INTERMEDIATE) | (photon & from_beam & ~final)] |= int(MCStatus.VIRTUAL)
    bits[photon & from_beam & final] |= int(MCStatus.ISR_PHOTON)
    return bits


def _particles(flat: dict[str, NDArray[Any]]) -> MCParticles:
    p, vertex = flat["momentum"].astype(np.float32), flat["vertex"]
    return MCParticles(
        pdg=flat["pdg"],
        mother=flat["mother"].astype(np.int32),
        status=flat["status"],
        mass_gev=flat["mass"].astype(np.float32),
        charge=_charge(flat["pdg"]),
        energy_gev=p[:, 3],
        px_gev=p[:, 0],
        py_gev=p[:, 1],
        pz_gev=p[:, 2],
        x_cm=(vertex[:, 0] / 10).astype(np.float32),
        y_cm=(vertex[:, 1] / 10).astype(np.float32),
        z_cm=(vertex[:, 2] / 10).astype(np.float32),
        time_ns=(vertex[:, 3] / MM_PER_NS).astype(np.float32),
    )


def _charge(pdg: NDArray[np.int64]) -> NDArray[np.float32]:
    try:
        from particle.pdgid import charge
    except ImportError as error:
        raise MissingExtra("particle", "generate") from error
    codes, where = np.unique(pdg, return_inverse=True)
    # A code that is no PDG code has no charge; generators use such codes for strings and clusters.
    return np.array([charge(code) or 0.0 for code in codes.tolist()], np.float32)[where]
