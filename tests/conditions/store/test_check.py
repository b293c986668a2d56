"""Files against rows: what a crash may leave, what a repair takes away, and what it never touches."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from conditions.errors import ConditionsError, StoreBusy
from conditions.store.session import Store


def leave_orphan(store: Store, content: bytes = b"nobody speaks of me") -> Path:
    """What an upload leaves that dies between file and row."""
    files = store._files
    return files.path_of(files.keep(io.BytesIO(content)).sha256)


def test_a_sound_store_has_nothing_to_say(store: Store) -> None:
    store.upload("gat", io.BytesIO(b"1"))
    report = store.check()
    assert report.ok
    assert report.payload_count == 1
    assert (report.orphans, report.leftovers, report.missing, report.corrupt) == ((), (), (), ())


def test_an_orphan_is_found_and_removed_only_by_repair(store: Store) -> None:
    kept = store.upload("gat", io.BytesIO(b"1"))
    orphan = leave_orphan(store)
    leftover = store._files.folder / "incoming" / "upload-dead"
    leftover.write_bytes(b"half")
    found = store.check()
    assert (found.orphans, found.leftovers, found.ok) == ((orphan,), (leftover,), False)
    assert orphan.exists()
    repaired = store.check(repair=True)
    assert (repaired.orphans, repaired.leftovers, repaired.ok) == ((orphan,), (leftover,), True)
    assert not orphan.exists()
    assert not leftover.exists()
    assert store.check().ok
    assert store.payload_path(kept).read_bytes() == b"1"


def test_what_is_not_a_stores_is_left_alone_in_a_folder_that_holds_other_things(store: Store) -> None:
    store.upload("gat", io.BytesIO(b"1"))
    folder = store._files.folder
    theirs = [folder / "go" / "main.go", folder / "ab" / ("cd" * 32), folder / "incoming" / "letter.txt"]
    for path in theirs:
        path.parent.mkdir(exist_ok=True)
        path.write_text("not a payload")
    report = store.check(repair=True)
    assert (report.orphans, report.leftovers, report.ok) == ((), (), True)
    assert all(path.exists() for path in theirs)


def test_lost_and_corrupt_payloads_are_listed_and_left_alone(store: Store) -> None:
    lost, bad = (store.upload(name, io.BytesIO(name.encode())) for name in ("lost", "bad"))
    store.payload_path(lost).unlink()
    path = store.payload_path(bad)
    path.chmod(0o644)
    path.write_bytes(b"BAD")
    report = store.check(repair=True)
    assert (report.missing, report.corrupt, report.ok) == ((lost,), (bad,), False)
    assert path.exists()


def test_a_refused_transaction_leaves_only_orphans(store: Store) -> None:
    with pytest.raises(ConditionsError), store.transaction():
        store.upload("gat", io.BytesIO(b"1"))
        store.get_tag("absent")
    assert store.list_payloads() == []
    assert len(store.check(repair=True).orphans) == 1
    assert store.upload("gat", io.BytesIO(b"1")).revision == 1


def test_a_check_is_not_part_of_a_transaction(store: Store) -> None:
    with store.transaction(), pytest.raises(StoreBusy, match="part of a transaction"):
        store.check()


def test_a_repair_never_takes_the_file_of_an_upload_in_flight(store: Store) -> None:
    """The file lies there, its row is not yet committed: the repair waits until it is."""
    in_flight, reports = threading.Event(), []

    def repair() -> None:
        in_flight.wait()
        reports.append(store.check(repair=True))

    repairer = threading.Thread(target=repair)
    repairer.start()
    with store.transaction():
        payload = store.upload("gat", io.BytesIO(b"1"))
        in_flight.set()
        repairer.join(0.3)  # time enough for a repair that does not wait
        assert repairer.is_alive()
    repairer.join()
    assert reports[0].ok
    assert reports[0].orphans == ()
    assert store.payload_path(payload).read_bytes() == b"1"


def test_repairs_beside_uploads_lose_nothing(store: Store) -> None:
    done = threading.Event()
    failures: list[BaseException] = []

    def repair() -> None:
        while not done.is_set():
            try:
                store.check(repair=True)
            except BaseException as error:
                failures.append(error)

    repairer = threading.Thread(target=repair)
    repairer.start()
    try:
        payloads = [store.upload(f"name{n % 3}", io.BytesIO(f"{n % 7}".encode())) for n in range(40)]
    finally:
        done.set()
        repairer.join()
    assert failures == []
    assert all(store.payload_path(payload).read_bytes() for payload in payloads)
    assert store.check().ok
