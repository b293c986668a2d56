"""Payload bytes in a real S3 server: kept, verified, lost, damaged, cleaned up, and the server gone for a while."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conditions.errors import (
    BadInputError,
    BadSource,
    FilesNotOurs,
    PayloadCorrupt,
    PayloadLost,
    StoreBusy,
    StoreUnavailable,
    WrongChecksum,
)
from conditions.payload import Payload
from conditions.store import Store, bucket, lease, objects, open_store, s3
from conditions.store.bucket import BucketFiles
from support.bucket import BUCKET, BucketServer, new_prefix
from support.processes import run_together, running
from support.small_disk import SIZE_BYTES, on_small_disk
from support.stores import ALWAYS, publish, tag_with, upload_text

BYTES = b"weights" * 1000


@pytest.fixture
def files(bucket_url: str) -> BucketFiles:
    return BucketFiles(bucket_url, lock_timeout_s=0.5)


@pytest.fixture
def store(sqlite_url: str, bucket_url: str) -> Iterator[Store]:
    with open_store(sqlite_url, bucket_url, user="tester") as opened:
        yield opened


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket that is away is given up at once."""
    monkeypatch.setattr(s3, "ATTEMPTS", 1)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that no row speaks of is an orphan, however young."""
    monkeypatch.setattr(bucket, "ORPHAN_AGE_S", -1.0)


def keys(server: BucketServer, url: str) -> list[str]:
    """What lies under the prefix."""
    prefix = url.removeprefix(f"s3://{BUCKET}/") + "/"
    found = server.client().list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
    return sorted(each["Key"].removeprefix(prefix) for each in found)


def write(server: BucketServer, url: str, key: str, body: bytes) -> None:
    server.client().put_object(Bucket=BUCKET, Key=f"{url.removeprefix(f's3://{BUCKET}/')}/{key}", Body=body)


def delete(server: BucketServer, url: str, key: str) -> None:
    server.client().delete_object(Bucket=BUCKET, Key=f"{url.removeprefix(f's3://{BUCKET}/')}/{key}")


def key_of(body: bytes) -> str:
    digest = hashlib.sha256(body).hexdigest()
    return f"{digest[:2]}/{digest}"


def test_bytes_lie_under_their_digest_and_come_back(store: Store, bucket_server: BucketServer, bucket_url: str) -> None:
    for body in (BYTES, b"", os.urandom(3 << 20)):
        payload = store.upload("GATGAPgen.pth", io.BytesIO(body))
        path = store.payload_path(payload)
        assert path.read_bytes() == body
        assert not path.stat().st_mode & 0o222
        store.verify(payload)
        assert key_of(body) in keys(bucket_server, bucket_url)
    assert "store-id" in keys(bucket_server, bucket_url)
    assert [key for key in keys(bucket_server, bucket_url) if key.startswith("incoming")] == []
    assert store.check().ok


def test_a_large_file_is_put_in_parts(
    store: Store, bucket_server: BucketServer, bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "MULTIPART_FROM_BYTES", 6 << 20)
    monkeypatch.setattr(objects, "PART_BYTES", 5 << 20)
    body = os.urandom(11 << 20)
    payload = store.upload("big.bin", io.BytesIO(body))
    assert store.payload_path(payload).read_bytes() == body
    store.verify(payload)
    found = bucket_server.client().head_object(
        Bucket=BUCKET, Key=f"{bucket_url.removeprefix(f's3://{BUCKET}/')}/{key_of(body)}", ChecksumMode="ENABLED"
    )
    assert found["ChecksumSHA256"].endswith("-3")


def test_bytes_that_arrive_as_others_are_refused(files: BucketFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    spooled = objects.spool(io.BytesIO(BYTES))
    other = objects.Spooled(io.BytesIO(BYTES[:-1] + b"x"), spooled.stored)
    with pytest.raises(StoreUnavailable, match="BadDigest"):
        objects.put(files.bucket, key_of(BYTES), other)
    assert list(files.digests()) == []
    spooled.stream.close()
    # A server that looks at no checksum and keeps none: what it has then is read back.
    without = objects.Spooled(io.BytesIO(BYTES[:-1] + b"x"), spooled.stored)
    call = s3.Bucket.call

    def careless(self: s3.Bucket, operation: str, key: str | None = None, accept: Any = (), **fields: Any) -> Any:
        fields.pop("ChecksumSHA256", None)
        return call(self, operation, key, accept, **fields)

    monkeypatch.setattr(s3.Bucket, "call", careless)
    with pytest.raises(StoreUnavailable, match="other bytes than were put"):
        objects.put(files.bucket, key_of(BYTES), without)
    objects.put(files.bucket, key_of(BYTES), objects.spool(io.BytesIO(BYTES)))


def test_many_are_kept_at_once_and_a_refused_one_ends_it(files: BucketFiles, tmp_path: Path) -> None:
    bodies = [f"payload {n}".encode() * 1000 for n in range(40)]
    (tmp_path / "one").write_bytes(bodies[0])
    sources = [tmp_path / "one", *map(io.BytesIO, bodies[1:])]
    stored = files.keep_all(sources)
    assert [each.sha256 for each in stored] == [hashlib.sha256(body).hexdigest() for body in bodies]
    assert {digest for digest, _ in files.digests()} == {each.sha256 for each in stored}

    def refuse(position: int, _: object) -> None:
        if position == 3:
            raise WrongChecksum("x", "a", "b")

    with pytest.raises(WrongChecksum):
        files.keep_all((io.BytesIO(f"other {n}".encode() * 400_000) for n in range(8)), refuse)
    assert len(list(files.digests())) <= 43
    with pytest.raises(BadSource):
        files.keep_all([tmp_path / "nowhere"])


def test_a_payload_is_fetched_once_and_then_taken_from_the_cache(
    store: Store, bucket_server: BucketServer, bucket_url: str
) -> None:
    payload = upload_text(store)
    path = store.payload_path(payload)
    delete(bucket_server, bucket_url, key_of(b"1.5"))
    assert store.payload_path(payload) == path
    with pytest.raises(PayloadLost):
        store.verify(payload)  # what is kept is asked, not the copy


def test_a_lost_object_is_named_and_an_upload_of_the_same_bytes_mends_it(
    store: Store, bucket_server: BucketServer, bucket_url: str
) -> None:
    payload = upload_text(store)
    delete(bucket_server, bucket_url, key_of(b"1.5"))
    with pytest.raises(PayloadLost, match=rf"{bucket_url}/{key_of(b'1.5')}"):
        store.payload_path(payload)
    with pytest.raises(PayloadLost):
        store.open_payload(payload)
    assert store.check().missing == (payload,)
    upload_text(store)
    assert store.payload_path(payload).read_bytes() == b"1.5"


@pytest.mark.parametrize("damaged", [b"1.6", b"1", b"", b"1.5 and more"])
def test_a_damaged_object_is_never_handed_out(
    store: Store, bucket_server: BucketServer, bucket_url: str, damaged: bytes
) -> None:
    payload = upload_text(store)
    write(bucket_server, bucket_url, key_of(b"1.5"), damaged)
    with pytest.raises(PayloadCorrupt, match="instead of"):
        store.payload_path(payload)
    with pytest.raises(PayloadCorrupt, match=rf"{bucket_url}/{key_of(b'1.5')} has "):
        store.verify(payload)
    assert store.check().corrupt == (payload,)
    upload_text(store)
    assert store.payload_path(payload).read_bytes() == b"1.5"
    assert store.check().ok


def test_a_part_is_streamed_and_a_url_gives_the_bytes_for_a_while(store: Store) -> None:
    payload = store.upload("a", io.BytesIO(BYTES))
    with store.open_payload(payload) as stream:
        assert stream.read() == BYTES
    with store.open_payload(payload, 7, 20) as stream:
        assert stream.read() == BYTES[7:21]
    url = store.payload_url(payload, 60)
    assert url is not None
    with urllib.request.urlopen(url) as answer:  # noqa: S310
        assert answer.read() == BYTES
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url.replace("Signature=", "Signature=0"))  # noqa: S310
    refused.value.close()


def test_a_folder_has_no_url_and_streams_too(sqlite_url: str, tmp_path: Path) -> None:
    with open_store(sqlite_url, tmp_path / "payloads") as store:
        payload = store.upload("a", io.BytesIO(BYTES))
        assert store.payload_url(payload) is None
        with store.open_payload(payload, 7) as stream:
            assert stream.read(3) == BYTES[7:10]


def test_a_bucket_that_is_away_is_said_and_serves_again_by_itself(
    store: Store, bucket_server: BucketServer, quick: None
) -> None:
    kept = upload_text(store)
    fetched = store.payload_path(kept)
    other = upload_text(store, "other", "other")
    bucket_server.stop_front()
    try:
        with pytest.raises(StoreUnavailable, match=f"s3://{BUCKET}/.*cannot be used: .*AWS_ENDPOINT_URL"):
            upload_text(store, "more", "more")
        with pytest.raises(StoreUnavailable):
            store.payload_path(other)
        with pytest.raises(StoreUnavailable):
            store.check()
        assert store.payload_path(kept) == fetched  # what the machine has, it has
        assert [payload.name for payload in store.list_payloads()] == ["gain.txt", "other"]
        assert tag_with(store, "t") == []
    finally:
        assert bucket_server.start_front()
    assert store.payload_path(other).read_text() == "other"
    assert upload_text(store, "more", "more").revision == 1
    assert store.check().ok


def test_an_upload_waits_for_a_bucket_that_is_away_for_a_moment(
    store: Store, bucket_server: BucketServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "ATTEMPTS", 9)  # pauses are drawn at random
    bucket_server.stop_front()
    uploads: list[Payload] = []
    thread = threading.Thread(target=lambda: uploads.append(upload_text(store, "patient", "patient")))
    thread.start()
    time.sleep(0.3)
    assert bucket_server.start_front()
    thread.join()
    assert store.payload_path(uploads[0]).read_text() == "patient"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "AWS_ACCESS_KEY_ID"),
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "credentials"),
        ({"AWS_ENDPOINT_URL": "no url"}, "no url"),
    ],
)
def test_wrong_settings_are_said(
    sqlite_url: str, bucket_url: str, quick: None, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], said: str
) -> None:
    for name, value in changes.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    with open_store(sqlite_url, bucket_url) as store, pytest.raises(StoreUnavailable, match=said):
        upload_text(store)


def test_a_bucket_that_is_not_there_is_said(sqlite_url: str, bucket_url: str) -> None:
    there_is_none = pytest.raises(StoreUnavailable, match="there is no bucket 'no-such-bucket'")
    with open_store(sqlite_url, "s3://no-such-bucket/x") as store, there_is_none:
        upload_text(store)
    with pytest.raises(BadInputError, match="names no bucket"):
        open_store(sqlite_url, "s3:///x")


def test_the_environment_and_the_prefix_name_the_place(
    sqlite_url: str, bucket_server: BucketServer, bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDITIONS_URL", sqlite_url)
    monkeypatch.setenv("CONDITIONS_FILES", f"{bucket_url}/inner/")
    with open_store() as store:
        upload_text(store)
    assert f"inner/{key_of(b'1.5')}" in keys(bucket_server, bucket_url)


def test_a_bucket_belongs_to_one_store(store: Store, other_url_sqlite: str, bucket_url: str) -> None:
    payload = upload_text(store)
    with open_store(other_url_sqlite, bucket_url) as other:
        with pytest.raises(FilesNotOurs, match="CONDITIONS_FILES"):
            upload_text(other, "mine", "mine")
        with pytest.raises(FilesNotOurs):
            other.check(repair=True)
    assert store.payload_path(payload).read_bytes() == b"1.5"


@pytest.fixture
def other_url_sqlite(tmp_path: Path) -> str:
    """A database of its own, which made itself."""
    return f"sqlite:///{tmp_path}/other.sqlite"


def test_the_first_who_says_whose_a_bucket_is_has_said_it(files: BucketFiles) -> None:
    assert files.read_owner() is None
    for store_id in ("a" * 32, "b" * 32):
        files.write_owner(store_id)
    assert files.read_owner() == "a" * 32


def claim(url: str, bucket_url: str, name: str) -> str:
    """Upload something to a bucket that is nobody's yet."""
    with open_store(url, bucket_url, user="tester") as store:
        upload_text(store, name, name)
        return name


