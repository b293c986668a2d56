from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from conditions import Run, TagState
from conditions.cli import main as conditions_main
from conditions.store import open_store
from smartbkg.cli import main
from support.trained import write_trained
from support.trained_multiskim import write_multiskim


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'store' / 'conditions.db'}"


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["publish", *map(str, words)])


def test_publishing_says_what_is_there_now(store: str, tmp_path: Path) -> None:
    trained = write_trained(tmp_path / "trained")
    first = call(trained, "--store", store, "--state", "published")
    assert first.exit_code == 0
    assert first.stdout == "GATGAPgen.pth r1 and GATGAPgen.onnx r1 in SmartBKG_GATGAP (PUBLISHED) for 0,0,-1,-1\n"
    again = call(trained, "--store", store, "--state", "PUBLISHED")
    assert (again.exit_code, "already in SmartBKG_GATGAP" in again.stdout) == (0, True)


def test_json_has_names_revisions_and_digests(store: str, tmp_path: Path) -> None:
    result = call(write_trained(tmp_path / "t"), "--store", store, "--tag", "mine", "--iov", "1,0,2,-1", "--json")
    values = json.loads(result.stdout)
    assert (values["tag"], values["state"], values["iov"], values["added"]) == ("mine", "OPEN", "1,0,2,-1", 2)
    assert [(p["name"], p["revision"], len(p["sha256"])) for p in values["payloads"]] == [
        ("GATGAPgen.pth", 1, 64),
        ("GATGAPgen.onnx", 1, 64),
    ]


def test_a_folder_of_the_multi_skim_filter_is_known_by_what_it_holds(store: str, tmp_path: Path) -> None:
    first = call(write_multiskim(tmp_path / "multiskim"), "--store", store, "--state", "PUBLISHED")
    assert first.exit_code == 0, first.stderr
    assert first.stdout == (
        "SmartBackgroundWeights_default r1, SmartBackgroundConfig_default r1 and "
        "SmartBackgroundWeights_default_batched r1 in SmartBackground (PUBLISHED) for 0,0,-1,-1\n"
    )
    other = call(write_multiskim(tmp_path / "other", seed=2), "--store", store, "--tag", "SmartBackground_v2", "--json")
    assert [(p["name"], p["revision"]) for p in json.loads(other.stdout)["payloads"]] == [
        ("SmartBackgroundWeights_default", 2),
        ("SmartBackgroundConfig_default", 2),
        ("SmartBackgroundWeights_default_batched", 2),
    ]


def test_the_advice_for_a_hidden_training_names_all_its_payloads(store: str, tmp_path: Path) -> None:
    first = write_multiskim(tmp_path / "a")
    for folder in (first, write_multiskim(tmp_path / "b", seed=2)):
        assert call(folder, "--store", store).exit_code == 0
    said = call(first, "--store", store, "--iov", "5,0,6,-1").stderr
    advice = shlex.split(re.findall(r"(conditions iov delete [^(]+)", said)[0])
    assert CliRunner().invoke(conditions_main, ["--store", store, *advice[1:]]).exit_code == 0
    with open_store(store) as opened:
        found = opened.resolve(["SmartBackground"], Run(5, 0), allow_open=True)
    assert {each.payload.revision for each in found.values()} == {1}


def test_a_published_tag_is_refused_in_one_line(store: str, tmp_path: Path) -> None:
    call(write_trained(tmp_path / "a"), "--store", store, "--state", "PUBLISHED")
    result = call(write_trained(tmp_path / "b", seed=2), "--store", store)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
    assert "which is PUBLISHED" in result.stderr


def test_a_hidden_revision_is_said_on_stderr(store: str, tmp_path: Path) -> None:
    first = write_trained(tmp_path / "a")
    for folder in (first, write_trained(tmp_path / "b", seed=2)):
        assert call(folder, "--store", store).exit_code == 0
    said = call(first, "--store", store, "--iov", "5,0,6,-1")
    assert "revision 2 of the tag is higher and wins for run 5:0" in said.stderr
    advice = shlex.split(re.findall(r"(conditions iov delete [^(]+)", said.stderr)[0])
    ended = CliRunner().invoke(conditions_main, ["--store", store, *advice[1:]])
    assert ended.exit_code == 0, ended.stderr
    assert call(first, "--store", store, "--iov", "5,0,6,-1").stderr == ""
    with open_store(store) as opened:
        won = {run: opened.resolve(["SmartBKG_GATGAP"], Run(run, 0), allow_open=True) for run in (4, 5, 6, 7)}
        assert [{each.payload.revision for each in found.values()} for found in won.values()] == [{2}, {1}, {1}, {2}]
        opened.set_state("SmartBKG_GATGAP", TagState.RUNNING)
    assert "publish it under another --tag" in call(first, "--store", store).stderr


def test_publishing_for_good_is_said(store: str, tmp_path: Path) -> None:
    trained = write_trained(tmp_path / "trained")
    assert call(trained, "--store", store).stderr == ""
    said = call(trained, "--store", store, "--state", "PUBLISHED").stderr
    assert said == "SmartBKG_GATGAP is PUBLISHED: nothing can change it any more; what is better goes into a clone\n"


def test_a_missing_training_is_not_found(store: str, tmp_path: Path) -> None:
    result = call(tmp_path / "nowhere", "--store", store)
    assert result.exit_code == 3
    assert "nowhere" in result.stderr


@pytest.mark.parametrize("option", [("--iov", "5,0,1,0"), ("--state", "DONE")])
def test_wrong_usage_is_told_apart(store: str, tmp_path: Path, option: tuple[str, str]) -> None:
    assert call(tmp_path, "--store", store, *option).exit_code == 2
