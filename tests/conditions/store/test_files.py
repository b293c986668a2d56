"""The payload folder: what is verified, and what is left when the disk is full or a process dies."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from conditions.errors import BadSource, PayloadCorrupt, PayloadLost, StoreBusy, StoreFull, StoreUnavailable
from conditions.payload import Payload
from conditions.store.files import PayloadFiles
from conditions.store.streams import StoredFile
from support.small_disk import on_small_disk


@pytest.fixture
def files(files_dir: Path) -> PayloadFiles:
    return PayloadFiles(files_dir, lock_timeout_s=0)


def payload_of(stored: StoredFile) -> Payload:
    now = datetime.now(UTC)
    return Payload("gat", 3, stored.sha256, stored.md5, stored.size_bytes, {}, now, "me")


def everything(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]


def test_bytes_lie_under_their_digest(files: PayloadFiles) -> None:
    stored = files.keep(io.BytesIO(b"abc"))
    path = files.verified_path(payload_of(stored))
    assert path.name == stored.sha256
    assert everything(files.folder) == [path]


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [(b"ab", "has 2 bytes instead of 3"), (b"abd", "has sha256 .* instead of"), (b"", "has 0 bytes instead of 3")],
)
def test_a_truncated_or_swapped_file_is_never_handed_out(files: PayloadFiles, damaged: bytes, reason: str) -> None:
    payload = payload_of(files.keep(io.BytesIO(b"abc")))
    path = files.path_of(payload.sha256)
    path.unlink()
    path.write_bytes(damaged)
    with pytest.raises(PayloadCorrupt, match=f"payload 'gat' revision 3 is corrupt: .* {reason}"):
        files.verified_path(payload)


def test_a_lost_file_is_named_and_an_upload_of_the_same_bytes_mends_it(files: PayloadFiles) -> None:
    payload = payload_of(files.keep(io.BytesIO(b"abc")))
    path = files.path_of(payload.sha256)
    path.unlink()
    with pytest.raises(PayloadLost, match="uploading the same bytes again puts it back"):
        files.verified_path(payload)
    files.keep(io.BytesIO(b"abc"))
    assert files.verified_path(payload) == path


def test_an_upload_of_the_same_bytes_mends_a_damaged_file(files: PayloadFiles) -> None:
    payload = payload_of(files.keep(io.BytesIO(b"abc")))
    files.path_of(payload.sha256).unlink()
    files.path_of(payload.sha256).write_bytes(b"xyz")
    files.keep(io.BytesIO(b"abc"))
    assert files.verified_path(payload).read_bytes() == b"abc"


class FailingStream(io.RawIOBase):
    """Gives some bytes, then fails as a network file system does."""

    def __init__(self) -> None:
        self.given = False

    def read(self, size: int = -1) -> bytes:
        if self.given:
            raise OSError(errno.EIO, "Input/output error")
        self.given = True
        return b"some"


def test_a_source_that_breaks_leaves_nothing(files: PayloadFiles) -> None:
    with pytest.raises(BadSource, match="Input/output error"):
        files.keep(FailingStream())  # type: ignore[arg-type]
    assert everything(files.folder) == []


class Interrupted(io.BytesIO):
    """Ctrl-C while bytes are read."""

    def read(self, size: int | None = -1) -> bytes:
        raise KeyboardInterrupt


def test_an_interrupted_upload_leaves_nothing(files: PayloadFiles) -> None:
    with pytest.raises(KeyboardInterrupt):
        files.keep(Interrupted())
    assert everything(files.folder) == []


FILL = """
import io, pathlib, sys
from conditions.errors import StoreFull
from conditions.store import open_store
folder = pathlib.Path(sys.argv[2])
with open_store(sys.argv[1], folder, user="tester") as store:
    kept = store.upload("small", io.BytesIO(b"x" * 1000))
    try:
        store.upload("large", io.BytesIO(b"y" * 4_000_000))
    except StoreFull as error:
        print(error, flush=True)
    assert [payload.name for payload in store.list_payloads()] == ["small"]
    assert store.upload("after", io.BytesIO(b"z" * 100_000)).revision == 1
    report = store.check()
    assert report.ok and report.payload_count == 2, report
"""


def test_a_full_disk_is_named_and_nothing_is_left(store_url: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    script = [sys.executable, "-c", FILL, store_url, str(disk)]
    done = subprocess.run([*on_small_disk(disk), *script], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"no space left in {disk} after " in done.stdout
    assert "free some space and do it again" in done.stdout


def test_a_disk_full_only_when_flushed_leaves_nothing(files: PayloadFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_handle: int) -> None:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(StoreFull, match="after 3 bytes") as caught:
        files.keep(io.BytesIO(b"abc"))
    assert caught.value.size_bytes == 3
    assert everything(files.folder) == []


def test_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    files = PayloadFiles(tmp_path / "file")
    with pytest.raises(StoreUnavailable, match="file cannot be used"), files.uploading():
        pass
    with pytest.raises(StoreUnavailable, match="file cannot be used"):
        files.keep(io.BytesIO(b"abc"))


def test_uploads_go_side_by_side_and_a_check_waits_for_them(files: PayloadFiles) -> None:
    with (
        files.uploading(),
        files.uploading(),
        pytest.raises(StoreBusy, match="uploads are under way"),
        files.checking(),
    ):
        pass
    with files.checking(), pytest.raises(StoreBusy, match="being checked"), files.uploading():
        pass
    with files.checking():
        pass


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child calls nothing that another thread holds
def test_a_child_forked_meanwhile_does_not_keep_the_lock(files: PayloadFiles) -> None:
    reader, writer = os.pipe()
    with files.uploading():
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
    try:
        with files.checking():
            pass
    finally:
        os.close(writer)
        os.close(reader)
        os.waitpid(child, 0)
