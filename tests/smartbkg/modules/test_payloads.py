from __future__ import annotations

from pathlib import Path

import pytest

from smartbkg.modules.payloads import Sessions


def test_what_was_used_longest_ago_is_forgotten_first() -> None:
    opened: list[str] = []

    def open_file(path: Path) -> str:
        opened.append(path.name)
        return f"session of {path.name}"

    sessions: Sessions[str] = Sessions(room=2)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert sessions.get(f"digest of {name}", Path(name), open_file) == f"session of {name}"
    assert opened == ["a", "b", "c", "b"]


def test_a_file_is_known_by_its_content_and_not_by_its_name() -> None:
    sessions: Sessions[Path] = Sessions()
    first = sessions.get("digest", Path("here"), lambda path: path)
    assert sessions.get("digest", Path("there"), lambda path: path) == first == Path("here")


def test_what_cannot_be_opened_is_tried_again() -> None:
    sessions: Sessions[bytes] = Sessions()
    tries: list[Path] = []

    def open_file(path: Path) -> bytes:
        tries.append(path)
        if len(tries) == 1:
            raise OSError("not now")
        return b"open"

    with pytest.raises(OSError, match="not now"):
        sessions.get("digest", Path("file"), open_file)
    assert [sessions.get("digest", Path("file"), open_file) for _ in range(2)] == [b"open", b"open"]
    assert len(tries) == 2
