"""A payload diff for people: what differs is seen to differ, and nothing in a file breaks a line or a table."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from conditions.payload_diff import PayloadDiff, Side, diff_payloads
from conditions.payload_report import as_markdown, as_text

# Pairs of values that look alike when they are cut to a line.
ALIKE = [
    ("a b", "a  b"),
    ("a\nb", "a b"),
    ("a", "a\n"),
    ("", " "),
    ("a\u200bb", "a b"),
    ("x" * 100 + "1", "x" * 100 + "2"),
    ("x" * 100, "x" * 101),
    ("x" * 3000 + "1", "x" * 3000 + "2"),
]


@pytest.fixture
def diff(tmp_path: Path) -> Any:
    def made(left: Any, right: Any) -> PayloadDiff:
        sides = []
        for name, value in (("a.json", left), ("b.json", right)):
            (tmp_path / name).write_text(json.dumps(value))
            sides.append(Side.of_file(tmp_path / name))
        return diff_payloads(*sides)

    return made


def cells_of(line: str) -> list[str]:
    """The cells of a table's row, as a reader of Markdown cuts them."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


@pytest.mark.parametrize(("left", "right"), ALIKE, ids=range(len(ALIKE)))
def test_values_that_differ_are_shown_to_differ(diff: Any, left: str, right: str) -> None:
    (row,) = (line for line in as_text(diff({"key": left}, {"key": right}), 50).splitlines() if ".key" in line)
    sign, path, *shown = re.split(r"(?<=~)\s+|\s{2,}", row)
    assert (sign, path) == ("~", ".key")
    assert shown[0] != shown[1] or shown[2] == "they differ further on"
    (row,) = (line for line in as_markdown(diff({"key": left}, {"key": right}), 50).splitlines() if ".key" in line)
    _, _, one, two, change = cells_of(row)
    assert one
    assert two
    assert one != two or change == "they differ further on"


def test_nothing_in_a_file_breaks_the_table(diff: Any) -> None:
    nasty = ["|", "a|b", "\\|", "\\", "`", "``|``", "\n| x | y |", "</td>", "[a](b)", "**", "\x1b[31m", "\u2028", "é|"]
    left = {f"{sign} {number}": f"{sign} old" for number, sign in enumerate(nasty)}
    right = {name: value.replace("old", "new") for name, value in left.items()}
    said = as_markdown(diff(left, right), 50)
    table = said[said.index("json values") :].splitlines()
    rows = [line for line in table if line.startswith("|")][2:]
    assert len(rows) == len(nasty)
    for row in rows:
        cells = cells_of(row)
        assert len(cells) == 5
        for cell in cells[1:4]:
            fence = re.match("`+", cell)
            assert fence is not None
            assert cell.endswith(fence[0])
            assert fence[0] not in cell[len(fence[0]) : -len(fence[0])].replace(f" {'`' * len(fence[0])}`", "")
    assert "\x1b" not in said
    assert "\u2028" not in said


def test_markdown_has_one_empty_line_between_parts(diff: Any) -> None:
    said = as_markdown(diff({"same": 1}, {"same": 1.0}), 50)
    assert "1 the same" in said
    assert "\n\n\n" not in said


def test_an_empty_text_is_not_taken_for_nothing(diff: Any) -> None:
    said = as_text(diff({"a": "", "b": 1}, {"a": "x"}), 50).splitlines()
    assert [line.split() for line in said if line[2:4] in (".a", ".b")] == [["~", ".a", '""', "x"], ["-", ".b", "1"]]


def test_long_paths_keep_the_end_where_they_differ(diff: Any) -> None:
    deep = "encoder_" * 12
    said = as_text(diff({f"{deep}weight": 1, f"{deep}bias": 1}, {f"{deep}weight": 2, f"{deep}bias": 2}), 50)
    assert "weight  1" in said
    assert re.search(r"encoder_bias +1", said)


def test_numbers_that_are_none_are_told(diff: Any) -> None:
    left, right = (
        {"a": float("nan"), "b": float("inf"), "c": float("nan")},
        {"a": 1.0, "b": float("-inf"), "c": float("nan")},
    )
    said = as_text(diff(left, right), 50).splitlines()
    assert [line.split()[1:] for line in said if line[2:4] in (".a", ".b", ".c")] == [
        [".a", "nan", "1.0"],
        [".b", "inf", "-inf"],
    ]
    json.dumps(diff(left, right).as_dict(), allow_nan=False)


def test_what_is_the_same_is_counted_and_shown_only_when_asked(diff: Any) -> None:
    found = diff({"same": 1, "other": 1}, {"same": 1, "other": 2})
    facts = {line.split()[0] for line in as_text(found, 50, show_same=True).splitlines() if line[:2] == "  "}
    assert "size_bytes" in facts
    assert not any(line.startswith("  ") for line in as_text(found, 50).splitlines())
    assert "1 the same" in as_text(found, 50)
    assert len(as_markdown(found, 50)) < len(as_markdown(found, 50, show_same=True))
