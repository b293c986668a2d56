"""The tree of errors is the one that is drawn, and errors come out of a worker process as they went in."""

from __future__ import annotations

import importlib
import inspect
import pickle
import pkgutil
import re
from pathlib import Path

import pytest

import smartbkg
from smartbkg import errors
from smartbkg.errors import (
    BadEvent,
    ColumnsMissing,
    MissingExtra,
    ModuleFailed,
    NotAnEventFile,
    SmartBkgError,
    UnknownName,
    WorkerLost,
)


@pytest.mark.parametrize(
    "error",
    [
        BadEvent("one"),
        ColumnsMissing(Path("a.parquet"), ["b"], ["c"]),
        MissingExtra("pythia8mc", "generate"),
        ModuleFailed("filter", "event", "0:1:2", BadEvent("one")),
        NotAnEventFile(Path("a.parquet"), "cut short"),
        UnknownName("skim", "x", ["y"]),
        WorkerLost("its batch"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_keeps_kind_message_and_state_when_pickled(error: SmartBkgError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert again.__dict__.keys() == error.__dict__.keys()


def test_the_tree_in_the_docstring_is_the_real_one() -> None:
    drawn = re.findall(r"^    ([│├└─ ]*)(\w+)", errors.__doc__ or "", re.MULTILINE)
    depths = {name: len(bars) // 4 for bars, name in drawn if hasattr(errors, name)}
    classes = {n: c for n, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__}
    assert set(depths) == set(classes)
    for name, cls in classes.items():
        assert depths[name] == cls.__mro__.index(SmartBkgError), name


def test_no_error_stands_outside_the_tree() -> None:
    for module in pkgutil.walk_packages(smartbkg.__path__, "smartbkg."):
        importlib.import_module(module.name)
    found, queue = set(), [SmartBkgError]
    while queue:
        cls = queue.pop()
        found.add(cls)
        queue += cls.__subclasses__()
    ours = {cls.__name__ for cls in found if cls.__module__.startswith("smartbkg.")}
    assert ours == {name for name in ours if hasattr(errors, name)}
