"""Many processes on one store at once: no revision is lost, and what is published never changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from conditions.errors import ChangeRefused
from conditions.iov import IntervalOfValidity
from conditions.store.session import Store, open_store
from support import jobs
from support.processes import STRESS, run_together, running
from support.stores import publish, tag_with, upload_text

UPLOADERS = 6  # processes at once: three for each core of a small machine
SAME_UPLOAD_ROUNDS = 3 * STRESS
OTHER_UPLOAD_ROUNDS = 3 * STRESS
SHARED_FILE_ROUNDS = 2 * STRESS
PUBLISH_RACE_ROUNDS = 2 * STRESS
PUBLISHER_RACE_ROUNDS = 2 * STRESS
CLONE_RACE_ROUNDS = 2 * STRESS
REPAIR_RACE_ROUNDS = 2 * STRESS
CREATION_RACE_ROUNDS = 2 * STRESS
WRITERS = 3
ROWS_BEFORE_PUBLICATION = 6


@pytest.fixture
def place(store_url: str, files_dir: Path) -> tuple[str, str]:
    """Where the store is, as every job's first two arguments."""
    return store_url, str(files_dir)


def payload_files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("??/*"))


def test_the_same_payload_from_many_processes_is_one_revision_and_one_file(
    store: Store, place: tuple[str, str], files_dir: Path
) -> None:
    for number in range(SAME_UPLOAD_ROUNDS):
        outcomes = run_together(jobs.upload, [(*place, f"same{number}", number)] * UPLOADERS)
        assert [(outcome.value, outcome.message) for outcome in outcomes] == [(1, "")] * UPLOADERS
        assert len(store.list_payloads(pattern=f"same{number}")) == 1
    assert len(payload_files(files_dir)) == SAME_UPLOAD_ROUNDS
    assert store.check().ok


def test_other_contents_under_one_name_get_all_revisions_without_a_gap(store: Store, place: tuple[str, str]) -> None:
    for number in range(OTHER_UPLOAD_ROUNDS):
        contents = [1000 * number + content for content in range(UPLOADERS)]
        outcomes = run_together(jobs.upload, [(*place, f"name{number}", content) for content in contents])
        assert sorted(outcome.value for outcome in outcomes) == list(range(1, UPLOADERS + 1))
        for content, outcome in zip(contents, outcomes, strict=True):
            path = store.payload_path(store.get_payload(f"name{number}", outcome.value))
            assert path.read_bytes() == jobs.content_of(content)


def test_the_same_bytes_under_many_names_share_one_file(store: Store, place: tuple[str, str], files_dir: Path) -> None:
    for number in range(SHARED_FILE_ROUNDS):
        outcomes = run_together(jobs.upload, [(*place, f"twin{number}_{n}", number) for n in range(UPLOADERS)])
        assert [outcome.value for outcome in outcomes] == [1] * UPLOADERS
    assert len(payload_files(files_dir)) == SHARED_FILE_ROUNDS
    assert store.check().payload_count == SHARED_FILE_ROUNDS * UPLOADERS


def test_nothing_is_added_after_publication(store: Store, place: tuple[str, str]) -> None:
    upload_text(store, "constants")
    for number in range(PUBLISH_RACE_ROUNDS):
        tag = f"tag{number}"
        store.create_tag(tag)
        writers = [(jobs.add_until_refused, (*place, tag, "constants", exp)) for exp in range(WRITERS)]
        publisher = (jobs.publish_when_rows_are_there, (*place, tag, ROWS_BEFORE_PUBLICATION))
        outcomes = run_together(jobs.call, [*writers, publisher])
        assert [outcome.error for outcome in outcomes] == [None] * (WRITERS + 1)
        *added, published_with = [outcome.value for outcome in outcomes]
        assert published_with == sum(added) == len(store.list_iovs(tag))
        assert published_with >= ROWS_BEFORE_PUBLICATION
        actions = [entry.action for entry in store.tag_history(tag)]
        assert actions == ["create", *["add iovs"] * published_with, *["state"] * 3]


