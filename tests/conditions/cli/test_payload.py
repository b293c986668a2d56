"""`conditions payload`: bytes in, bytes out, and what is said about them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conditions.cli.payload import PROGRESS_FROM_BYTES

Command = Callable[..., Any]  # the fixtures of conftest.py


def read_terminal(handle: int) -> str:
    """What comes next on a terminal, nothing when its other side is closed."""
    try:
        return os.read(handle, 65_536).decode(errors="replace")  # a read may end inside a character
    except OSError:
        return ""


def upload(done: Command, name: str, text: str, *options: str) -> Any:
    return done("payload", "upload", "-", "--name", name, "--json", *options, stdin=text).json


def test_upload_of_a_file_takes_its_name_and_says_its_digests(done: Command, tmp_path: Path) -> None:
    source = tmp_path / "GATGAPgen.pth"
    source.write_bytes(b"weights")
    stored = done("payload", "upload", str(source), "--json").json
    assert (stored["name"], stored["revision"], stored["size_bytes"]) == ("GATGAPgen.pth", 1, 7)
    assert stored["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert stored["md5"] == hashlib.md5(b"weights", usedforsecurity=False).hexdigest()
    text = done("payload", "upload", str(source)).out
    assert f"sha256      {stored['sha256']}\n" in text
    assert "revision    1\n" in text


def test_upload_from_stdin_keeps_every_byte_and_wants_a_name(run_command: Command, done: Command) -> None:
    every_byte = bytes(range(256))
    stored = done("payload", "upload", "-", "--name", "raw", "--json", stdin=every_byte).json
    assert stored["sha256"] == hashlib.sha256(every_byte).hexdigest()
    assert run_command("payload", "upload", "-", stdin=every_byte).code == 2


def test_metadata_comes_from_a_document_and_from_fields_on_top(done: Command, tmp_path: Path) -> None:
    document = tmp_path / "metrics.json"
    document.write_text(json.dumps({"auc": 0.5, "skim": "feiHadronic"}))
    fields = ["--meta", "auc=0.91", "--meta", "note=first try", "--meta", "bins=[1, 2]"]
    stored = upload(done, "a", "1", "--metadata", f"@{document}", *fields)
    expected = {"auc": 0.91, "skim": "feiHadronic", "note": "first try", "bins": [1, 2]}
    assert stored["metadata"] == expected
    assert done("payload", "show", "a", "--json").json["metadata"] == expected
    assert upload(done, "b", "1", "--metadata", '{"x": 1}')["metadata"] == {"x": 1}


@pytest.mark.parametrize(
    "options",
    [
        *(["--metadata", document] for document in ("{", "[1]", "@nowhere", "[" * 10_000)),
        *(["--meta", pair] for pair in ("auc", "auc=NaN")),
    ],
    ids=lambda options: " ".join(options)[:20],
)
def test_metadata_that_is_no_json_object_is_wrong_usage(run_command: Command, options: list[str]) -> None:
    assert run_command("payload", "upload", "-", "--name", "a", *options, stdin="1").code == 2
    assert run_command("payload", "show", "a").code == 3


def test_show_gives_the_latest_revision_or_the_one_asked_for(run_command: Command, done: Command) -> None:
    for text in ("1", "2"):
        upload(done, "a", text)
    assert done("payload", "show", "a", "--json").json["revision"] == 2
    assert done("payload", "show", "a", "--revision", "1", "--json").json["revision"] == 1
    assert run_command("payload", "show", "a", "--revision", "3").code == 3


def test_list_filters_by_name_tag_and_run(done: Command, run_command: Command) -> None:
    for name in ("early", "late", "loose"):
        upload(done, name, "the same bytes")
    done("tag", "create", "t")
    done("iov", "add", "t", "early", "0,0,4,-1")
    done("iov", "add", "t", "late", "5,0,-1,-1")

    def listed(*options: str) -> list[str]:
        return [record["name"] for record in done("payload", "list", "--json", *options).json]

    assert listed() == ["early", "late", "loose"]
    assert listed("--name", "l*") == ["late", "loose"]
    assert listed("--regex", "l.{3}") == ["late"]
    assert listed("--tag", "t") == ["early", "late"]
    assert listed("--tag", "t", "--run", "4,999") == ["early"]
    assert listed("--tag", "t", "--run", "5:0") == ["late"]
    assert run_command("payload", "list", "--run", "5:0").code == 2


def test_download_writes_the_bytes_under_the_name_or_where_it_is_told(
    done: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("one", "two"):
        upload(done, "a.txt", text)
    (tmp_path / "folder").mkdir()
    assert done("payload", "download", "a.txt", "--json").json["path"] == "a.txt"
    done("payload", "download", "a.txt", "--revision", "1", "-o", "b.txt")
    assert done("payload", "download", "a.txt", "-o", "folder", "--json").json["path"] == "folder/a.txt"
    assert [Path(path).read_text() for path in ("a.txt", "b.txt", "folder/a.txt")] == ["two", "one", "two"]


def test_download_leaves_a_file_that_is_there_alone_unless_forced(
    run_command: Command, done: Command, tmp_path: Path
) -> None:
    upload(done, "a", "new")
    target = tmp_path / "there"
    target.write_text("old")
    refused = run_command("payload", "download", "a", "-o", str(target))
    assert refused.code == 1
    assert "--force" in refused.err
    assert target.read_text() == "old"
    done("payload", "download", "a", "-o", str(target), "--force")
    assert target.read_text() == "new"


def test_download_of_damaged_bytes_leaves_nothing(
    run_command: Command, done: Command, tmp_path: Path, files_dir: Path
) -> None:
    stored = upload(done, "a", "sound")
    path = files_dir / stored["sha256"][:2] / stored["sha256"]
    path.chmod(0o644)
    path.write_text("SOUND")
    folder = tmp_path / "downloads"
    folder.mkdir()
    refused = run_command("payload", "download", "a", "-o", str(folder))
    assert refused.code == 1
    assert "payload 'a' revision 1 is corrupt" in refused.err
    assert list(folder.iterdir()) == []


def test_download_into_a_folder_that_is_not_there_says_so(run_command: Command, done: Command, tmp_path: Path) -> None:
    upload(done, "a", "1")
    refused = run_command("payload", "download", "a", "-o", str(tmp_path / "no" / "a"))
    assert refused.code == 1
    assert str(tmp_path / "no") in refused.err


def test_verify_names_the_damaged_payload(run_command: Command, done: Command, files_dir: Path) -> None:
    stored = upload(done, "spoilt", "right")
    upload(done, "sound", "sound")
    path = files_dir / stored["sha256"][:2] / stored["sha256"]
    path.chmod(0o644)
    path.write_text("sho")
    assert [record["problem"] for record in done("payload", "verify", "sound", "--json").json] == [None]
    answer = run_command("payload", "verify", "--json")
    assert answer.code == 1
    problems = {record["name"]: record["problem"] for record in answer.json}
    assert problems["sound"] is None
    assert "3 bytes instead of 5" in problems["spoilt"]
    assert run_command("payload", "verify", "nothing").code == 3


def test_verify_of_a_payload_that_the_tag_does_not_have_is_not_found(
    run_command: Command, done: Command, first_tag: str
) -> None:
    upload(done, "other", "1")
    answer = run_command("payload", "verify", "gain.txt", "other", "--tag", first_tag)
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == "error: no payload 'other' in tag 'first'\n"


def test_a_big_upload_shows_its_progress_on_a_terminal_and_its_data_on_stdout(tmp_path: Path) -> None:
    source = tmp_path / "big.bin"
    with source.open("wb") as stream:
        stream.truncate(PROGRESS_FROM_BYTES)
    ours, theirs = os.openpty()
    conditions = [str(Path(sys.executable).parent / "conditions"), "--store", str(tmp_path / "conditions.sqlite")]
    command = [*conditions, "payload", "upload", str(source), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    shown = "".join(iter(lambda: read_terminal(ours), ""))
    os.close(ours)
    assert json.loads(done.stdout)["size_bytes"] == PROGRESS_FROM_BYTES
    assert "big.bin" in shown
    assert "33.6/33.6 MB" in shown
