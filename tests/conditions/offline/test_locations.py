"""Payload folders: two layouts, and only files with the right bytes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conditions.errors import BadName, NotSaved, PayloadCorrupt, PayloadNotHere
from conditions.offline.locations import Layout, PayloadFolder, find_payload
from conditions.payload import Payload

BYTES = b"weights of a network"
MD5, SHA256 = hashlib.md5(BYTES, usedforsecurity=False).hexdigest(), hashlib.sha256(BYTES).hexdigest()
NOW = datetime(2026, 1, 1, tzinfo=UTC)
GAT = Payload("GATGAPgen.pth", 12, SHA256, MD5, len(BYTES), {}, NOW, "me", 4)
BARE = replace(GAT, sha256="", size_bytes=-1)  # as a snapshot knows it


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(BYTES)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> PayloadFolder:
    return PayloadFolder(tmp_path / "payloads")


def test_names_are_those_that_others_look_for(folder: PayloadFolder, source: Path) -> None:
    assert folder.keep(GAT, source) == folder.path / MD5[:2] / "GATGAPgen.pth_r12.root"
    assert folder.keep(GAT, source, Layout.FLAT) == folder.path / "dbstore_GATGAPgen.pth_rev_12.root"


@pytest.mark.parametrize("payload", [GAT, BARE], ids=["all known", "md5 only"])
@pytest.mark.parametrize("layout", list(Layout))
def test_a_payload_is_found_in_either_layout(
    folder: PayloadFolder, source: Path, layout: Layout, payload: Payload
) -> None:
    assert folder.find(payload) is None
    kept = folder.keep(payload, source, layout)
    assert folder.find(payload) == kept
    assert kept.read_bytes() == BYTES
    assert folder.has(payload, layout)
    assert not folder.has(payload, next(other for other in Layout if other is not layout))


@pytest.mark.parametrize("payload", [GAT, BARE], ids=["all known", "md5 only"])
@pytest.mark.parametrize("wrong", [b"weights of a netwark", b"", BYTES + b"\n"])
def test_other_bytes_are_skipped_and_that_is_said(
    folder: PayloadFolder, source: Path, payload: Payload, wrong: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    hashed, flat = (folder.keep(payload, source, layout) for layout in Layout)
    hashed.write_bytes(wrong)
    assert folder.find(payload) == flat
    flat.write_bytes(wrong)
    assert folder.find(payload) is None
    assert caplog.text.count("is skipped") == 3
    assert not folder.has(payload)


def test_the_first_folder_with_the_right_bytes_serves(tmp_path: Path, source: Path) -> None:
    folders = [PayloadFolder(tmp_path / name) for name in "abc"]
    for folder in folders[1:]:
        folder.keep(GAT, source)
    assert find_payload(folders, GAT).is_relative_to(tmp_path / "b")
    with pytest.raises(PayloadNotHere, match=f"md5 {MD5}: none of {tmp_path}/a has it"):
        find_payload(folders[:1], GAT)
    with pytest.raises(PayloadNotHere, match="no payload folder is given"):
        find_payload([], GAT)


def test_damaged_files_are_written_anew(folder: PayloadFolder, source: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = folder.keep(GAT, source)
    kept.write_bytes(b"damaged")
    assert folder.keep(GAT, source) == kept
    assert kept.read_bytes() == BYTES
    assert "written anew" in caplog.text


def test_wrong_bytes_are_never_given_a_name(folder: PayloadFolder, source: Path) -> None:
    source.write_bytes(b"other")
    with pytest.raises(PayloadCorrupt, match="has 5 bytes instead of 20"):
        folder.keep(GAT, source)
    source.unlink()
    with pytest.raises(PayloadCorrupt, match="No such file"):
        folder.keep(GAT, source)
    assert not [path for path in folder.path.rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_one_says_so(tmp_path: Path, source: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    with pytest.raises(NotSaved, match=r"File exists|Not a directory"):
        PayloadFolder(taken).keep(GAT, source)
    assert PayloadFolder(taken).find(GAT) is None


def test_a_name_cannot_lead_out_of_the_folder(folder: PayloadFolder, source: Path) -> None:
    with pytest.raises(BadName):
        folder.find(replace(GAT, name="../../etc/passwd"))
    with pytest.raises(BadName):
        folder.keep(replace(GAT, name="a/b"), source)
