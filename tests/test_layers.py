"""The rooms of the house and the doors between them, read from the imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAX_LINES = 400
MAX_FUNCTION_LINES = 60
HEAVY = {"torch", "onnx", "onnxscript"}
VALUE_FILES = ("conditions/iov.py", "conditions/payload.py", "conditions/tags.py", "conditions/resolve.py")
# More files of values, some of them folders.
VALUE_ROOMS = (
    "conditions/batch.py",
    "conditions/diff.py",
    "conditions/digest.py",
    "conditions/plans/",
    "conditions/rights.py",
    "conditions/wire",  # the JSON of /v1: values, batches, plans
)
SNAPSHOT_ROOM = "conditions/offline/"  # snapshots are SQLite files of their own, read without sqlalchemy
SERVER_ROOM = "conditions/server/"
SERVER_PACKAGES = {"fastapi", "starlette", "uvicorn", "pydantic", "orjson", "prometheus_client"}
# Outside these, smartbkg knows nothing of the database.
DATABASE_DOORS = ("smartbkg/modules/", "smartbkg/publish/", "smartbkg/cli/")
# Here torch may be imported at the top; elsewhere in smartbkg only on demand, and in these not at all.
TORCH_ROOMS = ("smartbkg/models/", "smartbkg/training/")
TORCH_FREE = (
    *("smartbkg/modules/", "smartbkg/scorer.py", "smartbkg/features.py", "smartbkg/training/metrics.py"),
    *("smartbkg/multiskim_scorer.py", "smartbkg/sessions.py", "smartbkg/bridging.py", "smartbkg/trees.py"),
    *("smartbkg/evaluation/", "smartbkg/report/"),
)


def sources(*rooms: str) -> list[str]:
    found = [path.relative_to(ROOT).as_posix() for room in rooms for path in sorted((ROOT / room).rglob("*.py"))]
    assert found, f"no sources in {rooms}"
    return found


def imports(name: str, *, top_only: bool = False) -> set[str]:
    """Full names of the modules a file imports; relative imports are not used in this house."""
    tree = ast.parse((ROOT / name).read_text(encoding="utf-8"))
    return {module for node in _nodes(tree, top_only) for module in _modules(node)}


def _nodes(tree: ast.AST, top_only: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(tree):
        if top_only and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _nodes(child, top_only)


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports hide which door is used"
        return [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
    return []


def packages(name: str, *, top_only: bool = False) -> set[str]:
    return {module.split(".")[0] for module in imports(name, top_only=top_only)}


@pytest.mark.parametrize("name", sources("conditions", "migrations"))
def test_conditions_never_imports_smartbkg(name: str) -> None:
    assert "smartbkg" not in packages(name)


@pytest.mark.parametrize("name", [*VALUE_FILES, *(n for n in sources("conditions") if n.startswith(VALUE_ROOMS))])
def test_value_files_import_only_the_standard_library(name: str) -> None:
    assert packages(name) - {"conditions"} <= set(sys.stdlib_module_names)


@pytest.mark.parametrize("name", sources("conditions"))
def test_torch_and_onnx_stay_in_formats(name: str) -> None:
    assert not packages(name, top_only=name.startswith("conditions/formats/")) & (HEAVY | {"onnxruntime"})


@pytest.mark.parametrize("name", sources("conditions/client"))
def test_client_never_imports_sqlalchemy(name: str) -> None:
    assert not packages(name) & {"sqlalchemy", "alembic"}
    assert not any(module.startswith("conditions.store") for module in imports(name))


@pytest.mark.parametrize(
    "name", [n for n in sources("conditions", "smartbkg") if not n.startswith("conditions/store/")]
)
def test_sql_is_spoken_in_the_store_only(name: str) -> None:
    allowed = {"sqlite3"} if name.startswith(SNAPSHOT_ROOM) else set()
    assert not packages(name) & {"sqlalchemy", "alembic", "psycopg", "sqlite3"} - allowed


@pytest.mark.parametrize("name", [n for n in sources("conditions") if not n.startswith(SERVER_ROOM)])
def test_the_web_frameworks_stay_in_the_server(name: str) -> None:
    assert not packages(name, top_only=True) & SERVER_PACKAGES


@pytest.mark.parametrize("name", sources("migrations/versions"))
def test_migrations_never_import_the_code_they_outlive(name: str) -> None:
    assert not packages(name) & {"conditions", "smartbkg"}


@pytest.mark.parametrize("name", [n for n in sources("smartbkg") if not n.startswith(DATABASE_DOORS)])
def test_only_modules_publish_and_cli_know_the_database(name: str) -> None:
    assert "conditions" not in packages(name)


@pytest.mark.parametrize("name", [n for n in sources("smartbkg") if not n.startswith(TORCH_ROOMS)])
def test_torch_is_imported_on_demand_outside_models_and_training(name: str) -> None:
    assert not packages(name, top_only=True) & HEAVY
    assert not any(m.startswith("smartbkg.models") for m in imports(name, top_only=True))


@pytest.mark.parametrize("name", [n for n in sources("smartbkg") if n.startswith(TORCH_FREE)])
def test_workers_run_without_torch(name: str) -> None:
    assert not packages(name) & HEAVY


@pytest.mark.parametrize("name", sources("smartbkg", "conditions", "tools", "migrations"))
def test_no_module_outgrows_its_room(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text.count("\n") <= MAX_LINES, "split it by noun"
    long = {
        node.name: (node.end_lineno or 0) - node.lineno + 1
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {n: size for n, size in long.items() if size > MAX_FUNCTION_LINES} == {}


@pytest.mark.parametrize("name", sources("smartbkg", "conditions"))
def test_every_module_says_what_it_is(name: str) -> None:
    assert ast.get_docstring(ast.parse((ROOT / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", sources("smartbkg", "conditions"))
def test_nothing_is_unpickled(name: str) -> None:
    assert not packages(name) & {"pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}


@pytest.mark.parametrize("name", sources("smartbkg", "conditions"))
def test_nothing_imports_the_tools(name: str) -> None:
    assert not packages(name) & {"tools", "support", "tests"}
