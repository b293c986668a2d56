"""The token table of the GATGAP network."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.errors import UnknownName
from smartbkg.pdg import PdgTable


def test_the_table_has_the_published_codes_in_the_published_order() -> None:
    table = PdgTable.gatgap()
    assert len(table.codes) == 540
    assert table.codes[:4] == (0, 329, 110553, 5)
    assert table.n_tokens == 541
    assert table.digest == "fbbd2d6bfeb35b377a68152bac7477730b9532692695dc89010759f6ca7bf7ab"


def test_every_code_maps_to_its_own_row() -> None:
    table = PdgTable.gatgap()
    tokens, known = table.tokens(np.array(table.codes))
    assert tokens.tolist() == list(range(540))
    assert known.all()


@pytest.mark.parametrize("code", [123456789, -99999999, 2**62, -(2**62)])
def test_a_code_outside_the_table_maps_to_the_spare_row(code: int) -> None:
    tokens, known = PdgTable.gatgap().tokens(np.array([code, 211]))
    assert tokens[0] == 540
    assert known.tolist() == [False, True]


def test_no_particles_have_no_tokens() -> None:
    tokens, known = PdgTable.gatgap().tokens(np.array([], dtype=np.int64))
    assert len(tokens) == len(known) == 0


def test_an_unknown_table_names_the_known_one() -> None:
    with pytest.raises(UnknownName, match="gatgap"):
        PdgTable.named("gatgab")
