"""Columns on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smartbkg.evaluation.spool import Spool


def test_columns_are_what_was_appended_in_their_first_type() -> None:
    with Spool() as spool:
        for part in range(3):
            spool.append({"a/b": np.full(2, part, np.float32), "flag": np.array([part == 1])})
        assert spool.column("a/b").tolist() == [0, 0, 1, 1, 2, 2]
        assert spool.column("flag").dtype == bool
        spool.append({"a/b": np.array([7], np.float64)})
        assert spool.column("a/b").dtype == np.float32
        assert len(spool.column("a/b")) == 7


def test_a_declared_column_is_there_without_any_value() -> None:
    with Spool() as spool:
        spool.declare(["x"], np.float64)
        assert "x" in spool
        assert "y" not in spool
        assert spool.column("x").tolist() == []


def test_nothing_stays_on_disk_also_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(ValueError, match="stop"), Spool() as spool:
        spool.append({"x": np.ones(3)})
        assert [*tmp_path.iterdir()]
        raise ValueError("stop")
    assert [*tmp_path.iterdir()] == []
