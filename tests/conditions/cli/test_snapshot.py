"""`conditions download` and `conditions snapshot`: all that a job without a network needs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import conditions
from conditions.iov import Run
from conditions.offline.snapshot import SnapshotSource
from conditions.store.session import open_store
from support.server import Server
from support.snapshots import rows, winners
from support.stores import publish, tag_with

Command = Callable[..., Any]  # the fixtures of conftest.py


@pytest.fixture
def filled(store_url: str, files_dir: Path) -> list[str]:
    """Two published tags and an OPEN one."""
    with open_store(store_url, files_dir, user="tester") as store:
        tag_with(store, "mc16", "gain.txt", "GATGAPgen.pth", iov="7,0,9,-1")
        tag_with(store, "online", "gain.txt", "cnn")
        tag_with(store, "fresh", "gain.txt")
        for tag in ("mc16", "online"):
            publish(store, tag)
    return ["mc16", "online"]


def test_a_job_without_a_store_gets_the_same(
    done: Command, filled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "taken" / "snapshot.sqlite"
    path.parent.mkdir()
    answer = done("download", *filled, "-o", str(path), "--payloads", str(path.parent / "payloads"), "--json")
    assert [(row["tag"], row["iovs"], row["payloads"], row["change"]) for row in answer.json] == [
        ("mc16", 2, 2, "added"),
        ("online", 2, 2, "added"),
    ]
    assert "mc16: 2 payload files written, 0 were there" in answer.err
    assert "online: 1 payload files written, 1 were there" in answer.err
    expected = done("resolve", "--tag", "mc16", "--tag", "online", "--run", "7,1", "--json").json
    for name in ("CONDITIONS_URL", "CONDITIONS_FILES"):
        monkeypatch.delenv(name)
    with SnapshotSource(path) as source:
        found = source.resolve_many(filled, [Run(7, 1)])[Run(7, 1)]
        assert {name: source.payload_path(won.payload).read_text() for name, won in found.items()} == {
            row["name"]: row["name"] for row in expected
        }
    with conditions.open(str(path), filled) as client:
        won = client.get("cnn", Run(7, 1))
        assert (won.tag, client.path(won).read_text()) == ("online", "cnn")


def test_resolve_reads_a_snapshot_as_it_reads_a_store(
    done: Command, run_command: Command, filled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.sqlite"
    done("download", *filled, "-o", str(path), "--details")
    asked = ("resolve", "--tag", "mc16", "--tag", "online", "--run", "7,1", "--run", "10,0", "--json")
    expected = done(*asked).json
    monkeypatch.delenv("CONDITIONS_FILES")
    assert done(*asked, "--store", str(path)).json == expected
    monkeypatch.setenv("CONDITIONS_URL", str(path))
    assert done(*asked).json == expected
    assert run_command("resolve", "--tag", "mc17", "--run", "7,1").code == 3


def test_a_snapshot_that_is_taken_for_a_store_is_told_from_one(
    run_command: Command, done: Command, filled: list[str], tmp_path: Path
) -> None:
    path = str(tmp_path / "snapshot.sqlite")
    done("download", *filled, "-o", path)
    answer = run_command("--store", path, "tag", "list")
    assert (answer.code, "it is a snapshot and no store" in answer.err) == (1, True)
    assert "conditions snapshot show" in answer.err
    assert "CONDITIONS_METADATA" in answer.err


def test_another_reader_finds_what_the_command_wrote(done: Command, filled: list[str], tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    done("download", *filled, "-o", str(path), "--details", "--base-url", "https://example.org/files/")
    expected = done("resolve", "--tag", "mc16", "--tag", "online", "--run", "7,1", "--json").json
    found = winners(path, filled, 7, 1)
    assert {name: facts[0] for name, facts in found.items()} == {row["name"]: row["revision"] for row in expected}
    assert {facts[3] for facts in found.values()} == {"https://example.org/files/"}
    numbers = rows(path, "SELECT globalTagId, globalTagName FROM globaltags")
    assert sorted(numbers) == [(1, "mc16"), (2, "online")]


def test_the_stack_in_force_is_taken_when_no_tag_is_named(
    done: Command, run_command: Command, filled: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_command("download").code == 2
    monkeypatch.setenv("CONDITIONS_TAGS", "online mc16")
    assert [row["tag"] for row in done("download", "--json").json] == ["online", "mc16"]
    assert (tmp_path / "snapshot.sqlite").is_file()


def test_what_is_refused_leaves_no_file(run_command: Command, filled: list[str], tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    assert run_command("download", "mc16", "fresh", "-o", str(path)).code == 1  # OPEN
    assert run_command("download", "mc16", "absent", "-o", str(path)).code == 3
    assert run_command("download", "mc16", "-o", str(path), "--append", "--force").code == 2
    assert run_command("download", "mc16", "-o", str(path), "--run-range", "5,0").code == 2
    assert not path.exists()
    assert run_command("download", "mc16", "fresh", "-o", str(path), "--allow-open").code == 0
    before = path.read_bytes()
    answer = run_command("download", "online", "-o", str(path))
    assert (answer.code, "it is there already" in answer.err) == (1, True)
    assert path.read_bytes() == before
    assert run_command("download", "online", "-o", str(path), "--force").code == 0


def test_a_snapshot_is_brought_up_to_date(done: Command, filled: list[str], tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"

    def download(*args: str) -> list[tuple[str, str, str]]:
        rows = done("download", *args, "-o", str(path), "--append", "--allow-open", "--json").json
        return [(row["tag"], row["state"], row["change"]) for row in rows]

    assert download("mc16", "fresh") == [("mc16", "PUBLISHED", "added"), ("fresh", "OPEN", "added")]
    assert download("mc16") == [("mc16", "PUBLISHED", "unchanged")]
    done("iov", "add", "fresh", "cnn", "always")
    done("tag", "state", "mc16", "INVALID", "--confirm", "mc16")
    assert download("fresh", "mc16", "online") == [
        ("fresh", "OPEN", "refreshed"),
        ("mc16", "INVALID", "refreshed"),
        ("online", "PUBLISHED", "added"),
    ]


def test_a_range_of_runs_answers_for_these_only(done: Command, filled: list[str], tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    done("download", "online", "-o", str(path), "--run-range", "8,0,8,-1", "--details")
    assert {row[5:9] for row in rows(path)} == {(8, 0, 8, -1)}
    shown = done("snapshot", "show", str(path), "--json").json
    assert [(tag["tag"], tag["runs"], tag["digest"]) for tag in shown] == [("online", "8,0,8,-1", None)]


def test_show_lists_the_tags_and_finds_damage(
    done: Command, run_command: Command, filled: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "s.sqlite"
    done("download", "mc16", "-o", str(path), "--details")
    (shown,) = done("snapshot", "show", str(path), "--json").json
    digest = done("tag", "digest", "mc16", "--json").json["digest"] if "digest" in done("tag", "--help").out else None
    assert (shown["tag"], shown["state"], shown["iovs"], shown["payloads"]) == ("mc16", "PUBLISHED", 2, 2)
    assert digest in (None, shown["digest"])
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * 4096 + content[8192:])
    answer = run_command("snapshot", "show", str(path))
    assert (answer.code, "cannot be read as a snapshot" in answer.err) == (1, True)
    assert run_command("snapshot", "show", str(tmp_path / "absent")).code == 1


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)  # the server has databases of its own
def test_a_server_gives_and_takes_the_same(
    server: Server, done: Command, run_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tag, name = server.unique("mc16"), server.unique("gain")
    token = tmp_path / "token"
    token.write_text(server.token())
    monkeypatch.setenv("CONDITIONS_URL", server.url)
    for variable in ("CONDITIONS_FILES", "CONDITIONS_USER"):
        monkeypatch.delenv(variable)
    for number in (1, 2):
        (tmp_path / f"dbstore_{name}_rev_{number}.root").write_text(f"{name} {number}")
    (tmp_path / "database.txt").write_text(f"dbstore/{name} 2 0,0,4,-1\ndbstore/{name} 1 5,0,-1,-1\n")
    upload = ("upload", str(tmp_path / "database.txt"), tag, "--create")
    assert run_command(*upload).code == 1  # nobody said who asks
    monkeypatch.setenv("CONDITIONS_TOKEN_FILE", str(token))
    assert "would upload 2 new payloads" in done(*upload, "--dry-run").err
    assert "2 of them new" in done(*upload).err
    done("tag", "publish", tag, "--confirm", tag)
    monkeypatch.delenv("CONDITIONS_TOKEN_FILE")  # reading needs no token
    path = tmp_path / "taken" / "s.sqlite"
    path.parent.mkdir()
    done("download", tag, "-o", str(path), "--payloads", str(path.parent / "payloads"), "--details")
    url = server.url.rstrip("/") + "/"
    assert {row[10] for row in rows(path)} == {url}
    with SnapshotSource(path) as source:
        for run, number in ((Run(4, 9), 2), (Run(5, 0), 1)):
            won = source.resolve_many([tag], [run])[run][name]
            assert source.payload_path(won.payload).read_text() == f"{name} {number}"
            address = source.payload_url(won.payload)
            assert address is not None
            assert server.session().get("".join(address)).content == f"{name} {number}".encode()
        with open_store(server.store_url, server.files) as store:
            assert source.tag_facts([tag]) == store.tag_facts([tag])
    assert "unchanged" in done("download", tag, "-o", str(path), "--append").out
