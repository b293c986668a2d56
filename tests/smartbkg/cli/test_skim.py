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


def test_the_list_has_names_and_codes():
    assert "feiHadronic" in skim("--list").stdout
    codes = {row["name"]: row["code"] for row in json.loads(skim("--list", "--json").stdout)}
    assert codes["feiHadronic"] == 11180500


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
