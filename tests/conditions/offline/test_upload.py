"""From a list of tried-out payloads to a batch that does the same in a tag."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from conditions.errors import BadLines, WrongChecksum
from conditions.iov import Run
from conditions.offline.testing import TestingPayloads
from conditions.offline.upload import read_upload
from conditions.store.session import Store


def database(folder: Path, *lines: str, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (folder / name).write_text(content)
    path = folder / "database.txt"
    path.write_text("\n".join(lines))
    return path


FILES = {"dbstore_gain_rev_1.root": "one", "dbstore_gain_rev_2.root": "two", "dbstore_gat_rev_7.root": "gat"}


def test_several_revisions_of_one_name_go_to_their_own_runs(embedded: Store, tmp_path: Path) -> None:
    lines = ("dbstore/gain 2 0,0,4,-1", "dbstore/gain 1 5,0,-1,-1", "dbstore/gat 7 0,0,-1,-1")
    path = database(tmp_path, *lines, files=FILES)
    result = embedded.submit(read_upload(path).batch("mc16", create=True, description="tried out"))
    assert result.n_added == 3
    assert [(payload.name, payload.revision) for payload in result.payloads] == [("gain", 1), ("gain", 2), ("gat", 1)]
    tried = TestingPayloads(path)
    for run in (Run(0, 0), Run(4, 9), Run(5, 0), Run(9, 9)):
        found = embedded.resolve("mc16", run, allow_open=True)
        assert {name: won.payload.sha256 for name, won in found.items()} == {
            name: won.payload.sha256 for name, won in tried.resolve(run).items()
        }
    again = embedded.submit(read_upload(path).batch("mc16"))
    assert (again.n_added, [payload.revision for payload in again.payloads]) == (0, [1, 2, 1])


def test_where_lines_overlap_the_later_one_wins_in_the_tag_too(embedded: Store, tmp_path: Path) -> None:
    lines = ("dbstore/gain 2 5,0,5,-1", "dbstore/gain 1 0,0,-1,-1", "dbstore/gain 2 7,0,7,-1")
    path = database(tmp_path, *lines, files=FILES)
    upload = read_upload(path)
    assert {name: str(runs) for name, runs in upload.overlaps().items()} == {"gain": "IovSet((5,0,5,-1) + (7,0,7,-1))"}
    embedded.submit(upload.batch("mc16", create=True))
    last = embedded.resolve("mc16", Run(7, 3), allow_open=True)["gain"].payload
    assert last.md5 == hashlib.md5(b"two", usedforsecurity=False).hexdigest()


def test_of_the_same_interval_the_last_line_counts(tmp_path: Path) -> None:
    lines = (
        "dbstore/gain 1 0,0,-1,-1",
        "dbstore/gain 2 0,0,-1,-1",
        "dbstore/gat 7 0,0,-1,-1",
        "dbstore/gain 1 1,0,1,-1",
    )
    upload = read_upload(database(tmp_path, *lines, files=FILES))
    assert [(line.number, line.revision) for line in upload.lines] == [(2, "2"), (3, "7"), (4, "1")]
    assert upload.n_replaced == 1
    batch = upload.batch("mc16")
    assert [(payload.name, str(payload.source)[-6:]) for payload in batch.payloads] == [
        ("gain", "2.root"),
        ("gat", "7.root"),
        ("gain", "1.root"),
    ]


def test_files_of_the_same_bytes_are_one_payload(embedded: Store, tmp_path: Path) -> None:
    files = FILES | {"dbstore_gain_rev_2.root": "one"}
    path = database(tmp_path, "dbstore/gain 1 0,0,4,-1", "dbstore/gain 2 5,0,-1,-1", files=files)
    result = embedded.submit(read_upload(path).batch("mc16", create=True))
    assert [payload.revision for payload in result.payloads] == [1]
    assert [str(entry.iov) for entry in embedded.list_iovs("mc16")] == ["0,0,4,-1", "5,0,-1,-1"]


def test_all_errors_come_together_in_order_of_lines(tmp_path: Path) -> None:
    md5 = hashlib.md5(b"gat", usedforsecurity=False).hexdigest()
    lines = (
        "dbstore/gat abcdef 0,0,-1,-1",
        "dbstore/gain 1 nonsense",
        f"dbstore/gat {md5[:8]} 0,0,-1,-1",
        "dbstore/gain 9 0,0,-1,-1",
        "dbstore/gain 1 0,0,-1,-1",
    )
    files = FILES | {"dbstore_gat_rev_abcdef.root": "not that", f"dbstore_gat_rev_{md5[:8]}.root": "gat"}
    path = database(tmp_path, *lines, files=files)
    with pytest.raises(BadLines) as caught:
        read_upload(path)
    assert [error.split(" ")[0] for error in caught.value.errors] == [f"{path}:{number}" for number in (1, 2, 4)]
    assert "does not begin abcdef" in caught.value.errors[0]


def test_an_empty_list_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BadLines, match="there is no payload in the file"):
        read_upload(database(tmp_path, "# nothing", files={}))


def test_a_file_that_changes_between_reading_and_upload_is_refused(embedded: Store, tmp_path: Path) -> None:
    upload = read_upload(database(tmp_path, "dbstore/gain 1 0,0,-1,-1", files=FILES))
    (tmp_path / "dbstore_gain_rev_1.root").write_text("other")
    with pytest.raises(WrongChecksum):
        embedded.submit(upload.batch("mc16", create=True))
    assert embedded.list_payloads() == []
    assert embedded.find_tag("mc16") is None
