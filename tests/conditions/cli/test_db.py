"""`conditions db` on empty, old and damaged stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from conditions.store.schema import HEAD

Command = Callable[..., Any]  # the fixtures of conftest.py


def test_init_makes_the_tables_of_an_empty_postgresql_database(done: Command, empty_postgres_url: str) -> None:
    made = done("db", "init", "--store", empty_postgres_url, "--json").json
    assert (made["before"], made["revision"]) == (None, HEAD)
    assert done("tag", "list", "--store", empty_postgres_url, "--json").json == []


def test_a_postgresql_database_without_tables_says_what_to_do(run_command: Command, empty_postgres_url: str) -> None:
    answer = run_command("tag", "list", "--store", empty_postgres_url)
    assert answer.code == 1
    assert "conditions db init" in answer.err


def test_upgrade_of_a_store_that_is_up_to_date_changes_nothing(done: Command, first_tag: str) -> None:
    upgraded = done("db", "upgrade", "--json").json
    assert (upgraded["before"], upgraded["revision"]) == (HEAD, HEAD)
    assert done("tag", "show", first_tag, "--json").json["payloads"] == 1


def test_check_is_content_with_a_sound_store(done: Command, first_tag: str) -> None:
    report = done("db", "check", "--json").json
    assert report["ok"] is True
    assert report["payloads"] == 1


def test_check_finds_orphans_and_leftovers_and_repair_removes_them(
    run_command: Command, first_tag: str, files_dir: Path
) -> None:
    orphan = files_dir / "ab" / ("ab" * 32)
    leftover = files_dir / "incoming" / "upload-half"
    orphan.parent.mkdir(exist_ok=True)
    orphan.write_text("nobody's")
    leftover.write_text("half a fi")
    found = run_command("db", "check", "--json")
    assert found.code == 1
    assert (found.json["orphans"], found.json["leftovers"]) == ([str(orphan)], [str(leftover)])
    assert orphan.exists()
    repaired = run_command("db", "check", "--repair", "--json")
    assert (repaired.code, repaired.json["ok"]) == (0, True)
    assert not orphan.exists()
    assert not leftover.exists()
    assert run_command("db", "check").code == 0


def test_check_names_missing_and_corrupt_payloads(run_command: Command, done: Command, files_dir: Path) -> None:
    gone, spoilt = (
        done("payload", "upload", "-", "--name", name, "--json", stdin=name).json for name in ("gone", "spoilt")
    )
    (files_dir / gone["sha256"][:2] / gone["sha256"]).unlink()
    path = files_dir / spoilt["sha256"][:2] / spoilt["sha256"]
    path.chmod(0o644)
    path.write_text("SPOILT")
    answer = run_command("db", "check", "--repair", "--json")
    assert answer.code == 1
    assert (answer.json["missing"], answer.json["corrupt"]) == (["gone r1"], ["spoilt r1"])
    done("payload", "upload", "-", "--name", "gone", stdin="gone")
    done("payload", "upload", "-", "--name", "spoilt", stdin="spoilt")
    assert run_command("db", "check").code == 0


def test_a_repair_with_another_stores_folder_removes_nothing_and_names_both(
    run_command: Command, done: Command, first_tag: str, files_dir: Path, tmp_path: Path
) -> None:
    ours = done("db", "check", "--json").json
    assert ours["folder"] == "this store's"
    elsewhere = ["--store", str(tmp_path / "elsewhere.sqlite")]
    theirs = done("db", "check", *elsewhere, "--files", str(tmp_path / "elsewhere"), "--json").json
    refused = run_command("db", "check", "--repair", *elsewhere, "--files", str(files_dir))
    assert (refused.code, refused.out) == (1, "")
    assert f"{files_dir} is the payload folder of store {ours['store_id']}" in refused.err
    assert f"this one is {theirs['store_id']}" in refused.err
    assert done("db", "check", "--json").json == ours
