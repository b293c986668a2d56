"""Indexes kept in files come back as they were; what is no whole index is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conditions.iov import FOREVER_KEY, Run
from conditions.server.index import compile_index
from conditions.server.index_files import BadIndexFile, index_path, load_index, save_index
from support.tag_rows import tag_rows

INDEX = compile_index(tag_rows([("a", 1, 0, FOREVER_KEY), ("b é", 2, Run(1, 0).key, Run(2, 5).key)]))


def test_an_index_comes_back_from_its_file(tmp_path: Path) -> None:
    path = save_index(INDEX, tmp_path)
    found = load_index(path)
    assert path == index_path(tmp_path, 7, 3)
    assert (found.facts, found.names, found.people) == (INDEX.facts, INDEX.names, INDEX.people)
    assert found.arrays().keys() == INDEX.arrays().keys()
    for name, array in INDEX.arrays().items():
        assert np.array_equal(found.arrays()[name], array)
        assert found.arrays()[name].dtype == array.dtype


def test_an_empty_tag_comes_back_too(tmp_path: Path) -> None:
    assert load_index(save_index(compile_index(tag_rows([])), tmp_path)).n_bytes > 0


def test_the_index_of_earlier_content_goes_and_who_holds_it_keeps_it(tmp_path: Path) -> None:
    older = index_path(tmp_path, 7, 2)
    save_index(INDEX, tmp_path).rename(older)
    held = load_index(older)
    save_index(INDEX, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["7-3.index"]
    assert held.rows["id"].tolist() == INDEX.rows["id"].tolist()


@pytest.mark.parametrize("kept", [0, 5, 40, 300, -1])
def test_a_file_that_was_cut_is_refused(tmp_path: Path, kept: int) -> None:
    path = save_index(INDEX, tmp_path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(BadIndexFile, match="7-3"):
        load_index(path)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "7-3.index"
    path.write_bytes(b"something else that is long enough")
    with pytest.raises(BadIndexFile, match="no index"):
        load_index(path)
