"""JSON payloads: structure, not bytes."""

from __future__ import annotations

from pathlib import Path

import pytest

from conditions.errors import PayloadUnreadable
from conditions.formats import compare, describe
from conditions.formats import json as json_format


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_order_and_white_space_make_no_difference(tmp_path: Path) -> None:
    left = written(tmp_path / "a.json", '{"x": 1, "y": [1, 2]}')
    right = written(tmp_path / "b.json", '{\n "y": [1,2.0],\n "x": 1}')
    found = compare(left, right)
    assert (found.format, found.is_same, found.same_bytes) == ("json", True, False)


def test_a_payload_without_a_telling_name_is_recognised_by_its_beginning(tmp_path: Path) -> None:
    assert describe(written(tmp_path / "a", '{"x": 1}')).format == "json"
    assert describe(written(tmp_path / "b", "\ufeff".encode() + b' {"x": 1}')).format == "json"
    assert describe(written(tmp_path / "c", "{x}")).format == "raw"
    assert describe(written(tmp_path / "d", "1.5"), "gains.json").facts["value"] == 1.5


def test_a_description_tells_fields_and_counts(tmp_path: Path) -> None:
    facts = describe(written(tmp_path / "a.json", '{"b": [1, 2, null], "a": "x"}')).facts
    assert facts["fields"] == {"a": "x", "b": "list of 3"}
    assert facts["values"] == {"list": 1, "null": 1, "number": 2, "object": 1, "text": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"a": 1',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b"1" * 10_000,
        b"nothing",
        b'{"a": \x00}',
    ],
    ids=lambda content: repr(content[:8]),
)
def test_what_is_no_json_is_refused_and_compared_as_bytes(tmp_path: Path, content: bytes) -> None:
    bad, good = written(tmp_path / "bad.json", content), written(tmp_path / "good.json", "{}")
    with pytest.raises(PayloadUnreadable, match=r"bad\.json cannot be read as json"):
        describe(bad)
    found = compare(bad, good)
    assert found.format == "raw"
    assert not found.is_same
    assert "cannot be read as json" in found.problems[0]


def test_more_json_than_memory_should_hold_is_compared_as_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_format, "MAX_BYTES", 10)
    found = compare(written(tmp_path / "a.json", "[1, 2, 3, 4]"), written(tmp_path / "b.json", "[1]"))
    assert found.format == "raw"
    assert "12 bytes, JSON is read up to 10" in found.problems[0]