def test_of_two_stores_that_claim_a_bucket_at_once_one_wins(tmp_path: Path, bucket_url: str) -> None:
    urls = [f"sqlite:///{tmp_path}/{n}.sqlite" for n in range(4)]
    for url in urls:
        open_store(url, tmp_path).close()
    outcomes = run_together(claim, [(url, bucket_url, f"p{n}") for n, url in enumerate(urls)])
    assert sorted(outcome.error or "" for outcome in outcomes) == ["", *["FilesNotOurs"] * 3], outcomes


def upload_many(url: str, bucket_url: str, rounds: int) -> list[int]:
    with open_store(url, bucket_url, user="tester") as store:
        return [upload_text(store, f"n{n}", f"text {n}").revision for n in range(rounds)]


def test_processes_that_upload_the_same_bytes_get_the_same_revisions(
    store: Store, store_url: str, bucket_url: str
) -> None:
    outcomes = run_together(upload_many, [(store_url, bucket_url, 5)] * 4)
    assert [outcome.value for outcome in outcomes] == [[1] * 5] * 4, outcomes
    with open_store(store_url, bucket_url) as opened:
        payloads = opened.list_payloads()
        assert [payload.revision for payload in payloads] == [1] * 5
        assert opened.check().ok


def test_a_check_finds_orphans_and_a_repair_removes_them_alone(
    store: Store, bucket_server: BucketServer, bucket_url: str, impatient: None
) -> None:
    payload = upload_text(store)
    write(bucket_server, bucket_url, key_of(b"orphan"), b"orphan")
    write(bucket_server, bucket_url, "notes.txt", b"somebody's")
    found = store.check()
    assert [str(each) for each in found.orphans] == [f"{bucket_url}/{key_of(b'orphan')}"]
    assert not found.ok
    assert store.check(repair=True).ok
    assert keys(bucket_server, bucket_url) == sorted([key_of(b"1.5"), "notes.txt", "store-id"])
    assert store.payload_path(payload).read_bytes() == b"1.5"


