"""Batches: payloads, rows and a tag's state together, or nothing of it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from conditions.batch import Batch, NewIov, NewPayload
from conditions.errors import (
    BadInputError,
    BadSource,
    ChangeRefused,
    PayloadNotFound,
    TagChanged,
    TagNotFound,
    TransitionRefused,
    WrongChecksum,
)
from conditions.iov import IntervalOfValidity, Run
from conditions.store import batch_changes
from conditions.store.files import PENDING_FILES
from conditions.store.session import Store, open_store
from conditions.tags import TagState
from support import jobs
from support.processes import STRESS, chosen_steps, count_steps, kill_at, run_together
from support.stores import ALWAYS, tag_with, upload_text

KILLS = 8 * STRESS


def new(name: str, text: str, **more: str) -> NewPayload:
    return NewPayload(name, io.BytesIO(text.encode()), {"text": text}, **more)


def counts(store: Store) -> tuple[int, int, int]:
    return len(store.list_payloads()), len(store.list_tags()), len(store.audit())


def test_all_of_a_batch_is_done_in_the_order_given(store: Store) -> None:
    upload_text(store, "gat", "old")
    payloads = (new("gat", "a"), new("cnn", "b"), new("gat", "c"), new("gat", "a"), new("gat", "old"))
    iovs = (NewIov("gat", ALWAYS), NewIov("cnn", ALWAYS), NewIov("gat", IntervalOfValidity.of_run(Run(1, 1)), 1))
    done = store.submit(Batch("mc16", payloads, iovs, create=True, description="first", state=TagState.TESTING))
    assert [(each.name, each.revision, each.metadata) for each in done.payloads] == [
        ("gat", 2, {"text": "a"}),
        ("cnn", 1, {"text": "b"}),
        ("gat", 3, {"text": "c"}),
        ("gat", 2, {"text": "a"}),
        ("gat", 1, {}),
    ]
    assert (done.n_added, done.tag) == (3, store.get_tag("mc16"))
    assert done.tag is not None
    assert (done.tag.state, done.tag.content_revision, done.tag.description) == (TagState.TESTING, 1, "first")
    # Without a revision the last one of the name in the batch is meant.
    assert [str(entry.payload) for entry in store.list_iovs("mc16")] == ["cnn r1", "gat r1", "gat r1"]
    assert done.payloads == tuple(store.get_payload(each.name, each.revision) for each in done.payloads)
    assert [store.payload_path(each).read_bytes() for each in done.payloads[:3]] == [b"a", b"b", b"c"]


def test_a_batch_is_audited_like_its_single_changes(store: Store) -> None:
    iovs = (NewIov("gat", ALWAYS),)
    store.submit(Batch("mc16", (new("gat", "a"),), iovs, create=True, state=TagState.VALIDATED))
    upload, *rest = store.audit()
    assert (upload.kind, upload.action, upload.subject, upload.who) == ("payload", "upload", "gat", "tester")
    assert [line.action for line in rest] == ["create", "add iovs", "state", "state"]
    alone = store.upload("gat", io.BytesIO(b"b"), metadata={"text": "b"})
    said = store.audit(subject="gat")[-1]
    assert upload.after is not None
    assert said.after is not None
    assert upload.after.keys() == said.after.keys()
    assert alone.revision == 2


def test_the_same_batch_again_changes_nothing(store: Store) -> None:
    def batch() -> Batch:
        return Batch("mc16", (new("gat", "a"),), (NewIov("gat", ALWAYS),), create=True, state=TagState.TESTING)

    first, before = store.submit(batch()), counts(store)
    again = store.submit(Batch("mc16", (new("gat", "a"),), create=True))
    assert (again.payloads, again.n_added) == (first.payloads, 0)
    assert counts(store) == before
    with pytest.raises(ChangeRefused, match="TESTING"):
        store.submit(Batch("mc16", iovs=(NewIov("gat", IntervalOfValidity.of_run(Run(1, 1))),)))


@pytest.mark.parametrize("state", [TagState.TESTING, TagState.VALIDATED, TagState.PUBLISHED, TagState.RUNNING])
def test_a_batch_whose_answer_was_lost_may_be_sent_again(store: Store, state: TagState) -> None:
    def batch(*more: NewIov) -> Batch:
        return Batch("mc16", (new("gat", "a"),), (NewIov("gat", ALWAYS), *more), create=True, state=state)

    first, before = store.submit(batch()), counts(store)
    again = store.submit(batch())
    assert (again.tag, again.payloads, again.n_added) == (first.tag, first.payloads, 0)
    assert counts(store) == before
    with pytest.raises(ChangeRefused, match=state.value):
        store.submit(batch(NewIov("gat", IntervalOfValidity.of_run(Run(1, 1)))))
    assert counts(store) == before


def test_payloads_alone_need_no_tag(store: Store) -> None:
    done = store.submit(Batch(None, (new("gat", "a"),)))
    assert (done.tag, done.n_added, [each.revision for each in done.payloads]) == (None, 0, [1])


def test_what_is_refused_leaves_nothing(store: Store) -> None:
    tag_with(store, "there", "gat")
    before = counts(store)
    gone = (NewIov("unheard", ALWAYS),)
    for batch, error in [
        (Batch("new", (new("x", "1"),), gone, create=True), PayloadNotFound),
        (Batch("new", (new("x", "1"),), (NewIov("gat", ALWAYS, 9),), create=True), PayloadNotFound),
        (Batch("missing", (new("x", "1"),)), TagNotFound),
        (Batch("there", (new("x", "1"),), state=TagState.INVALID), TransitionRefused),
        (Batch("there", (new("x", "1"),), expected_revision=0), TagChanged),
        (Batch("there", (new("x", "1"), new("y", "2", md5="0" * 32))), WrongChecksum),
        (Batch("there", (new("x", "1"), NewPayload("y", Path("/nowhere/file")))), BadSource),
        (Batch(None, (new("x", "1"),), gone), BadInputError),
        (Batch("there", (new("x", "1", md5="short"),)), BadInputError),
        (Batch("b@d", (new("x", "1"),), create=True), BadInputError),
        (Batch("there", (new("../x", "1"),)), BadInputError),
    ]:
        with pytest.raises(error):
            store.submit(batch)
        assert counts(store) == before
    assert store.check(repair=True).leftovers == ()


def test_a_tag_that_was_changed_meanwhile_is_refused_with_both_revisions(store: Store) -> None:
    tag_with(store, "mc16", "gat")
    with pytest.raises(TagChanged, match=r"'mc16' has content revision 1 and no longer 0") as caught:
        store.submit(Batch("mc16", iovs=(NewIov("gat", ALWAYS),), expected_revision=0))
    assert (caught.value.found, caught.value.expected) == (1, 0)
    at = IntervalOfValidity.of_run(Run(1, 1))
    assert store.submit(Batch("mc16", iovs=(NewIov("gat", at),), expected_revision=1)).n_added == 1


def test_announced_bytes_are_kept_when_they_come(store: Store) -> None:
    md5 = hashlib.md5(b"a", usedforsecurity=False).hexdigest()
    assert store.submit(Batch(None, (new("gat", "a", md5=md5.upper()),))).payloads[0].md5 == md5
    assert store.upload("gat", io.BytesIO(b"a"), md5=md5).revision == 1
    with pytest.raises(WrongChecksum, match="gat"):
        store.upload("gat", io.BytesIO(b"b"), md5=md5)
    assert store.get_payload("gat").revision == 1


def test_many_files_are_kept_a_few_at_a_time(store: Store, tmp_path: Path) -> None:
    count = 3 * PENDING_FILES + 1
    for number in range(count):
        (tmp_path / f"{number}").write_text(f"{number % 100}")
    batch = Batch(None, tuple(NewPayload(f"n{number % 7}", tmp_path / f"{number}") for number in range(count)))
    done = store.submit(batch)
    assert [store.payload_path(each).read_text() for each in done.payloads] == [f"{n % 100}" for n in range(count)]
    assert store.check().ok
    for name in range(7):
        revisions = [each.revision for each in store.list_payloads(pattern=f"n{name}")]
        assert revisions == list(range(1, len(revisions) + 1))


def test_a_batch_inside_a_transaction_goes_with_it(store: Store) -> None:
    def fail() -> None:
        with store.transaction():
            store.submit(Batch("mc16", (new("gat", "a"),), (NewIov("gat", ALWAYS),), create=True))
            raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        fail()
    assert counts(store) == (0, 0, 0)


def test_batches_at_once_give_every_name_revisions_without_holes(store_url: str, files_dir: Path) -> None:
    """Each names the payloads in another order."""
    place = (store_url, str(files_dir))
    outcomes = run_together(jobs.submit_round, [(*place, "together", number) for number in range(3)])
    assert [outcome.error for outcome in outcomes] == [None] * 3
    with open_store(store_url, files_dir) as store:
        for name in ("a", "b", "c"):
            assert [each.revision for each in store.list_payloads(pattern=name)] == [1, 2, 3]
        assert len(store.list_iovs("together")) == 9
        assert store.check().ok


def test_batches_of_many_names_at_once_never_cross(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """One makes a name and then wants one that is there, which the other took in an earlier statement."""
    monkeypatch.setattr(batch_changes, "ROWS_AT_ONCE", 2)

    def submit(names: Sequence[str]) -> int:
        return len(store.submit(Batch(None, tuple(new(name, "a") for name in names))).payloads)

    with ThreadPoolExecutor(2) as pool:
        for number in range(40):
            first, there, made = (f"{number:02} {word}" for word in ("a", "b", "c"))
            upload_text(store, there, "old")
            assert list(pool.map(submit, [(there, made), (first, there, made)])) == [2, 3]


def test_a_kill_leaves_all_of_a_batch_or_nothing(store: Store, store_url: str, files_dir: Path) -> None:
    place = (store_url, str(files_dir))
    upload_text(store)  # the first upload takes more steps: it makes the folder the store's
    steps = count_steps(jobs.submit_round, *place, "counted", 0)
    for number, step in enumerate(chosen_steps(steps, KILLS, 7), start=1):
        kill_at(step, jobs.submit_round, *place, f"tag{number}", number)
        tag, rows = store.find_tag(f"tag{number}"), store.list_payloads(pattern="a")
        assert len(store.audit(subject=f"tag{number}")) in ((0,) if tag is None else (3,))
        if tag is not None:
            assert (tag.state, len(store.list_iovs(tag.name))) == (TagState.TESTING, 3)
        found = store.check(repair=True)
        assert (found.missing, found.corrupt) == ((), ())
        assert store.check().ok
        jobs.submit_round(*place, f"tag{number}", number)
        assert len(store.list_payloads(pattern="a")) == len(rows) + (tag is None)
