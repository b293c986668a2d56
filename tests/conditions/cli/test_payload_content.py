"""`conditions payload diff` and `dump`: two payloads side by side, and what is in one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from support.trained import write_trained

Command = Callable[..., Any]  # the fixtures of conftest.py


@pytest.fixture
def gains(done: Command) -> str:
    """Two revisions of a JSON payload, with metrics."""
    texts = ('{"gain": 1.5, "old": 1, "name": "a|b"}', '{"gain": 1.8, "name": "a`b"}')
    for text, auc in zip(texts, ("0.91", "0.93"), strict=True):
        metadata = ["--meta", f"auc={auc}", "--meta", 'run={"seed": 1}']
        done("payload", "upload", "-", "--name", "gains.json", *metadata, stdin=text)
    return "gains.json"


def rows(part: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["path"]: row for row in part["rows"]}


def test_facts_metadata_and_content_stand_side_by_side(done: Command, gains: str) -> None:
    found = done("payload", "diff", "gains.json@1", "gains.json@2", "--json").json
    assert (found["same"], found["same_bytes"], found["format"]) == (False, False, "json")
    facts, metadata, content = rows(found["facts"]), rows(found["metadata"]), rows(found["content"][0])
    assert facts["size_bytes"]["change"]["difference"] == -10
    assert facts["created_by"]["kind"] == "same"
    assert metadata[".auc"]["change"]["difference"] == pytest.approx(0.02)
    assert metadata[".run.seed"]["kind"] == "same"
    assert content[".gain"]["change"]["relative"] == pytest.approx(0.2)
    assert content[".old"]["kind"] == "removed"


def test_one_name_alone_is_the_latest_against_the_one_before(run_command: Command, done: Command, gains: str) -> None:
    assert done("payload", "diff", gains).out == done("payload", "diff", "gains.json@1", "gains.json@2").out
    refused = run_command("payload", "diff", "gains.json@1")
    assert refused.code == 2
    assert "no revision before 1" in refused.err


def test_text_marks_each_line_with_what_became_of_it(done: Command, gains: str) -> None:
    lines = done("payload", "diff", gains, "--all").out.splitlines()
    assert lines[0] == "gains.json@1 -> gains.json@2: the files differ"
    assert "~ .auc       0.91  0.93  +0.02 (+2.2 %)" in lines
    assert "  .run.seed  1     1" in lines
    assert "~ .gain  1.5  1.8  +0.3 (+20 %)" in lines
    assert "- .old   1" in lines


def test_markdown_is_tables_whose_cells_hold_no_markup(done: Command, gains: str) -> None:
    text = done("payload", "diff", gains, "--format", "md").out
    lines = text.splitlines()
    assert lines[0] == "### `gains.json@1` → `gains.json@2`"
    assert "| `~` | `.gain` | `1.5` | `1.8` | +0.3 (+20 %) |" in lines
    assert "| `~` | `.name` | `a\\|b` | `` a`b `` |  |" in lines
    tables = [line for line in lines if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {6}


def test_the_same_bytes_have_nothing_inside_to_compare(run_command: Command, done: Command, gains: str) -> None:
    done("payload", "upload", "-", "--name", "copy.json", stdin='{"gain": 1.8, "name": "a`b"}')
    found = done("payload", "diff", "gains.json", "copy.json", "--json").json
    assert (found["same_bytes"], found["same"], found["content"]) == (True, False, [])
    assert "the same bytes, other metadata" in done("payload", "diff", "gains.json", "copy.json").out
    assert run_command("payload", "diff", "gains.json@2", "gains.json@2", "--exit-code").code == 0
    assert run_command("payload", "diff", "gains.json@1", "gains.json@2", "--exit-code").code == 1


def test_other_bytes_of_the_same_structure_are_told_apart(done: Command, gains: str) -> None:
    done("payload", "upload", "-", "--name", gains, stdin='{"name": "a`b",\n"gain": 1.8}')
    out = done("payload", "diff", gains).out
    assert out.startswith("gains.json@2 -> gains.json@3: other bytes, the same content as json\n")


def test_a_local_file_is_compared_with_the_latest_of_its_name(
    done: Command, gains: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(gains).write_text('{"gain": 2}')
    found = done("payload", "diff", f"./{gains}", "--json").json
    assert (found["left"]["label"], found["right"]["label"]) == ("gains.json@2", "file gains.json")
    assert found["metadata"]["rows"] == []
    assert done("payload", "diff", "gains.json@1", str(tmp_path / gains), "--json").json["left"]["revision"] == 1
    Path("other.json").write_text("{}")  # no payload of that name: the file is meant
    assert done("payload", "diff", gains, "other.json", "--json").json["right"]["label"] == "file other.json"


def test_two_tags_are_compared_for_a_run(run_command: Command, done: Command, gains: str) -> None:
    for tag, revision in (("old", "1"), ("new", "2")):
        done("tag", "create", tag)
        done("iov", "add", tag, gains, "7,0,-1,-1", "--revision", revision)
    found = done("payload", "diff", gains, "--tags", "old", "new", "--run", "7,120", "--json").json
    assert [found[side]["label"] for side in ("left", "right")] == ["gains.json@1 (old)", "gains.json@2 (new)"]
    absent = run_command("payload", "diff", gains, "--tags", "old", "new", "--run", "6,0")
    assert absent.code == 3
    assert "no payload 'gains.json' for 6:0 in old" in absent.err
    for wrong in (["--run", "7,120"], ["--tags", "old", "new"], ["other", "--tags", "old", "new", "--run", "7,120"]):
        assert run_command("payload", "diff", gains, *wrong).code == 2


@pytest.mark.parametrize("word", ["nothing", "nothing@2", "gains.json@9", "./nothing"])
def test_what_is_not_there_is_said(run_command: Command, gains: str, word: str) -> None:
    answer = run_command("payload", "diff", gains, word)
    assert answer.code in (2, 3)
    assert answer.err.startswith("error: ")
    assert run_command("payload", "dump", word).code == answer.code


def test_a_name_that_looks_like_a_revision_is_found_all_the_same(done: Command) -> None:
    done("payload", "upload", "-", "--name", "odd@1", stdin="x")
    assert done("payload", "dump", "odd@1", "--json").json["name"] == "odd@1"
    assert done("payload", "dump", "odd@1@1", "--json").json["revision"] == 1


def test_trained_files_are_compared_by_their_weights(done: Command, tmp_path: Path) -> None:
    for seed in (1, 2):
        for name in ("GATGAPgen.pth", "GATGAPgen.onnx"):
            done("payload", "upload", str(write_trained(tmp_path / str(seed), seed) / name))
    text = done("payload", "diff", "GATGAPgen.pth", "--limit", "3").out
    assert "torch tensors: 23 changed" in text
    assert "relative L2" in text
    assert "… and 20 more" in text
    assert "onnx weights: 14 changed" in done("payload", "diff", "GATGAPgen.onnx").out
    assert done("payload", "dump", "GATGAPgen.onnx", "--json").json["content"]["opset"] == {"ai.onnx": 18}
    assert "model_state_dict/fc_output.weight" in done("payload", "dump", "GATGAPgen.pth@1").out


def test_a_file_with_code_is_reported_and_the_command_fails(
    run_command: Command, done: Command, tmp_path: Path
) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "m.pth")
    done("payload", "upload", str(tmp_path / "m.pth"))
    torch.save(torch.nn.Linear(2, 2), tmp_path / "m.pth")
    done("payload", "upload", str(tmp_path / "m.pth"))
    answer = run_command("payload", "diff", "m.pth")
    assert answer.code == 1
    assert "code in a file is never run" in answer.err
    assert "~ sha256" in answer.out
    assert run_command("payload", "dump", "m.pth").code == 1
    assert "never run" in run_command("payload", "diff", "m.pth", "--format", "md").out


def test_dump_writes_bytes_when_it_is_told_to(run_command: Command, done: Command, gains: str) -> None:
    assert done("payload", "dump", gains, "--raw").out == '{"gain": 1.8, "name": "a`b"}'
    assert done("payload", "dump", gains, "--revision", "1", "--raw").out.startswith('{"gain": 1.5')
    assert "gain" in done("payload", "dump", "gains.json@1").out


def test_characters_that_no_terminal_can_show_do_no_harm(done: Command) -> None:
    for value in ("\x1b[31m", "\ud800\u202e"):
        done("payload", "upload", "-", "--name", "a.json", stdin=json.dumps({"a": value, value: 1}))
    for verb in (["diff"], ["diff", "--format", "md"], ["dump"], ["diff", "--json"]):
        out = done("payload", *verb, "a.json").out
        assert not {"\x1b", "\u202e", "\ud800"} & {*out}
