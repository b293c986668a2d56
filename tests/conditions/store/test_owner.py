"""Whose payload folder it is: two databases never take each other's files for their own."""

from __future__ import annotations

import errno
import io
import os
import re
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from conditions.errors import FilesNotOurs, StoreError, StoreFull, StoreUnavailable
from conditions.store.session import Store, open_store
from support import jobs
from support.processes import STRESS, chosen_steps, count_steps, kill_at, run_together
from support.stores import upload_text

CLAIM_RACE_ROUNDS = 4 * STRESS
CLAIM_KILLS = 20 * STRESS
UPLOADERS = 3  # of each of two databases
SEED = 20_260_102


def id_of(store: Store) -> str:
    with store._reader.connect() as connection:
        return str(connection.execute(text("SELECT store_id FROM store_identity")).scalar_one())


def everything(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def leave_file(store: Store, content: bytes = b"nobody speaks of me") -> Path:
    """A file under its digest that no row speaks of."""
    files = store._files
    return files.path_of(files.keep(io.BytesIO(content)).sha256)


def test_every_database_has_an_id_of_its_own(store: Store, other: Store) -> None:
    assert re.fullmatch("[0-9a-f]{32}", id_of(store))
    assert re.fullmatch("[0-9a-f]{32}", id_of(other))
    assert id_of(store) != id_of(other)


ONE_MORE = "INSERT INTO store_identity (id, store_id) VALUES ({}, '0123456789abcdef0123456789abcdef')"


@pytest.mark.parametrize(
    "act",
    [
        "UPDATE store_identity SET store_id = '0123456789abcdef0123456789abcdef'",
        "DELETE FROM store_identity",
        ONE_MORE.format(1),
        ONE_MORE.format(2),
    ],
)
def test_the_database_refuses_to_change_its_id(store: Store, act: str) -> None:
    before = id_of(store)
    with pytest.raises(DBAPIError), store._writer.begin() as connection:
        connection.execute(text(act))
    assert id_of(store) == before


def test_the_id_cannot_be_replaced_or_emptied_away(sqlite_url: str, postgres_url: str) -> None:
    acts = {
        sqlite_url: ONE_MORE.format(1).replace("INSERT", "INSERT OR REPLACE"),
        postgres_url: "TRUNCATE store_identity",
    }
    for url, act in acts.items():
        with open_store(url, user="tester") as store:
            with pytest.raises(DBAPIError, match="never changes"), store._writer.begin() as connection:
                connection.execute(text(act))
            assert id_of(store)


def test_the_first_upload_makes_the_folder_the_stores(store: Store, files_dir: Path) -> None:
    upload_text(store)
    path = files_dir / "store-id"
    assert path.read_text() == f"{id_of(store)}\n"
    assert path.stat().st_mode & 0o777 == 0o444  # others who use the store must be able to read it
    assert list((files_dir / "incoming").iterdir()) == []
    assert store.check().folder == "this store's"


@pytest.mark.parametrize("act", ["upload", "upload in a transaction", "check", "repair"])
def test_in_another_stores_folder_nothing_is_written_or_removed(
    store: Store, other: Store, files_dir: Path, act: str
) -> None:
    kept = upload_text(store)
    orphan = leave_file(store)
    (files_dir / ".lock").unlink()
    before = everything(files_dir)
    acts = {
        "upload": lambda: upload_text(other, "theirs"),
        "upload in a transaction": lambda: upload_in_transaction(other),
        "check": other.check,
        "repair": lambda: other.check(repair=True),
    }
    with pytest.raises(
        FilesNotOurs, match=r"nothing was kept or removed: give this store .* own with --files"
    ) as caught:
        acts[act]()
    assert (caught.value.folder, caught.value.found, caught.value.wanted) == (files_dir, id_of(store), id_of(other))
    assert all(str(each) in str(caught.value) for each in (files_dir, id_of(store), id_of(other)))
    assert everything(files_dir) == before
    assert other.list_payloads() == []
    assert store.payload_path(kept).is_file()
    assert store.check(repair=True).orphans == (orphan,)


def upload_in_transaction(store: Store) -> None:
    with store.transaction():
        store.create_tag("mc16")
        upload_text(store, "theirs")


def test_reading_asks_for_no_id(store: Store, files_dir: Path) -> None:
    payload = upload_text(store)
    (files_dir / "store-id").unlink()
    assert store.payload_path(payload).read_text() == "1.5"
    (files_dir / "store-id").write_text("0" * 32)
    assert store.payload_path(payload).read_text() == "1.5"


def test_an_upload_adopts_a_folder_that_holds_only_files_of_its_store(store: Store, files_dir: Path) -> None:
    upload_text(store)
    (files_dir / "store-id").unlink()
    upload_text(store, "next", "2")
    assert (files_dir / "store-id").read_text().strip() == id_of(store)


def test_neither_upload_nor_repair_touches_a_folder_that_may_be_another_stores(
    store: Store, other: Store, files_dir: Path
) -> None:
    kept = upload_text(store)
    (files_dir / "store-id").unlink()
    before = everything(files_dir)
    reason = f"may be another store's: it names none, .* write {id_of(other)} into {files_dir}/store-id"
    with pytest.raises(FilesNotOurs, match=reason):
        upload_text(other, "theirs")
    with pytest.raises(FilesNotOurs, match=reason):
        other.check(repair=True)
    assert other.check().folder == (
        "nobody's yet, and no repair will touch it, for this store has no payload, and 1 payload files are in it"
    )
    after = everything(files_dir)
    after.pop(files_dir / ".claim", None)
    before.pop(files_dir / ".claim", None)
    assert after == before
    assert store.payload_path(kept).is_file()


def test_a_repair_adopts_a_folder_only_when_every_payload_is_in_it(store: Store, files_dir: Path) -> None:
    first, second = upload_text(store, "first", "1"), upload_text(store, "second", "2")
    orphan = leave_file(store)
    (files_dir / "store-id").unlink()
    away = store.payload_path(second).rename(files_dir / "away")
    with pytest.raises(FilesNotOurs, match="1 of this store's 2 payload files are not in it"):
        store.check(repair=True)
    assert "no repair will touch it, for 1 of this store's 2 payload files" in store.check().folder
    assert orphan.exists()
    away.rename(store._files.path_of(second.sha256))
    assert store.check().folder == "nobody's yet; a repair makes it this store's, keeps 2 files there and removes 1"
    assert orphan.exists()
    repaired = store.check(repair=True)
    assert (repaired.folder, repaired.orphans, repaired.ok) == ("this store's from now on", (orphan,), True)
    assert not orphan.exists()
    assert store.check().folder == "this store's"
    assert store.payload_path(first).is_file()


def test_a_repair_of_a_store_without_a_folder_leaves_that_free(store: Store, other: Store) -> None:
    assert store.check(repair=True).folder == "nobody's yet, and empty"
    upload_text(other)


def test_what_an_upload_left_that_died_before_the_id_is_repaired(store: Store, files_dir: Path) -> None:
    leftover = files_dir / "incoming" / "upload-dead"
    leftover.parent.mkdir(parents=True)
    leftover.write_bytes(b"half")
    assert store.check(repair=True).ok
    assert not leftover.exists()


@pytest.mark.parametrize("damaged", ["", "not an id", "0" * 33, "0" * 1000])
def test_a_damaged_id_stops_changes_and_is_shown(store: Store, files_dir: Path, damaged: str) -> None:
    upload_text(store)
    orphan = leave_file(store)
    (files_dir / "store-id").unlink()
    (files_dir / "store-id").write_text(damaged)
    for act in (lambda: upload_text(store, "next"), lambda: store.check(repair=True)):
        with pytest.raises(StoreUnavailable, match=r"store-id cannot be used: '.*' is no store id"):
            act()
    assert orphan.exists()


@pytest.mark.parametrize(("reason", "ours"), [(errno.ENOSPC, StoreFull), (errno.EIO, StoreUnavailable)])
def test_an_id_that_cannot_be_written_is_not_there(
    store: Store, files_dir: Path, monkeypatch: pytest.MonkeyPatch, reason: int, ours: type[StoreError]
) -> None:
    def refuse(_handle: int) -> None:
        raise OSError(reason, os.strerror(reason))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", refuse)
        with pytest.raises(ours):
            upload_text(store)
    assert not (files_dir / "store-id").exists()
    assert list((files_dir / "incoming").iterdir()) == []
    upload_text(store)


def test_of_two_databases_that_upload_first_at_once_one_gets_the_folder(
    store: Store, other: Store, store_url: str, other_url: str, tmp_path: Path
) -> None:
    for number in range(CLAIM_RACE_ROUNDS):
        folder = tmp_path / f"contested{number}"
        places = [(store_url, str(folder)), (other_url, str(folder))]
        outcomes = run_together(
            jobs.upload, [(*place, f"name{number}", 1000 * number + n) for n in range(UPLOADERS) for place in places]
        )
        owner = (folder / "store-id").read_text().strip()
        won, lost = (outcomes[::2], outcomes[1::2]) if owner == id_of(store) else (outcomes[1::2], outcomes[::2])
        assert sorted(outcome.value for outcome in won) == list(range(1, UPLOADERS + 1))
        assert [outcome.error for outcome in lost] == ["FilesNotOurs"] * UPLOADERS
        assert len(list(folder.glob("??/*"))) == UPLOADERS
    assert len(store.list_payloads()) + len(other.list_payloads()) == CLAIM_RACE_ROUNDS * UPLOADERS


def test_a_kill_in_the_first_upload_leaves_a_folder_that_can_be_used(store_url: str, tmp_path: Path) -> None:
    def place(name: object) -> tuple[str, str]:
        return store_url, str(tmp_path / f"folder{name}")

    steps = count_steps(jobs.upload, *place("counted"), "counted", 0)
    claimed = set()
    for number, step in enumerate(chosen_steps(steps, CLAIM_KILLS, SEED)):
        kill_at(step, jobs.upload, *place(number), f"name{number}", number)
        with open_store(*place(number)) as store:
            path = Path(place(number)[1]) / "store-id"
            claimed.add(path.exists())
            assert not path.exists() or path.read_text() == f"{id_of(store)}\n"
            upload_text(store, "after", str(number))
            assert path.read_text() == f"{id_of(store)}\n"
            store.check(repair=True)
            found = store.check()
            assert (found.orphans, found.leftovers, found.folder) == ((), (), "this store's")
    assert claimed == {False, True}
