"""`smartbkg retention`."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from smartbkg.cli import main
from smartbkg.detector import RecoWriter
from smartbkg.skim import get_skim
from support.generated import reconstructed


@pytest.fixture
def reco_file(tmp_path):
    with RecoWriter(tmp_path / "reco.parquet") as writer:
        writer.write(reconstructed("taupair", 200))
    return tmp_path / "reco.parquet"


def retention(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["retention", *map(str, arguments)])


def test_it_prints_a_table_in_percent(reco_file):
    result = retention(reco_file, "--skim", "TauGeneric", "--skim", "feiHadronic")
    assert result.exit_code == 0, result.output
    percent = 100 * get_skim("TauGeneric").apply(reconstructed("taupair", 200)).passed.mean()
    row = next(line for line in result.stdout.splitlines() if "TauGeneric" in line)
    assert row.split("|")[2].strip() == "18570600"
    assert float(row.split("|")[3].split("±")[0]) == pytest.approx(percent, abs=0.06)


def test_json_has_the_counts(reco_file):
    found = json.loads(retention(reco_file, "--skim", "TauGeneric", "--json").stdout)
    assert found["events"] == {"taupair": 200}
    assert found["skims"][0]["group"] == "tau"
    assert found["skims"][0]["types"]["taupair"]["events"] == 200


def test_without_names_all_skims_are_in_it(reco_file):
    rows = json.loads(retention(reco_file, "--json").stdout)["skims"]
    listed = json.loads(CliRunner().invoke(main, ["skim", "--list", "--json"]).stdout)
    assert {row["name"] for row in rows} == {row["name"] for row in listed}


def test_missing_files_and_unknown_skims_are_named(reco_file, tmp_path):
    result = retention(tmp_path / "none.parquet")
    assert (result.exit_code, "none.parquet" in result.stderr) == (3, True)
    result = retention(reco_file, "--skim", "TauGenerik")
    assert (result.exit_code, "near: TauGeneric" in result.stderr) == (3, True)
