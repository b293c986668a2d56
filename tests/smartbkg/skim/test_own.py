"""Skims by words, and users' own."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from smartbkg.errors import NotASkim, SkimTwice, UnknownName
from smartbkg.skim import CombinedSkim, get_skim, list_skims
from smartbkg.skim.own import find_skims, load_skim
from support.generated import reconstructed

OWN = '''
from smartbkg.skim import CombinedSkim, EventSkim, get_skim
from smartbkg.skim.cuts import Cut

ROUND = EventSkim("roundEvents", None, "Events like spheres.", (Cut("r2", high=0.2),))
EITHER = CombinedSkim(ROUND, get_skim("TauGeneric"), name="either")
LIMIT = 8


def many(reco):
    """More than eight tracks.

    And no more words.
    """
    return reco.tracks.counts > LIMIT


def jets(reco, observables):
    return observables["r2"] > 0.5
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_skims.py"
    path.write_text(OWN)
    return path


def test_names_codes_groups_and_all_are_found():
    assert find_skims(["feiHadronic", "18570600", "feiHadronic"]) == [get_skim("feiHadronic"), get_skim("TauGeneric")]
    assert find_skims(["tau"]) == list_skims("tau")
    assert find_skims(["TauGeneric", "all"]) == sorted(list_skims(), key=lambda skim: skim.name != "TauGeneric")


def test_a_skim_of_a_users_file_is_found(file):
    found = load_skim(f"{file}:ROUND")
    reco = reconstructed("mixed", 200)
    assert found.name == "roundEvents"
    assert 0 < found.apply(reco).passed.sum() < 200


def test_a_combined_skim_of_a_users_file_is_found(file):
    found = load_skim(f"{file}:EITHER")
    assert isinstance(found, CombinedSkim)
    assert [skim.name for skim in found.skims] == ["roundEvents", "TauGeneric"]


def test_a_plain_function_becomes_a_skim_of_its_name(file):
    reco = reconstructed("mixed", 200)
    many, jets = find_skims([f"{file}:many", f"{file}:jets"])
    assert (many.name, many.code, many.description) == ("many", None, "More than eight tracks.")
    assert np.array_equal(many.apply(reco).passed, reco.tracks.counts > 8)
    assert jets.apply(reco).passed.mean() < 0.2


def test_a_name_that_is_not_in_the_file_is_named_with_those_that_are(file):
    with pytest.raises(UnknownName, match=r"'RUND'; near: ROUND; known: EITHER, ROUND, jets, many$"):
        load_skim(f"{file}:RUND")


def test_a_file_without_a_name_says_what_it_holds(file):
    with pytest.raises(NotASkim, match=re.escape(f"say which skim of it, {file}:EITHER or {file}:ROUND or {file}:j")):
        load_skim(str(file))


def test_a_value_that_is_no_skim_is_refused(file):
    with pytest.raises(NotASkim, match="8 is a name and no skim"):
        load_skim(f"{file}:LIMIT")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*none.py with a skim of your own"):
        load_skim(f"{tmp_path / 'none.py'}:MINE")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import numpy\n\nnumpy.no_such_name\n", r"bad.py failed in bad.py, line 3: AttributeError: module 'numpy'"),
        ("def mine(reco)\n    return reco\n", r"bad.py is no Python: .*line 1"),
        ("def mine(a, b, c):\n    return a\n", r"the function of the skim 'mine' takes \(a, b, c\)"),
    ],
)
def test_a_file_with_a_fault_is_named_with_its_line(text, message, tmp_path):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(NotASkim, match=message):
        load_skim(f"{tmp_path / 'bad.py'}:mine")


def test_a_users_skim_does_not_replace_one_of_the_library(tmp_path):
    (tmp_path / "own.py").write_text("def feiHadronic(reco):\n    return reco.event > 0\n")
    place = f"{tmp_path / 'own.py'}:feiHadronic"
    assert find_skims([place])[0].code is None
    with pytest.raises(SkimTwice, match="named 'feiHadronic'"):
        find_skims(["feiHadronic", place])


def test_the_file_in_the_documentation_is_one(tmp_path):
    text = (Path(__file__).parents[3] / "docs" / "skims.md").read_text(encoding="utf-8")
    (tmp_path / "my_skims.py").write_text(text.split("```python\n# my_skims.py")[1].split("```")[0])
    reco = reconstructed("charged", 600)
    passed = {
        name: load_skim(f"{tmp_path / 'my_skims.py'}:{name}").apply(reco).passed
        for name in ("many_tracks", "QUIET", "B_TO_D_PI", "EITHER")
    }
    assert 0 < passed["many_tracks"].sum() < 600
    assert passed["EITHER"].sum() > 0
    assert (passed["EITHER"] >= passed["B_TO_D_PI"]).all()
