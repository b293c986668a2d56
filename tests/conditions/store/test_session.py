"""Opening a store, its transactions, and the processes and threads that share it."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path

import pytest

from conditions.errors import (
    BadInputError,
    BadText,
    ConditionsError,
    NotFoundError,
    StoreUnavailable,
    TagExists,
    TagNotFound,
)
from conditions.iov import IntervalOfValidity
from conditions.store.schema import HEAD
from conditions.store.session import Store, open_store

ALWAYS = IntervalOfValidity.always()


def test_an_embedded_store_makes_itself_where_it_is_named(tmp_path: Path) -> None:
    with open_store(tmp_path / "new" / "deep") as store:
        assert store.list_tags() == []
        assert store.revision == HEAD
        store.upload("gat", io.BytesIO(b"1"))
    assert (tmp_path / "new" / "deep" / "conditions.sqlite").is_file()
    assert (tmp_path / "new" / "deep" / "payloads").is_dir()


def test_the_environment_names_store_files_and_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDITIONS_URL", f"sqlite:///{tmp_path}/env.sqlite")
    monkeypatch.setenv("CONDITIONS_FILES", str(tmp_path / "bytes"))
    monkeypatch.setenv("BELLE2_USER", "ada")
    with open_store() as store:
        assert store.upload("gat", io.BytesIO(b"1")).created_by == "ada"
    monkeypatch.setenv("CONDITIONS_USER", "grace")
    with open_store() as store:
        assert store.upload("gat", io.BytesIO(b"2")).created_by == "grace"
    assert (tmp_path / "env.sqlite").is_file()
    assert (tmp_path / "bytes").is_dir()


def test_a_store_named_by_hand_keeps_away_from_the_files_of_the_one_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDITIONS_URL", str(tmp_path / "site.sqlite"))
    monkeypatch.setenv("CONDITIONS_FILES", str(tmp_path / "site"))
    with open_store() as site, open_store(tmp_path / "trial" / "trial.sqlite") as trial:
        payload = site.upload("gat", io.BytesIO(b"1"))
        trial.upload("gat", io.BytesIO(b"2"))
        assert trial.check(repair=True).orphans == ()
        assert site.payload_path(payload).read_bytes() == b"1"
        assert (tmp_path / "trial" / "payloads").is_dir()
    with open_store(tmp_path / "site.sqlite") as same:
        assert same.payload_path(payload).read_bytes() == b"1"


def test_a_store_named_by_hand_opens_also_where_the_environment_names_a_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDITIONS_URL", "http://conditions.example.org:8000")
    monkeypatch.setenv("CONDITIONS_FILES", str(tmp_path / "elsewhere"))
    with open_store(tmp_path / "c.sqlite") as store:
        store.upload("gat", io.BytesIO(b"1"))
    assert (tmp_path / "payloads").is_dir()
    assert not (tmp_path / "elsewhere").exists()


def test_without_a_word_the_store_is_in_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with open_store() as store:
        store.create_tag("mc16")
    assert (tmp_path / "data" / "conditions" / "conditions.sqlite").is_file()


def test_what_was_kept_is_there_when_the_store_is_opened_again(store: Store, store_url: str, files_dir: Path) -> None:
    store.create_tag("mc16")
    payload = store.upload("gat", io.BytesIO(b"1"), metadata={"auc": 0.9})
    entry = store.add_iov("mc16", "gat", 1, ALWAYS)
    store.close()
    with open_store(store_url, files_dir) as again:
        assert again.get_payload("gat") == payload
        assert again.list_iovs("mc16") == [entry]
        assert again.payload_path(payload).read_bytes() == b"1"


def test_a_closed_store_connects_again(store: Store) -> None:
    store.create_tag("mc16")
    store.close()
    assert store.get_tag("mc16").name == "mc16"


def test_a_server_wants_to_know_where_files_are(postgres_url: str) -> None:
    with open_store(postgres_url, user="tester") as store:
        store.create_tag("mc16")
        with pytest.raises(StoreUnavailable, match="CONDITIONS_FILES"):
            store.upload("gat", io.BytesIO(b"1"))


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(StoreUnavailable, match=r"postgresql://ada:\*\*\*@127\.0\.0\.1:1/x") as caught:
        open_store("postgresql://ada:secret@127.0.0.1:1/x")
    assert "secret" not in str(caught.value)


def test_a_user_is_a_text_every_database_keeps(tmp_path: Path) -> None:
    with pytest.raises(BadText, match="user"):
        open_store(tmp_path / "s.sqlite", user="a\0b")


def test_a_transaction_keeps_everything_or_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError, match="half-way"), store.transaction():
        store.create_tag("mc16")
        store.upload("gat", io.BytesIO(b"1"))
        store.add_iov("mc16", "gat", 1, ALWAYS)
        assert len(store.list_iovs("mc16")) == 1
        raise RuntimeError("half-way")
    assert store.find_tag("mc16") is None
    assert store.list_payloads() == []
    with store.transaction() as same:
        assert same is store
        store.create_tag("mc16")
        store.upload("gat", io.BytesIO(b"1"))
        store.add_iov("mc16", "gat", 1, ALWAYS)
    assert len(store.list_iovs("mc16")) == 1


def test_a_caught_refusal_leaves_the_rest_of_the_transaction(store: Store) -> None:
    with store.transaction():
        store.create_tag("a")
        with pytest.raises(TagExists), store.transaction():
            store.create_tag("b")
            store.create_tag("a")
        store.create_tag("c")
    assert [tag.name for tag in store.list_tags()] == ["a", "c"]


def test_others_do_not_see_a_transaction_before_its_end(store: Store, store_url: str, files_dir: Path) -> None:
    seen: list[int] = []

    def look() -> None:
        with open_store(store_url, files_dir) as other:
            seen.append(len(other.list_tags()))
        seen.append(len(store.list_tags()))  # the same store in another thread: it is not in the transaction

    with store.transaction():
        store.create_tag("mc16")
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert seen == [0, 0]
    assert len(store.list_tags()) == 1


def test_a_failed_read_inside_leaves_the_transaction_usable(store: Store) -> None:
    with store.transaction():
        store.create_tag("mc16")
        with pytest.raises(TagNotFound):
            store.get_tag("absent")
        store.create_tag("mc17")
    assert len(store.list_tags()) == 2


def test_writers_on_one_tag_lose_no_update(store: Store) -> None:
    store.create_tag("mc16")
    payloads = [store.upload("gat", io.BytesIO(f"{n}".encode())) for n in range(8)]

    def add(number: int) -> None:
        for exp in range(5):
            store.add_iov("mc16", "gat", payloads[number].revision, IntervalOfValidity.parse(f"{exp},0,{exp},-1"))

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.list_iovs("mc16")) == 40
    tag = store.get_tag("mc16")
    assert (tag.content_revision, tag.payload_count) == (40, 8)
    revisions = [e.after["content_revision"] for e in store.tag_history("mc16") if e.action == "add iovs" and e.after]
    assert revisions == list(range(1, 41))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child calls nothing that another thread holds
def test_a_child_of_a_fork_has_connections_of_its_own(store: Store) -> None:
    store.create_tag("parent")
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        try:
            store.create_tag("child")
            os._exit(0 if len(store.list_tags()) == 2 else 1)
        except BaseException:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [tag.name for tag in store.list_tags()] == ["child", "parent"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the child calls nothing that another thread holds
def test_a_child_of_a_fork_is_not_in_its_parents_transaction(store: Store) -> None:
    with store.transaction():
        store.create_tag("parent")
        child = os.fork()
        if child == 0:  # pragma: no cover - another process
            try:
                os._exit(len(store.list_tags()))
            except BaseException:
                os._exit(99)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(store.list_tags()) == 1


def test_a_transaction_that_sqlite_ended_is_not_continued(sqlite_url: str, files_dir: Path) -> None:
    with open_store(sqlite_url, files_dir, user="tester") as store:
        for go_on in (lambda: store.create_tag("b"), lambda: None):
            with pytest.raises(StoreUnavailable, match="nothing of it was kept"), store.transaction():
                store.create_tag("a")
                transaction = store._transaction
                assert transaction is not None
                transaction.connection.exec_driver_sql("ROLLBACK")  # as SQLite does when the disk is full
                go_on()
        assert store.list_tags() == []


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
def test_names_no_database_can_hold_are_no_accident(store: Store, name: str) -> None:
    for ask in (store.get_tag, store.get_payload, lambda name: store.resolve(name, ALWAYS.first)):
        with pytest.raises((BadInputError, NotFoundError)):
            ask(name)


def test_numbers_no_database_can_hold_are_no_accident(store: Store) -> None:
    store.create_tag("mc16")
    for ask in (lambda: store.delete_iov("mc16", 10**30), lambda: store.get_payload("gat", 10**30)):
        with pytest.raises((BadInputError, NotFoundError)):
            ask()
    assert len(store.list_tags()) == 1


def test_one_name_alone_is_a_list_of_one(store: Store) -> None:
    store.create_tag("mc16")
    store.upload("gat", io.BytesIO(b"1"))
    entry = store.add_iov("mc16", "gat", 1, ALWAYS)
    assert store.list_iovs("mc16", names="gat") == [entry]
    assert list(store.resolve("mc16", ALWAYS.first, "gat", allow_open=True)) == ["gat"]


def test_every_refusal_is_of_one_family(store: Store) -> None:
    for ask in (
        lambda: store.get_tag("absent"),
        lambda: store.get_payload("absent"),
        lambda: store.create_tag("/"),
        lambda: store.resolve([], ALWAYS.first),
    ):
        with pytest.raises(ConditionsError):
            ask()


def test_a_url_of_another_kind_is_refused() -> None:
    with pytest.raises(BadInputError, match="use sqlite:///PATH or postgresql://HOST/NAME"):
        open_store("mysql://h/x")
