"""Schema revisions: a store that makes itself, a server that is made on purpose, and what is refused."""

from __future__ import annotations

import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import text

from conditions.errors import SchemaMismatch, StoreUnavailable
from conditions.store.engine import database_url, make_engine, writing
from conditions.store.schema import HEAD, alembic_config, current, head, migrations_folder, upgrade
from conditions.store.session import open_store


def set_revision(url: str, revision: str) -> None:
    engine = make_engine(database_url(url))
    with writing(engine).begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    engine.dispose()


def make_store(path: str, number: int, results: multiprocessing.Queue[tuple[int, str]]) -> None:
    try:
        with open_store(path, user="tester") as store:
            store.create_tag(f"tag{number}")
        results.put((number, "made"))
    except BaseException as error:
        results.put((number, repr(error)))


def upgrade_store(url: str, number: int, results: multiprocessing.Queue[tuple[int, str]]) -> None:
    try:
        results.put((number, upgrade(url)))
    except BaseException as error:
        results.put((number, repr(error)))


def race(target: object, where: str, count: int) -> list[str]:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[tuple[int, str]] = context.Queue()
    processes = [context.Process(target=target, args=(where, n, results)) for n in range(count)]  # type: ignore[arg-type]
    for process in processes:
        process.start()
    outcomes = sorted(results.get(timeout=60) for _ in processes)
    for process in processes:
        process.join()
    return [outcome for _, outcome in outcomes]


def test_the_revision_written_down_is_the_newest_migration() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == HEAD == head()
    assert (migrations_folder() / "versions").is_dir()


def test_an_embedded_database_makes_itself_and_leaves_nothing_beside(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    assert current(path) is None
    assert not path.exists()
    assert upgrade(f"sqlite:///{path}") == HEAD == current(path)
    assert upgrade(path) == HEAD
    assert [entry.name for entry in tmp_path.iterdir()] == ["s.sqlite"]


def test_processes_that_make_one_store_at_once_all_find_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "fresh" / "s.sqlite"
    assert race(make_store, str(path), 4) == ["made"] * 4
    with open_store(path) as store:
        assert [tag.name for tag in store.list_tags()] == [f"tag{n}" for n in range(4)]
    assert not list(path.parent.glob(".new-*"))


def test_operators_who_init_one_server_at_once_all_find_it_done(empty_postgres_url: str) -> None:
    assert race(upgrade_store, empty_postgres_url, 3) == [HEAD] * 3
    assert current(empty_postgres_url) == HEAD


def test_a_server_is_never_made_by_opening_it(empty_postgres_url: str) -> None:
    with pytest.raises(SchemaMismatch, match=r"has no schema, this program needs .*: run 'conditions db init'"):
        open_store(empty_postgres_url)
    assert current(empty_postgres_url) is None
    upgrade(empty_postgres_url)
    with open_store(empty_postgres_url) as store:
        assert store.list_tags() == []


def test_a_server_with_another_schema_is_refused(postgres_url: str) -> None:
    set_revision(postgres_url, "0000")
    with pytest.raises(SchemaMismatch, match=r"has schema 0000, .*: run 'conditions db upgrade'") as caught:
        open_store(postgres_url)
    assert (caught.value.found, caught.value.wanted) == ("0000", HEAD)


@pytest.mark.parametrize("act", [upgrade, open_store])
def test_a_newer_embedded_schema_is_refused(sqlite_url: str, act: object) -> None:
    set_revision(sqlite_url, "9999")
    assert callable(act)
    with pytest.raises(SchemaMismatch, match="the database is newer; install a newer program"):
        act(sqlite_url)
    assert current(sqlite_url) == "9999"


@pytest.mark.parametrize("act", [upgrade, open_store, current])
def test_another_programs_database_is_left_alone(tmp_path: Path, act: object) -> None:
    path = tmp_path / "photos.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photos (id)")
    connection.close()
    before = path.read_bytes()
    assert callable(act)
    with pytest.raises(StoreUnavailable, match="another program's database, with tables photos"):
        act(path)
    assert path.read_bytes() == before


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    path.touch()
    with open_store(path) as store:
        assert store.revision == HEAD


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreUnavailable, match=r"file/s.sqlite cannot be used"):
        open_store(tmp_path / "file" / "s.sqlite")
