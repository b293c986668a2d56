"""`smartbkg skim`."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from smartbkg.cli import main
from smartbkg.detector import RecoWriter
from support.generated import reconstructed


@pytest.fixture
def reco_file(tmp_path):
    with RecoWriter(tmp_path / "reco.parquet") as writer:
        writer.write(reconstructed("mixed", 600))
    return tmp_path / "reco.parquet"


def skim(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["skim", *map(str, arguments)])


def test_several_skims_go_to_one_file(reco_file, tmp_path):
    result = skim("feiHadronic", "BtoXll", reco_file, "-o", tmp_path / "skimmed.parquet")
    assert result.exit_code == 0, result.output
    assert "of 600 events pass" in result.stdout
    assert {"feiHadronic", "BtoXll", "thrust"} <= set(pq.read_schema(tmp_path / "skimmed.parquet").names)


def test_a_skim_named_twice_is_applied_once(reco_file, tmp_path):
    result = skim("BtoXll", "BtoXll", reco_file, "-o", tmp_path / "skimmed.parquet", "--json")
    assert list(json.loads(result.stdout)["retention"]) == ["BtoXll"]


def test_the_list_has_names_codes_and_groups():
    assert "feiHadronic" in skim("--list").stdout
    rows = {row["name"]: row for row in json.loads(skim("--list", "--json").stdout)}
    assert (rows["feiHadronic"]["code"], rows["feiHadronic"]["group"]) == (11180500, "fei")


def test_all_skims_and_a_users_own_go_to_one_file(reco_file, tmp_path):
    (tmp_path / "my_skims.py").write_text("def odd(reco):\n    return reco.event % 2 == 1\n")
    result = skim("all", f"{tmp_path / 'my_skims.py'}:odd", reco_file, "-o", tmp_path / "skimmed.parquet")
    assert result.exit_code == 0, result.output
    assert "odd: 50.00% of 600 events pass" in result.stdout
    names = {row["name"] for row in json.loads(skim("--list", "--json").stdout)}
    assert {"odd", *names} < set(pq.read_schema(tmp_path / "skimmed.parquet").names)


def test_a_skim_is_found_by_its_code(reco_file, tmp_path):
    result = skim("12160200", reco_file, "-o", tmp_path / "skimmed.parquet")
    assert result.stdout.startswith("BtoXll: ")
    result = skim("12160201", reco_file, "-o", tmp_path / "skimmed.parquet")
    assert (result.exit_code, "near: 12160200" in result.stderr) == (3, True)


@pytest.mark.parametrize(("place", "code"), [("none.py:odd", 3), ("my_skims.py:even", 3), ("my_skims.py", 1)])
def test_a_users_skim_that_is_not_there_is_refused(place, code, reco_file, tmp_path):
    (tmp_path / "my_skims.py").write_text("def odd(reco):\n    return reco.event % 2 == 1\n")
    result = skim(tmp_path / place, reco_file, "-o", tmp_path / "skimmed.parquet")
    assert result.exit_code == code
    assert result.stderr.startswith("error: ")
    assert not (tmp_path / "skimmed.parquet").exists()


def test_a_users_skim_that_fails_is_one_line(reco_file, tmp_path):
    (tmp_path / "my_skims.py").write_text("def odd(reco):\n    return reco.events % 2 == 1\n")
    result = skim(f"{tmp_path / 'my_skims.py'}:odd", reco_file, "-o", tmp_path / "skimmed.parquet")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: the skim 'odd' failed in my_skims.py, line 2: AttributeError")


def test_an_unknown_skim_is_not_found(reco_file, tmp_path):
    result = skim("feiHadronik", reco_file, "-o", tmp_path / "skimmed.parquet")
    assert result.exit_code == 3
    assert "near: feiHadronic" in result.stderr
    assert not (tmp_path / "skimmed.parquet").exists()


def test_a_skim_without_a_file_is_a_wrong_use(tmp_path):
    assert skim("feiHadronic", "-o", tmp_path / "skimmed.parquet").exit_code == 2


def test_an_output_is_needed(reco_file):
    result = skim("feiHadronic", reco_file)
    assert result.exit_code == 2
    assert "--output" in result.stderr


def test_a_missing_file_is_named(tmp_path):
    result = skim("feiHadronic", tmp_path / "no.parquet", "-o", tmp_path / "skimmed.parquet")
    assert result.exit_code == 3
    assert "no.parquet" in result.stderr
