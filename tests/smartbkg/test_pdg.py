"""The token tables of the networks."""

from __future__ import annotations

import numpy as np
import pytest

from smartbkg.errors import ModelMismatch, UnknownName
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


def test_the_multi_skim_table_has_the_published_codes_and_no_spare_row() -> None:
    table = PdgTable.named("smartbackground")
    assert len(table.codes) == table.n_tokens == 562
    assert table.codes[:5] == (0, -1, 1, -2, 2)
    assert table.digest == "2b04f4c7950e137fc8b163d0e19b5ac60030d0c533acf7a1accaf776fba8526b"


@pytest.mark.parametrize("code", [0, 123456789, -(2**62)])
def test_unknown_codes_share_the_token_of_code_zero(code: int) -> None:
    tokens, known = PdgTable.smartbackground().tokens(np.array([code, -1]))
    assert tokens.tolist() == [0, 1]
    assert known.tolist() == [code == 0, True]


def test_a_table_can_come_from_a_configuration() -> None:
    table = PdgTable.of_codes([0, 211, -211])
    assert table.tokens(np.array([-211, 22, 211]))[0].tolist() == [2, 0, 1]
    assert PdgTable.of_codes(PdgTable.smartbackground().codes) == PdgTable.smartbackground()


@pytest.mark.parametrize(("codes", "said"), [([], "found none"), ([0, 211, 22, 211], "found 211 twice")])
def test_a_table_without_codes_or_with_one_twice_is_refused(codes: list[int], said: str) -> None:
    with pytest.raises(ModelMismatch, match=said):
        PdgTable.of_codes(codes)
