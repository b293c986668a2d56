"""A dump and a copy of the bytes are a backup: what is restored from them has the same digests, and goes on."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from conditions.batch import Batch, NewIov, NewPayload
from conditions.iov import IntervalOfValidity
from conditions.store.schema import upgrade
from conditions.store.session import Store, open_store
from conditions.tags import TagState
from support.bucket import BUCKET, BucketServer, new_prefix
from support.postgres import create_database, drop_database, find_binaries, session_cluster, session_template


def fill(store: Store, folder: Path) -> dict[str, str]:
    """A published and an open tag with two revisions; the digest of each by name."""
    for text in ("one", "two"):
        (folder / text).write_text(text)
    first = NewPayload("gain.txt", folder / "one"), NewIov("gain.txt", IntervalOfValidity.parse("0,0,4,-1"))
    store.submit(Batch("mc16", (first[0],), (first[1],), create=True, state=TagState.PUBLISHED))
    store.clone_tag("mc16", "mc17")
    second = NewPayload("gain.txt", folder / "two"), NewIov("gain.txt", IntervalOfValidity.parse("5,0,-1,-1"))
    store.submit(Batch("mc17", (second[0],), (second[1],)))
    return {name: store.tag_digest(name) for name in ("mc16", "mc17")}


def run(program: str, *words: str) -> None:
    done = subprocess.run([find_binaries() / program, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def plain(url: str) -> str:
    """A URL as the database's own programs read it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def check_restored(store: Store, digests: dict[str, str], folder: Path) -> None:
    assert {name: store.tag_digest(name) for name in digests} == digests
    assert store.verify_tag("mc16").ok
    report = store.check()
    assert (report.missing, report.corrupt) == ((), ())
    (folder / "three").write_text("three")  # and it goes on: the place of the bytes is this database's
    assert store.upload("gain.txt", folder / "three").revision == 3


def test_a_database_and_a_bucket_come_back_from_a_dump_and_a_copy_with_the_same_digests(
    pytestconfig: pytest.Config, bucket_server: BucketServer, tmp_path: Path
) -> None:
    admin = session_cluster(pytestconfig)
    before, after = create_database(admin, session_template(pytestconfig, upgrade)), create_database(admin)
    old, new = new_prefix(), new_prefix()
    try:
        with open_store(before, old, user="ada") as store:
            digests = fill(store, tmp_path)
        run("pg_dump", "--format=custom", f"--file={tmp_path / 'conditions.dump'}", plain(before))
        with open_store(before, old, user="ada") as store:  # later than the dump: its bytes are in the copy only
            (tmp_path / "late").write_text("late")
            store.upload("late.txt", tmp_path / "late")
        copy_objects(bucket_server, old, new)
        run("pg_restore", "--no-owner", f"--dbname={plain(after)}", str(tmp_path / "conditions.dump"))
        with open_store(after, new, user="ada") as store:
            check_restored(store, digests, tmp_path)
    finally:
        drop_database(before)
        drop_database(after)


def test_an_embedded_store_comes_back_from_a_copy_of_its_folder(tmp_path: Path) -> None:
    with open_store(tmp_path / "old" / "conditions.sqlite", user="ada") as store:
        digests = fill(store, tmp_path)
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    with open_store(tmp_path / "new" / "conditions.sqlite", user="ada") as store:
        check_restored(store, digests, tmp_path)


def test_a_copy_that_lacks_bytes_is_told_by_name(tmp_path: Path) -> None:
    with open_store(tmp_path / "old" / "conditions.sqlite", user="ada") as store:
        fill(store, tmp_path)
        lost = store.get_payload("gain.txt", 1)
    shutil.copytree(tmp_path / "old", tmp_path / "new")
    (tmp_path / "new" / "payloads" / lost.sha256[:2] / lost.sha256).unlink()
    with open_store(tmp_path / "new" / "conditions.sqlite", user="ada") as store:
        verification = store.verify_tag("mc16")
        assert not verification.ok
        assert ["'gain.txt' revision 1" in fault for fault in verification.faults] == [True]
        assert [payload.revision for payload in store.check().missing] == [1]


def copy_objects(server: BucketServer, old: str, new: str) -> None:
    """Every object of one prefix under another, as a backup program would."""
    client = server.client()
    source, target = (url.removeprefix(f"s3://{BUCKET}/") for url in (old, new))
    try:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=source):
            for found in page.get("Contents", []):
                key = target + found["Key"].removeprefix(source)
                client.put_object(
                    Bucket=BUCKET, Key=key, Body=client.get_object(Bucket=BUCKET, Key=found["Key"])["Body"].read()
                )
    finally:
        client.close()
