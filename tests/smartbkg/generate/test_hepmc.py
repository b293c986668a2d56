"""HepMC files: generated events written and read back, and files that are damaged."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyhepmc
import pytest
from numpy.typing import NDArray

from smartbkg.errors import GenerationError, MissingExtra, NotAnEventFile, UnknownName
from smartbkg.events import EventBatch, MCStatus
from smartbkg.generate import read_hepmc
from smartbkg.generate.hepmc import EVENTS_PER_BATCH

FLOATS = ("mass_gev", "charge", "energy_gev", "px_gev", "py_gev", "pz_gev", "x_cm", "y_cm", "z_cm", "time_ns")


@pytest.fixture(scope="module")
def events(sample: Callable[..., EventBatch]) -> EventBatch:
    batch: EventBatch = sample("mixed")
    return batch[:30]


def write(path: Path, batch: EventBatch, units: tuple[object, object] | None = None) -> None:
    with pyhepmc.open(path, "w") as stream:
        for k in range(len(batch)):
            p = batch[k : k + 1].particles
            event = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
            status = np.where((p.status & MCStatus.STABLE) > 0, 1, 2).astype(np.int32)
            momentum = [v.astype(float) for v in (p.px_gev, p.py_gev, p.pz_gev, p.energy_gev, p.mass_gev)]
            mothers = np.stack([p.mother, p.mother], axis=1)
            vx, vy, vz = (10.0 * v.astype(float) for v in (p.x_cm, p.y_cm, p.z_cm))
            event.from_hepevt(
                k, *momentum, p.pdg.astype(np.int32), status, parents=mothers,
                vx=vx, vy=vy, vz=vz, vt=p.time_ns.astype(float) * 299.792458, fortran=False,
            )  # fmt: skip
            if units:
                event.set_units(*units)
            stream.write(event)


def order(batch: EventBatch) -> NDArray[np.int64]:
    """HepMC files are sorted by vertex; code and momentum tell the particles of an event apart."""
    p = batch.particles
    return np.lexsort((p.px_gev, p.pdg, batch.event_index))


def mothers_pdg(batch: EventBatch) -> NDArray[np.int64]:
    p = batch.particles
    return np.where(p.mother < 0, 0, p.pdg[np.maximum(p.mother, 0) + batch.offsets[batch.event_index]])


@pytest.mark.parametrize("suffix", [".hepmc", ".hepmc.gz"])
@pytest.mark.parametrize("units", [None, (pyhepmc.Units.MEV, pyhepmc.Units.CM)])
def test_what_was_written_is_read_back(tmp_path: Path, events: EventBatch, suffix: str, units) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / f"events{suffix}"
    write(path, events, units)
    (found,) = read_hepmc(path, "mixed", exp=7, run=3, first_event=100)
    np.testing.assert_array_equal(found.counts, events.counts)
    assert found.event.tolist() == list(range(100, 130))
    assert set(zip(found.exp.tolist(), found.run.tolist(), found.event_type.tolist(), strict=True)) == {(7, 3, 3)}
    here, there = order(found), order(events)
    for name in ("pdg", "status"):
        np.testing.assert_array_equal(getattr(found.particles, name)[here], getattr(events.particles, name)[there])
    np.testing.assert_array_equal(mothers_pdg(found)[here], mothers_pdg(events)[there])
    for name in FLOATS:
        np.testing.assert_allclose(
            getattr(found.particles, name)[here], getattr(events.particles, name)[there], rtol=2e-6, atol=1e-6
        )


def test_beams_photons_and_unset_vertices_get_their_meaning(tmp_path: Path) -> None:
    event = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)

    def particle(pdg: int, energy: float, status: int) -> pyhepmc.GenParticle:
        return pyhepmc.GenParticle((0.0, 0.0, energy, energy), pdg, status)

    electron, positron, photon, isr, pion = (
        particle(11, 7, 4), particle(-11, 4, 4), particle(22, 10, 2), particle(22, 1, 1), particle(211, 10, 1)
    )  # fmt: skip
    collision, decay = pyhepmc.GenVertex((1.0, 2.0, 3.0, 299.792458)), pyhepmc.GenVertex()
    for beam in (electron, positron):
        collision.add_particle_in(beam)
    for made in (photon, isr):
        collision.add_particle_out(made)
    decay.add_particle_in(photon)
    decay.add_particle_out(pion)
    event.add_vertex(collision)
    event.add_vertex(decay)
    with pyhepmc.open(tmp_path / "one.hepmc", "w") as stream:
        stream.write(event)
    (batch,) = read_hepmc(tmp_path / "one.hepmc", "uubar")
    p = batch.particles
    assert p.pdg.tolist() == [11, -11, 22, 22, 211]
    assert p.mother.tolist() == [-1, -1, 0, 0, 2]
    bits = [MCStatus(int(s)) & ~MCStatus.PRIMARY for s in p.status]
    assert bits[:4] == [MCStatus.INITIAL, MCStatus.INITIAL, MCStatus.VIRTUAL, MCStatus.STABLE | MCStatus.ISR_PHOTON]
    np.testing.assert_allclose(p.z_cm[2:], 0.3, rtol=1e-6)
    np.testing.assert_allclose(p.time_ns[2:], 1.0, rtol=1e-6)


def test_many_events_come_in_batches(tmp_path: Path, events: EventBatch) -> None:
    smallest = EventBatch.concat([events.select(np.argsort(events.counts)[:1])] * (EVENTS_PER_BATCH + 5))
    write(tmp_path / "many.hepmc", smallest)
    batches = list(read_hepmc(tmp_path / "many.hepmc", "mixed"))
    assert [len(batch) for batch in batches] == [EVENTS_PER_BATCH, 5]
    assert batches[1].event[0] == EVENTS_PER_BATCH + 1


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.5, 0.97, 0.99999])
def test_a_file_cut_anywhere_is_refused(tmp_path: Path, events: EventBatch, part: float) -> None:
    path = tmp_path / "events.hepmc"
    write(path, events)
    whole = path.read_bytes()
    path.write_bytes(whole[: min(int(len(whole) * part), len(whole) - 20)])
    with pytest.raises(NotAnEventFile, match=r"events.hepmc"):
        list(read_hepmc(path, "mixed"))


def test_garbage_in_the_middle_is_refused(tmp_path: Path, events: EventBatch) -> None:
    path = tmp_path / "events.hepmc"
    for place in (0.2, 0.999):  # far from the end, and where the end is read already
        write(path, events)
        whole = path.read_bytes()
        middle = whole.rindex(b"\nP ", 0, int(len(whole) * place))
        path.write_bytes(whole[:middle] + b"\nP nonsense" + whole[middle:])
        with pytest.raises(NotAnEventFile, match="damaged or cut short"):
            list(read_hepmc(path, "mixed"))


@pytest.mark.parametrize(
    ("name", "content"), [("x.hepmc", b"no such thing\n"), ("x.hepmc.gz", b"not gzip"), ("e", b"")]
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(NotAnEventFile, match=name):
        list(read_hepmc(tmp_path / name, "mixed"))


def test_a_cut_archive_is_refused(tmp_path: Path, events: EventBatch) -> None:
    write(tmp_path / "a.hepmc", events)
    packed = gzip.compress((tmp_path / "a.hepmc").read_bytes())
    (tmp_path / "a.hepmc.gz").write_bytes(packed[: len(packed) // 2])
    with pytest.raises(NotAnEventFile):
        list(read_hepmc(tmp_path / "a.hepmc.gz", "mixed"))


def test_unknown_types_and_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none.hepmc"):
        list(read_hepmc(tmp_path / "none.hepmc", "mixed"))
    with pytest.raises(UnknownName, match="mixd"):
        list(read_hepmc(tmp_path / "none.hepmc", "mixd"))


def test_a_missing_library_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    (tmp_path / "x.hepmc").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyhepmc", None)
    with pytest.raises(MissingExtra, match=r"pyhepmc.*smartbkg\[generate\]"):
        list(read_hepmc(tmp_path / "x.hepmc", "mixed"))


@pytest.mark.parametrize("number", ["exp", "run", "first_event"])
def test_numbers_that_no_event_can_carry_are_refused(tmp_path: Path, events: EventBatch, number: str) -> None:
    write(tmp_path / "x.hepmc", events[:1])
    with pytest.raises(GenerationError, match=f"{number} must be 0 to 2147483647, found 99999999999"):
        next(read_hepmc(tmp_path / "x.hepmc", "mixed", **{number: 99_999_999_999}))
