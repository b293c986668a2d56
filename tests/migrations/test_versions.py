"""The migrated databases against the tables the program believes in."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Inspector, inspect

from conditions.store.engine import database_url, make_engine
from conditions.store.tables import Base
from support.postgres import create_database, drop_database, session_cluster

ROOT = Path(__file__).parents[2]
VERSIONS = sorted((ROOT / "migrations" / "versions").glob("*.py"))


@pytest.fixture(params=["sqlite", "postgresql"])
def migrated_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database migrated with alembic's own command, as an operator may do it."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/migrated.sqlite"
        run_alembic(url)
        yield url
        return
    url = create_database(session_cluster(request.config))
    run_alembic(url)
    yield url
    drop_database(url)


def run_alembic(url: str) -> None:
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    environment = {**os.environ, "CONDITIONS_URL": url}
    done = subprocess.run(command, check=False, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "0002" in done.stderr


def test_the_migrations_make_the_tables_of_the_program(migrated_url: str) -> None:
    engine = make_engine(database_url(migrated_url))
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, Base.metadata) == []
            inspector = inspect(connection)
            assert checks_of(inspector) == checks_of_program()
            assert foreign_keys_of(inspector) == foreign_keys_of_program()
            # SQLite numbers rows only when the key stands in the column itself, where it cannot have a name.
            nameless = {None} if connection.dialect.name == "sqlite" else set()
            for name in Base.metadata.tables:
                assert inspector.get_pk_constraint(name)["name"] in {f"pk_{name}"} | nameless
    finally:
        engine.dispose()


def checks_of(inspector: Inspector) -> set[tuple[str, str]]:
    return {(t, str(c["name"])) for t in Base.metadata.tables for c in inspector.get_check_constraints(t)}


def checks_of_program() -> set[tuple[str, str]]:
    found = [(t, c) for t, table in Base.metadata.tables.items() for c in table.constraints]
    return {(t, str(c.name)) for t, c in found if isinstance(c, CheckConstraint)}


def foreign_keys_of(inspector: Inspector) -> set[tuple[str, str, str]]:
    keys = [(t, key) for t in Base.metadata.tables for key in inspector.get_foreign_keys(t)]
    return {(t, str(key["name"]), str(key["options"].get("ondelete"))) for t, key in keys}


def foreign_keys_of_program() -> set[tuple[str, str, str]]:
    found = [(t, c) for t, table in Base.metadata.tables.items() for c in table.constraints]
    return {(t, str(c.name), str(c.ondelete)) for t, c in found if isinstance(c, ForeignKeyConstraint)}


def test_every_constraint_of_the_program_has_a_name() -> None:
    constraints = [c for table in Base.metadata.tables.values() for c in table.constraints]
    assert constraints
    assert all(c.name for c in constraints)


@pytest.mark.parametrize("path", VERSIONS, ids=lambda path: path.stem)
def test_a_migration_says_whether_the_previous_release_may_run(path: Path) -> None:
    assert re.fullmatch(r"\d{4}_[a-z0-9_]+\.py", path.name)
    text = path.read_text(encoding="utf-8")
    assert re.search(r'^"""[^"]*Safe while the previous release runs\? \S', text)
    assert "TODO" not in text


def test_the_sql_can_be_read_before_it_is_run() -> None:
    environment = {**os.environ, "CONDITIONS_URL": "postgresql://nowhere/x"}
    command = [sys.executable, "-m", "alembic", "upgrade", "head", "--sql"]
    done = subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert "CREATE TABLE payloads" in done.stdout
    assert "audit_append_only" in done.stdout
    assert "CREATE TABLE past_iovs" in done.stdout
