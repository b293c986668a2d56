"""Errors that come out of a worker process are those that went in."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

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
