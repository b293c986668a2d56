"""Any file: size, digest, first differing byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from conditions.errors import BadSource
from conditions.formats import compare, describe
from conditions.formats.raw import CHUNK_BYTES, first_difference

BASE = b"0123456789" * (CHUNK_BYTES // 5)


@pytest.mark.parametrize("place", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, len(BASE) - 1])
def test_the_first_byte_that_differs_is_found_at_its_place(tmp_path: Path, place: int) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    left.write_bytes(BASE)
    right.write_bytes(BASE[:place] + b"x" + BASE[place + 1 :])
    assert first_difference(left, right) == place
    rows = {row.path: row for part in compare(left, right).sections for row in part.rows}
    assert rows[f"byte {place}"].right.startswith("78")


def test_a_file_that_ends_earlier_differs_at_its_end(tmp_path: Path) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    left.write_bytes(BASE)
    right.write_bytes(BASE[:-7])
    assert first_difference(left, right) == len(BASE) - 7
    rows = {row.path: row for part in compare(left, right).sections for row in part.rows}
    assert rows["size_bytes"].change["difference"] == -7
    assert rows[f"byte {len(BASE) - 7}"].right == "end of file"


def test_the_same_bytes_are_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(BASE)
    (tmp_path / "b").write_bytes(BASE)
    found = compare(tmp_path / "a", tmp_path / "b")
    assert found.same_bytes
    assert found.is_same
    assert describe(tmp_path / "a").facts["size_bytes"] == len(BASE)


def test_a_file_that_is_not_there_is_a_bad_source(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(BadSource):
            describe(path)
