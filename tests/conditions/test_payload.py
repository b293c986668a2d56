"""Payload names, metadata and texts: what is refused, and what comes back."""

from __future__ import annotations

import functools
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conditions.errors import BadMetadata, BadName, BadText
from conditions.payload import (
    MAX_METADATA_BYTES,
    MAX_METADATA_LEVELS,
    MAX_NAME_BYTES,
    check_metadata,
    check_payload_name,
    check_text,
)


@pytest.mark.parametrize("name", ["GATGAPgen.pth", "a", "x_1-2+3", "größe", "a b", ".hidden"])
def test_a_dot_may_stand_in_a_name(name: str) -> None:
    assert check_payload_name(name) == name


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "empty"),
        ("a/b", "separator"),
        ("a\\b", "separator"),
        ("..", "folders"),
        (".", "folders"),
        ("a..b", "folders"),
        ("a\nb", "control"),
        ("a\0b", "control"),
        ("a\x7fb", "control"),
        ("a\u202eb", "control"),
        ("a\u2028b", "control"),
        ("a\ud800b", "control"),
        (" a", "space"),
        ("x" * (MAX_NAME_BYTES + 1), "longer"),
        ("é" * (MAX_NAME_BYTES // 2 + 1), "longer"),
    ],
)
def test_names_that_could_leave_a_folder_are_refused(name: str, reason: str) -> None:
    with pytest.raises(BadName, match=reason):
        check_payload_name(name)


@given(st.text())
def test_an_accepted_name_is_one_part_of_a_path(name: str) -> None:
    try:
        check_payload_name(name)
    except BadName:
        return
    assert name not in ("", ".")
    assert not set(name) & set("/\\\0\r\n")
    assert ".." not in name
    name.encode()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abc", max_size=3), json_values, max_size=4))
def test_json_metadata_come_back_equal(metadata: dict[str, Any]) -> None:
    assert check_metadata(metadata) == metadata


def test_the_edges_of_metadata_are_inside() -> None:
    deep: list[Any] = functools.reduce(lambda inner, _: [inner], range(MAX_METADATA_LEVELS - 3), [1])
    metadata = {"low": -(2**63), "high": 2**64 - 1, "sign": "\U0001f30d", "deep": deep}
    assert check_metadata(metadata) == metadata == orjson.loads(orjson.dumps(metadata))


def test_no_metadata_are_an_empty_object() -> None:
    assert check_metadata(None) == {}


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({"auc": float("nan")}, "JSON cannot hold it"),
        ({"auc": float("inf")}, "JSON cannot hold it"),
        ({"raw": b"x"}, "JSON cannot hold it"),
        ({1: "x"}, "names must be strings"),
        ([1, 2], "must be an object"),
        ({"text": "a\0b"}, "NUL"),
        ({"text": "x" * MAX_METADATA_BYTES}, "upload it as a payload"),
        ({"seed": 2**64}, "64 bits"),
        ({"seed": [{"low": -(2**63) - 1}]}, "64 bits"),
        ({"text": ["a\ud800"]}, "half of a character"),
        ({"a": {"\udfff": 1}}, "half of a character"),
        ({"a": functools.reduce(lambda inner, _: [inner], range(MAX_METADATA_LEVELS), [])}, "levels"),
    ],
)
def test_other_metadata_are_refused(metadata: Any, reason: str) -> None:
    with pytest.raises(BadMetadata, match=reason):
        check_metadata(metadata)


def test_a_backslash_before_u0000_is_only_text() -> None:
    assert check_metadata({"path": "\\u0000"}) == {"path": "\\u0000"}


def test_a_cycle_in_metadata_is_refused() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    with pytest.raises(BadMetadata):
        check_metadata(cycle)


def test_descriptions_keep_their_lines() -> None:
    assert check_text("description", "one\n\ttwo") == "one\n\ttwo"


@pytest.mark.parametrize("text", ["a\0b", "a\ud800", "x" * 70_000, 5])
def test_texts_a_database_cannot_keep_are_refused(text: Any) -> None:
    with pytest.raises(BadText, match="description"):
        check_text("description", text)
