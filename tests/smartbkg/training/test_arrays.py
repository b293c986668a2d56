"""Arrays on disk: whole or built again, and known by their content."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smartbkg.errors import BadEvent
from smartbkg.events import EventWriter
from smartbkg.training.arrays import event_batches, identity_of, mapped, read_index, write_arrays, write_index
from support.events import decay_trees

KINDS = {"a": np.float32, "b": np.int8}
PARTS = [{"a": np.arange(3), "b": np.ones(2)}, {"a": np.arange(2), "b": np.zeros(1)}]


def test_parts_are_joined_in_their_order(tmp_path: Path) -> None:
    write_arrays(tmp_path / "new", KINDS, PARTS, "salt")
    assert mapped(tmp_path / "new" / "a", np.float32).tolist() == [0, 1, 2, 0, 1]
    assert mapped(tmp_path / "new" / "b", np.int8).tolist() == [1, 1, 0]


def test_the_digest_is_of_content_and_salt(tmp_path: Path) -> None:
    digests = [write_arrays(tmp_path / str(i), KINDS, parts, salt) for i, (parts, salt) in enumerate(
        [(PARTS, "x"), (PARTS, "x"), (PARTS[::-1], "x"), (PARTS, "y")]
    )]  # fmt: skip
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_nothing_is_mapped_as_nothing(tmp_path: Path) -> None:
    write_arrays(tmp_path, KINDS, [], "salt")
    assert len(mapped(tmp_path / "a", np.float32)) == 0


def test_a_folder_that_is_written_to_has_no_index_until_it_says_so(tmp_path: Path) -> None:
    write_index(tmp_path, {"digest": "old"})
    with pytest.raises(KeyError):
        write_arrays(tmp_path, KINDS, [{"a": np.arange(3)}], "salt")
    assert read_index(tmp_path) == {}


@pytest.mark.parametrize("content", ["", "{", "[]", "7"])
def test_a_damaged_index_says_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "index.json").write_text(content)
    assert read_index(tmp_path) == {}


def test_a_file_is_another_one_when_it_changes(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    before = identity_of([path])
    assert identity_of([path]) == before
    path.write_text("other")
    assert identity_of([path]) != before
    with pytest.raises(FileNotFoundError, match=r"no file .*absent"):
        identity_of([tmp_path / "absent"])


@pytest.mark.parametrize(("n_events", "n_kept"), [(5, 5), (5, 2)])
def test_files_with_all_events_are_read_also_when_a_filter_has_scored_them(
    n_events: int, n_kept: int, tmp_path: Path
) -> None:
    path = scored(tmp_path / "events", n_events, n_kept)
    assert [len(batch) for _, batch in event_batches([path])] == [5]


def test_events_that_a_filter_has_chosen_are_refused(tmp_path: Path) -> None:
    path = scored(tmp_path / "events", 40, 5)
    with pytest.raises(BadEvent, match=r"events holds what a filter has chosen \(5 of 40 events kept\).*from before"):
        list(event_batches([path]))


def scored(path: Path, n_events: int, n_kept: int) -> Path:
    """Five events, and a history of a filter."""
    step = {"step": "filter", "n_events": n_events, "n_kept": n_kept}
    with EventWriter(path, {"provenance": [{"step": "generate"}, step]}) as writer:
        writer.write(decay_trees(5))
    return path