def test_what_was_written_within_the_hour_is_no_orphan(
    store: Store, bucket_server: BucketServer, bucket_url: str
) -> None:
    upload_text(store)
    write(bucket_server, bucket_url, key_of(b"orphan"), b"orphan")
    report = store.check(repair=True)
    assert (report.orphans, report.ok) == ((), True)
    assert key_of(b"orphan") in keys(bucket_server, bucket_url)


def test_parts_of_an_upload_that_died_are_removed(
    store: Store, bucket_server: BucketServer, bucket_url: str, impatient: None
) -> None:
    upload_text(store)
    key = f"{bucket_url.removeprefix(f's3://{BUCKET}/')}/{key_of(b'x')}"
    bucket_server.client().create_multipart_upload(Bucket=BUCKET, Key=key)
    report = store.check(repair=True)
    assert [str(each).split("?")[0] for each in report.leftovers] == [f"{bucket_url}/{key_of(b'x')}"]
    assert store.check().leftovers == ()


class Blocked(io.RawIOBase):
    """A source that says when it is read, and gives its bytes when it may."""

    def __init__(self, reached: threading.Event, go_on: threading.Event) -> None:
        super().__init__()
        self.reached, self.go_on, self.given = reached, go_on, False

    def read(self, size: int = -1) -> bytes:
        if self.given:
            return b""
        self.given = True
        self.reached.set()
        assert self.go_on.wait(30)
        return b"slow"


