"""Uploads: revisions, dedupe by content, and many at once."""

from __future__ import annotations

import hashlib
import io
import threading
from pathlib import Path

import pytest
from sqlalchemy import text

from conditions.errors import BadMetadata, BadName, BadSource, PayloadNotFound
from conditions.iov import IntervalOfValidity
from conditions.store.session import Store, open_store


def test_an_upload_says_what_was_kept(store: Store, tmp_path: Path) -> None:
    source = tmp_path / "trained.pth"
    source.write_bytes(b"weights" * 300_000)  # more than one chunk
    payload = store.upload("GATGAPgen.pth", source, metadata={"auc": 0.9, "parents": [1, None]})
    assert (payload.name, payload.revision, payload.created_by) == ("GATGAPgen.pth", 1, "tester")
    assert payload.sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert payload.md5 == hashlib.md5(source.read_bytes(), usedforsecurity=False).hexdigest()
    assert payload.size_bytes == source.stat().st_size
    assert payload.metadata == {"auc": 0.9, "parents": [1, None]}
    assert store.get_payload("GATGAPgen.pth") == payload == store.get_payload("GATGAPgen.pth", 1)
    path = store.payload_path(payload)
    assert path.read_bytes() == source.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o444
    store.verify(payload)


def test_an_empty_file_is_a_payload(store: Store) -> None:
    payload = store.upload("empty", io.BytesIO())
    assert payload.size_bytes == 0
    assert store.payload_path(payload).read_bytes() == b""


def test_revisions_grow_and_the_same_bytes_again_give_the_first(store: Store) -> None:
    first = store.upload("gat", io.BytesIO(b"1"), metadata={"auc": 0.8})
    second = store.upload("gat", io.BytesIO(b"2"))
    assert (first.revision, second.revision) == (1, 2)
    assert store.upload("gat", io.BytesIO(b"1"), metadata={"auc": 0.1}) == first
    assert store.upload("gat", io.BytesIO(b"3")).revision == 3
    assert [payload.revision for payload in store.list_payloads()] == [1, 2, 3]


def test_the_same_bytes_under_another_name_share_the_file(store: Store, files_dir: Path) -> None:
    one, two = (store.upload(name, io.BytesIO(b"same")) for name in ("a", "b"))
    assert (one.revision, two.revision) == (1, 1)
    assert store.payload_path(one) == store.payload_path(two)
    assert len(sorted(files_dir.glob("??/*"))) == 1


def test_bad_input_keeps_nothing(store: Store, files_dir: Path, tmp_path: Path) -> None:
    with pytest.raises(BadName):
        store.upload("../gat", io.BytesIO(b"1"))
    with pytest.raises(BadMetadata):
        store.upload("gat", io.BytesIO(b"1"), metadata={"auc": float("nan")})
    with pytest.raises(BadSource, match="No such file"):
        store.upload("gat", tmp_path / "absent")
    with pytest.raises(BadSource, match="Is a directory"):
        store.upload("gat", tmp_path)
    with pytest.raises(BadSource, match="not bytes"):
        store.upload("gat", io.StringIO("text"))  # type: ignore[arg-type]
    assert store.list_payloads() == []
    assert sorted(files_dir.glob("??/*")) == []
    assert store.check().ok


def test_unknown_payloads_are_named_with_those_near(store: Store) -> None:
    with pytest.raises(PayloadNotFound, match=r"no payload 'gat'$"):
        store.get_payload("gat")
    store.upload("gat", io.BytesIO(b"1"))
    with pytest.raises(PayloadNotFound, match=r"no payload 'gad' .did you mean 'gat'"):
        store.get_payload("gad")
    with pytest.raises(PayloadNotFound, match="no revision 7 of payload 'gat'; the latest is 1"):
        store.get_payload("gat", 7)


def test_only_two_characters_of_a_pattern_are_special(store: Store) -> None:
    for name in ("gat[1].pth", "gat1.pth", "gat%.pth", "gat_.pth"):
        store.upload(name, io.BytesIO(name.encode()))
    for pattern, found in {"gat[1].pth": ["gat[1].pth"], "gat%*": ["gat%.pth"], "gat_.pth": ["gat_.pth"]}.items():
        assert [payload.name for payload in store.list_payloads(pattern=pattern)] == found


def test_lists_are_filtered_by_pattern_and_tag(store: Store) -> None:
    for name in ("gat.pth", "gat.onnx", "cnn.onnx"):
        store.upload(name, io.BytesIO(name.encode()))
    store.create_tag("mc16")
    entry = store.add_iov("mc16", "gat.onnx", 1, IntervalOfValidity.always())
    assert [payload.name for payload in store.list_payloads(pattern="*.onnx")] == ["cnn.onnx", "gat.onnx"]
    assert store.list_payloads(tag="mc16") == [entry.payload]
    assert store.list_payloads(tag="mc16", pattern="cnn*") == []


def test_uploads_of_many_threads_lose_no_revision(store: Store) -> None:
    together, kept = threading.Barrier(8), []

    def upload(number: int) -> None:
        together.wait()
        contents = [f"{number % 4} {step}".encode() for step in range(4)]  # each comes twice
        kept.extend([store.upload("gat", io.BytesIO(content)) for content in contents])

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(kept) == 32
    assert [payload.revision for payload in store.list_payloads()] == list(range(1, 17))
    assert {payload.sha256: payload.revision for payload in kept}.keys() == {p.sha256 for p in store.list_payloads()}
    assert store.check().ok


def test_an_upload_is_remembered_once(store: Store) -> None:
    for _ in range(2):
        store.upload("gat", io.BytesIO(b"1"), metadata={"auc": 1})
    with store._reader.connect() as connection:
        rows = connection.execute(text("SELECT who, action, subject FROM audit")).all()
    assert [tuple(row) for row in rows] == [("tester", "upload", "gat")]


def test_two_stores_on_one_database_see_each_other(store: Store, store_url: str, files_dir: Path) -> None:
    with open_store(store_url, files_dir, user="other") as other:
        payload = other.upload("gat", io.BytesIO(b"1"))
        assert payload.created_by == "other"
        assert store.upload("gat", io.BytesIO(b"1")) == payload
        assert store.upload("gat", io.BytesIO(b"2")).revision == 2