def test_of_many_publishers_one_does_it_and_the_others_are_told(store: Store, place: tuple[str, str]) -> None:
    for number in range(PUBLISHER_RACE_ROUNDS):
        store.create_tag(f"tag{number}")
        outcomes = run_together(jobs.publish_alone, [(*place, f"tag{number}")] * UPLOADERS)
        errors = [outcome.error for outcome in outcomes]
        assert errors.count(None) == 1
        assert errors.count("TransitionRefused") == UPLOADERS - 1
        assert [entry.action for entry in store.tag_history(f"tag{number}")] == ["create", *["state"] * 3]


def test_of_many_clones_to_one_name_one_is_made_and_it_is_whole(store: Store, place: tuple[str, str]) -> None:
    tag_with(store, "source", "a", "b", "c")
    for number in range(CLONE_RACE_ROUNDS):
        outcomes = run_together(jobs.clone, [(*place, "source", f"clone{number}")] * UPLOADERS)
        assert sorted(str(outcome.error) for outcome in outcomes) == ["None"] + ["TagExists"] * (UPLOADERS - 1)
        assert len(store.list_iovs(f"clone{number}")) == 3
        assert [entry.action for entry in store.tag_history(f"clone{number}")] == ["clone"]


def test_repairs_beside_uploads_take_nothing_away(store: Store, place: tuple[str, str]) -> None:
    for number in range(REPAIR_RACE_ROUNDS):
        uploads = [(jobs.upload, (*place, f"name{number}", 1000 * number + n)) for n in range(UPLOADERS)]
        outcomes = run_together(jobs.call, [*uploads, *[(jobs.repair, place)] * 2])
        assert [outcome.error for outcome in outcomes] == [None] * (UPLOADERS + 2)
        assert all(outcome.value for outcome in outcomes)
    report = store.check()
    assert report.ok
    assert report.payload_count == REPAIR_RACE_ROUNDS * UPLOADERS


def test_processes_that_make_the_embedded_store_at_once_all_use_it(tmp_path: Path) -> None:
    for number in range(CREATION_RACE_ROUNDS):
        url = f"sqlite:///{tmp_path / str(number) / 'store.sqlite'}"
        outcomes = run_together(jobs.make_tag, [(url, None, f"tag{n}") for n in range(UPLOADERS)])
        assert [outcome.error for outcome in outcomes] == [None] * UPLOADERS
        with open_store(url) as store:
            assert [tag.name for tag in store.list_tags()] == [f"tag{n}" for n in range(UPLOADERS)]
        assert [path.name for path in (tmp_path / str(number)).iterdir()] == ["store.sqlite"]


def test_a_published_tag_takes_no_payload_and_says_why(store: Store) -> None:
    tag_with(store, "mc16", "old")
    publish(store, "mc16")
    history = store.tag_history("mc16")
    new = upload_text(store, "new")
    with pytest.raises(ChangeRefused, match=r"cannot add IoVs to tag 'mc16', which is PUBLISHED.*clone it"):
        store.add_iov("mc16", new.name, new.revision, IntervalOfValidity.always())
    assert [entry.payload.name for entry in store.list_iovs("mc16")] == ["old"]
    assert store.tag_history("mc16") == history


def test_readers_are_served_while_a_process_writes(store: Store, place: tuple[str, str]) -> None:
    tag_with(store, "open", "gain")
    tag_with(store, "done", "gain")
    publish(store, "done")
    with running(jobs.add_until_refused, *place, "open", "gain", 1) as writer:
        while store.get_tag("open").content_revision < ROWS_BEFORE_PUBLICATION:
            found = store.resolve("done", jobs.Run(3, 3))
            assert found["gain"].payload.revision == 1
        assert writer.is_alive()