def test_a_check_waits_for_uploads_on_other_machines_and_they_for_it(
    store: Store, sqlite_url: str, bucket_url: str, files: BucketFiles, impatient: None
) -> None:
    reached, go_on = threading.Event(), threading.Event()
    uploads: list[Payload] = []
    with open_store(sqlite_url, bucket_url, user="other machine") as other:
        source: Any = Blocked(reached, go_on)
        thread = threading.Thread(target=lambda: uploads.append(other.upload("slow", source)))
        thread.start()
        assert reached.wait(30)
        with pytest.raises(StoreBusy, match="uploads are under way"), files.checking():
            pass
        go_on.set()
        thread.join()
    with files.checking():
        with pytest.raises(StoreBusy, match="files are being checked"), files.uploading():
            pass
        with pytest.raises(StoreBusy, match="another check"), BucketFiles(bucket_url, 0.2).checking():
            pass
    assert store.check(repair=True).ok
    assert store.payload_path(uploads[0]).read_bytes() == b"slow"


def test_the_mark_of_a_process_that_died_holds_nobody_for_ever(
    files: BucketFiles, bucket_server: BucketServer, bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(bucket_server, bucket_url, "incoming/upload-dead", b"dead")
    write(bucket_server, bucket_url, ".checking", b"dead")
    with pytest.raises(StoreBusy), files.checking():
        pass
    with pytest.raises(StoreBusy), files.uploading():
        pass
    monkeypatch.setattr(lease, "LEASE_S", 0.0)
    with files.checking():
        assert [str(each) for each in files.leftovers()] == [f"{bucket_url}/incoming/upload-dead"]
    assert ".checking" not in keys(bucket_server, bucket_url)


def test_a_lease_is_renewed_and_an_upload_that_lost_it_is_refused(
    files: BucketFiles, bucket_server: BucketServer, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "LEASE_S", 1.0)
    with files.uploading():
        (held,) = files._leases()
        first = held._renewed
        deadline = time.monotonic() + 20
        while held._renewed == first:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        bucket_server.stop_front()
        try:
            while not held.is_lost:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        finally:
            assert bucket_server.start_front()
        held._ended.set()  # as if it could not be renewed again
        held._thread.join()
        held._renewed = first
        with pytest.raises(StoreUnavailable, match="do the upload again"):
            files.keep(io.BytesIO(BYTES))


def upload_slowly(url: str, bucket_url: str, ready: str) -> None:
    """An upload that says when half of it was read, and then goes on reading for ever."""

    class Endless(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            Path(ready).touch()
            time.sleep(0.01)
            return b"x" * 1024

    with open_store(url, bucket_url, user="victim") as store:
        store.upload("victim", Endless())  # type: ignore[arg-type]


def put_and_wait(url: str, bucket_url: str, ready: str) -> None:
    """An upload whose bytes are in the bucket, and whose row is not written."""
    with open_store(url, bucket_url, user="victim") as store, store._uploading() as files:
        files.keep(io.BytesIO(b"victim"))
        Path(ready).touch()
        time.sleep(60)


@pytest.mark.parametrize("victim", [upload_slowly, put_and_wait])
def test_a_process_killed_in_its_upload_leaves_a_store_that_works(
    store: Store, store_url: str, bucket_server: BucketServer, bucket_url: str, tmp_path: Path, impatient: None,
    monkeypatch: pytest.MonkeyPatch, victim: Any,
) -> None:  # fmt: skip
    ready = tmp_path / "ready"
    with open_store(store_url, bucket_url, user="tester") as opened:
        upload_text(opened)
        with running(victim, store_url, bucket_url, str(ready)) as process:
            deadline = time.monotonic() + 60
            while not ready.exists():
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.kill()
            process.join()
        assert [payload.name for payload in opened.list_payloads()] == ["gain.txt"]
        assert upload_text(opened, "next", "next").revision == 1  # nobody waits for the dead
        monkeypatch.setattr(lease, "LEASE_S", 0.0)  # as a minute later
        report = opened.check(repair=True)
        assert len(report.leftovers) == 1
        assert len(report.orphans) == (victim is put_and_wait)
        assert opened.check().ok
        assert len(keys(bucket_server, bucket_url)) == 3  # two payloads, and store-id


def test_a_source_that_breaks_leaves_nothing(store: Store, bucket_server: BucketServer, bucket_url: str) -> None:
    class Broken(io.RawIOBase):
        def read(self, size: int = -1) -> bytes:
            raise OSError("gone")

    with pytest.raises(BadSource):
        store.upload("a", Broken())  # type: ignore[arg-type]
    assert keys(bucket_server, bucket_url) == ["store-id"]


def test_a_tag_of_a_bucket_is_published_and_resolved(store: Store) -> None:
    store.create_tag("t")
    store.add_iov("t", "gain.txt", upload_text(store).revision, ALWAYS)
    assert store.verify_tag("t").faults == ()


def test_without_boto3_the_extra_is_named(sqlite_url: str, bucket_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "botocore.exceptions", None)
    with open_store(sqlite_url, bucket_url) as store, pytest.raises(StoreUnavailable, match=r"smartbkg\[s3\]"):
        upload_text(store)


def test_a_connection_that_breaks_is_gone_on_with_where_it_broke(
    files: BucketFiles, bucket_server: BucketServer
) -> None:
    body = os.urandom(24 << 20)  # more than what lies in the buffers on the way
    stored = files.keep(io.BytesIO(body))
    written = bytearray()

    class Target(io.RawIOBase):
        def write(self, chunk: Any) -> int:
            if not written:
                bucket_server.stop_front()
                assert bucket_server.start_front()
            written.extend(chunk)
            return len(chunk)

    assert objects.copy(files.bucket, key_of(body), Target())  # type: ignore[arg-type]
    assert hashlib.sha256(written).hexdigest() == stored.sha256


def test_more_marks_than_a_page_hides_no_upload(
    files: BucketFiles, bucket_server: BucketServer, bucket_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def small_pages(self: s3.Bucket, operation: str, under: str = "") -> Iterator[Any]:
        pages = self._client().get_paginator(operation)
        yield from pages.paginate(Bucket=self.name, Prefix=self.prefix + under, PaginationConfig={"PageSize": 2})

    monkeypatch.setattr(s3.Bucket, "pages", small_pages)
    for n in range(5):
        write(bucket_server, bucket_url, f"incoming/upload-{n}", b"")
    assert len(lease.live_uploads(files.bucket)) == 5


def test_a_damaged_copy_in_the_cache_is_fetched_anew(store: Store) -> None:
    payload = upload_text(store)
    path = store.payload_path(payload)
    path.chmod(0o644)
    path.write_text("1.6")
    assert store.payload_path(payload).read_text() == "1.5"


def test_a_disk_without_space_for_what_is_on_its_way_is_said(
    store: Store, sqlite_url: str, bucket_server: BucketServer, bucket_url: str, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "large").write_bytes(bytes(2 * SIZE_BYTES))
    program = [str(Path(sys.executable).parent / "conditions"), "--store", sqlite_url, "--files", bucket_url]
    done = subprocess.run(
        [*on_small_disk(disk), *program, "payload", "upload", str(tmp_path / "large")],
        env={**os.environ, "TMPDIR": str(disk)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: no space left in ")
    assert store.list_payloads() == []
    assert keys(bucket_server, bucket_url) == ["store-id"]


def upload_or_repair(url: str, bucket_url: str, who: int, rounds: int) -> int:
    """Upload some of a few texts again and again, or repair; says how often a turn was lost to the other kind."""
    bucket.ORPHAN_AGE_S = -1.0  # type: ignore[misc]
    busy = 0
    with open_store(url, bucket_url, user=f"machine {who}") as store:
        for n in range(rounds):
            try:
                if who == 0:
                    store.check(repair=True)
                else:
                    upload_text(store, f"n{who}-{n}", f"text {n}")
            except StoreBusy:
                busy += 1
    return busy


def test_repairs_on_one_machine_take_nothing_from_uploads_on_others(
    store_url: str, bucket_url: str, bucket_server: BucketServer
) -> None:
    with open_store(store_url, bucket_url, user="tester") as opened:
        upload_text(opened)
        for n in range(6):  # what died uploads left, and others upload again
            write(bucket_server, bucket_url, key_of(f"text {n}".encode()), f"text {n}".encode())
        outcomes = run_together(upload_or_repair, [(store_url, bucket_url, who, 6) for who in range(3)])
        assert [outcome.error for outcome in outcomes] == [None] * 3, outcomes
        report = opened.check()
        assert (report.missing, report.corrupt) == ((), ())
        assert report.payload_count == 13 - sum(outcome.value for outcome in outcomes[1:])


def test_a_copy_of_database_and_bucket_gives_the_same_digests(
    store_url: str, bucket_server: BucketServer, bucket_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with open_store(store_url, bucket_url, user="tester") as opened:
        tag_with(opened, "t", *(f"p{n}" for n in range(5)))
        publish(opened, "t")
        digest = opened.tag_digest("t")
    if store_url.startswith("sqlite"):
        restored = f"sqlite:///{tmp_path}/restored.sqlite"
        shutil.copyfile(store_url.removeprefix("sqlite:///"), tmp_path / "restored.sqlite")
    else:
        restored = str(request.getfixturevalue("empty_postgres_url"))
        source, target = (url.replace("postgresql+psycopg://", "postgresql://") for url in (store_url, restored))
        dump = subprocess.run(["pg_dump", "--no-owner", source], check=True, capture_output=True).stdout
        subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", target], input=dump, check=True, capture_output=True)
    elsewhere, client = new_prefix(), bucket_server.client()
    old, new = (url.removeprefix(f"s3://{BUCKET}/") for url in (bucket_url, elsewhere))
    for key in keys(bucket_server, bucket_url):
        client.copy_object(Bucket=BUCKET, Key=f"{new}/{key}", CopySource={"Bucket": BUCKET, "Key": f"{old}/{key}"})
        delete(bucket_server, bucket_url, key)
    with open_store(restored, elsewhere, user="tester") as copy:
        assert copy.tag_digest("t") == digest
        assert copy.verify_tag("t").faults == ()
        assert copy.check().ok
