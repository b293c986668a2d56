"""One entry a particle: the rules of the cleaned history on small records."""

from __future__ import annotations

import numpy as np

from smartbkg.events import MCStatus
from smartbkg.generate.history import History, Record, clean_history, top_ancestor

P, S, V = int(MCStatus.PRIMARY), int(MCStatus.STABLE), int(MCStatus.VIRTUAL)
INITIAL, ISR, FSR = int(MCStatus.INITIAL), int(MCStatus.ISR_PHOTON), int(MCStatus.FSR_PHOTON)


def record(*entries: tuple[int, int, int, int], energy: float = 1.0) -> Record:
    """Entries (pdg, Pythia status, mother1, mother2) of one event; row 0 is the system."""
    pdg, status, first, second = (np.array(column) for column in zip((90, -11, 0, 0), *entries, strict=True))
    n = len(pdg)
    momentum = np.zeros((n, 4))
    momentum[:, 3] = energy + np.arange(n)  # so that an entry is known by its energy
    return Record(
        event=np.zeros(n, np.int64),
        pdg=pdg,
        status=status,
        mother1=np.where(first > 0, first, -1),
        mother2=np.where(second > 0, second, -1),
        momentum_gev=momentum,
        mass_gev=np.zeros(n),
        vertex_mm=np.zeros((n, 4)),
    )


def codes(source: Record, history: History) -> list[int]:
    return [int(code) for code in source.pdg[history.first_entry]]


def test_copies_of_a_quark_become_one_with_the_last_momentum() -> None:
    source = record((2, -23, 0, 0), (2, -51, 1, 0), (21, -51, 1, 0), (2, -52, 2, 2), (2, -71, 4, 4), (211, 83, 5, 3))
    history = clean_history(source)
    assert codes(source, history) == [2, 21, 211]
    assert history.last_entry.tolist() == [5, 3, 6]
    assert history.mother.tolist() == [-1, 0, 0]
    assert history.status.tolist() == [P, P, P | S]


def test_a_gluon_that_splits_in_two_keeps_both() -> None:
    source = record((21, -51, 0, 0), (21, -51, 1, 0), (21, -51, 1, 0))
    history = clean_history(source)
    assert codes(source, history) == [21, 21, 21]
    assert history.mother.tolist() == [-1, 0, 0]


def test_joined_partons_continue_the_quark() -> None:
    source = record((21, -51, 0, 0), (2, -51, 0, 0), (2, -73, 1, 2), (2, -71, 3, 3), (111, 83, 4, 4))
    history = clean_history(source)
    assert codes(source, history) == [21, 2, 111]
    assert history.mother.tolist() == [-1, -1, 1]
    assert history.last_entry.tolist() == [1, 4, 5]


def test_radiating_beams_stay_themselves() -> None:
    source = record(
        (11, -12, 0, 0), (-11, -12, 0, 0),  # beams
        (11, -21, 6, 0), (-11, -21, 7, 7), (23, -22, 3, 4),  # incoming and virtual photon
        (11, -41, 1, 0), (-11, -42, 2, 2), (23, -44, 5, 5), (22, 43, 6, 0),  # after radiation
        (15, 23, 8, 0), (-15, -23, 8, 0), (-15, 51, 11, 0), (22, 51, 11, 0),
    )  # fmt: skip
    history = clean_history(source)
    assert codes(source, history) == [11, -11, 23, 22, 15, -15, 22]
    assert history.mother.tolist() == [-1, -1, 0, 0, 2, 2, 2]
    assert history.status.tolist() == [P | INITIAL, P | INITIAL, P | V, P | S | ISR, P | S, P | S, P | S | FSR]
    assert history.last_entry[:3].tolist() == [1, 2, 8]


def test_bookkeeping_photons_are_dropped_and_real_ones_kept() -> None:
    entries = ((11, -12, 0, 0), (22, 63, 1, 0))
    assert codes(record(*entries), clean_history(record(*entries))) == [11, 22]
    soft = record(*entries, energy=-2.0 + 1e-9)  # the photon gets 1 eV
    assert codes(soft, clean_history(soft)) == [11]


def test_the_top_ancestor_is_the_motherless_one() -> None:
    assert top_ancestor(np.array([-1, 0, 1, 2, 3, -1, 5])).tolist() == [0, 0, 0, 0, 0, 5, 5]
