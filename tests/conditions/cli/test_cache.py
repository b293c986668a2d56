"""`conditions cache`: what was fetched, and its end."""

from __future__ import annotations

import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from conditions.cli import main
from conditions.client.cache import PayloadCache
from conditions.payload import Payload


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with two files, one of them not used for a long time."""
    monkeypatch.setenv("CONDITIONS_CACHE", str(tmp_path / "cache"))
    for content in (b"old", b"young"):
        sha256, md5 = (hashlib.new(kind, content, usedforsecurity=False).hexdigest() for kind in ("sha256", "md5"))
        payload = Payload("gain", 1, sha256, md5, len(content), {}, datetime(2026, 1, 1, tzinfo=UTC), "tester")
        path = PayloadCache().path_of(payload, lambda sink, bytes_=content: _write(sink, bytes_))
        if content == b"old":
            os.utime(path, ns=(0, path.stat().st_mtime_ns))
    return tmp_path / "cache"


def _write(sink: Any, content: bytes) -> None:
    sink.write(content)


def said(*words: str) -> str:
    result = CliRunner().invoke(main, ["cache", *words], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_it_shows_what_it_holds(filled: Path) -> None:
    assert said("show").split() == ["folder", str(filled), "files", "2", "size_bytes", "8"]


def test_it_removes_what_was_not_used_lately(filled: Path) -> None:
    for words, files in ((["--dry-run"], "1"), ([], "1"), ([], "0")):
        assert f"files       {files}" in said("clear", "--unused-days", "30", *words)
    assert "size_bytes  5" in said("clear")
    assert "files       0" in said("show")


def test_another_folder_may_be_named(filled: Path, tmp_path: Path) -> None:
    assert "files       0" in said("show", "--folder", str(tmp_path / "other"))
    assert "files       2" in said("show", "--folder", str(filled))
