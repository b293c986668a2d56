"""Things by their number, and whole tags row by row."""

from __future__ import annotations

import io
import random

import pytest

from conditions.errors import IovNotFound, PayloadNotFound, TagNotFound
from conditions.iov import IntervalOfValidity, Run
from conditions.resolve import IovEntry
from conditions.store import wire_verbs
from conditions.store.session import Store
from conditions.tags import MAX_TAG_NAME
from support.stores import ALWAYS, publish, tag_with, upload_text


def test_numbers_find_what_they_were_given_to(store: Store) -> None:
    [row] = tag_with(store, "mc16", "gain")
    tag, payload = store.get_tag("mc16"), store.get_payload("gain")
    assert store.get_tag_by_id(tag.id) == tag
    assert store.tag_name_of(tag.id) == "mc16"
    assert store.get_payload_by_id(payload.id) == payload
    found = store.get_iov_by_id(row.id)
    assert (found, found.tag, found.modified_by, found.created_at) == (row, "mc16", "tester", row.created_at)
    assert found.created_at is not None


@pytest.mark.parametrize("number", [0, -1, 99, 10**18])
def test_other_numbers_find_nothing(store: Store, number: int) -> None:
    for find, error in (
        (store.get_tag_by_id, TagNotFound),
        (store.tag_name_of, TagNotFound),
        (store.get_payload_by_id, PayloadNotFound),
        (store.get_iov_by_id, IovNotFound),
        (store.clone_by_number, TagNotFound),
    ):
        with pytest.raises(error):
            find(number)


def test_payloads_are_found_by_name_and_md5(store: Store) -> None:
    made = [upload_text(store, name, text) for name, text in (("a", "1"), ("a", "2"), ("b", "1"))]
    pairs = [(payload.name, payload.md5) for payload in made]
    assert store.find_payloads([*pairs, *pairs, ("b", made[1].md5), ("c", "")]) == made
    assert store.find_payloads([(f"{number}", "no") for number in range(2500)] + pairs[1:2]) == made[1:2]


def test_covering_rows_are_those_that_cover(store: Store) -> None:
    draw, rows = random.Random(20), []  # noqa: S311
    store.create_tag("mc16")
    payloads = [upload_text(store, f"p{number % 3}", str(number)) for number in range(6)]
    for _ in range(150):
        first = Run(draw.randrange(6), draw.randrange(6))
        last = draw.choice([(-1, -1), (first.exp, -1), (first.exp + draw.randrange(1, 3), draw.randrange(6))])
        rows.append((draw.choice(payloads), IntervalOfValidity.from_tuple(first.exp, first.run, *last)))
    store.add_iovs("mc16", rows)
    every = store.list_iovs("mc16")
    for run in (Run(exp, run) for exp in range(8) for run in (0, 2, 5, 1000)):
        found = store.covering_rows("mc16", run)
        assert sorted(found, key=by_number) == sorted((row for row in every if run in row.iov), key=by_number)
        assert all(row.modified_by == "tester" for row in found)
    with pytest.raises(TagNotFound):
        store.covering_rows("mc17", Run(0, 0))


def by_number(row: IovEntry) -> int:
    return row.id


def test_content_comes_in_pages_with_the_rows_of_a_payload_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire_verbs, "PAGE_ROWS", 7)
    store.create_tag("mc16")
    payloads = [upload_text(store, str(number), str(number)) for number in range(3)]
    intervals = [IntervalOfValidity.of_run(Run(exp, 0)) for exp in range(10)]
    store.add_iovs("mc16", [(payload, iov) for iov in intervals for payload in payloads])
    pages = list(store.content_pages("mc16"))
    assert [len(page) for page in pages] == [7, 7, 7, 7, 2]
    rows = [row for page in pages for row in page]
    assert [row.payload.id for row in rows] == [payload.id for payload in payloads for _ in intervals]
    assert sorted(rows, key=by_number) == sorted(store.list_iovs("mc16"), key=by_number)


def test_content_is_that_of_one_moment(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_verbs, "PAGE_ROWS", 2)
    rows = tag_with(store, "mc16", "a", "b", "c", "d")
    pages = store.content_pages("mc16")
    found = next(pages)
    store.delete_iov("mc16", rows[3].id)
    store.add_iov("mc16", "a", 1, IntervalOfValidity.parse("5,0,5,-1"))
    found += [row for page in pages for row in page]
    assert [row.id for row in found] == [row.id for row in rows]
    assert len(store.list_iovs("mc16")) == 4


def test_a_list_that_is_given_up_lets_go_of_its_connection(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire_verbs, "PAGE_ROWS", 1)
    tag_with(store, "mc16", "a", "b", "c")
    for _ in range(40):  # more than there are connections
        pages = store.content_pages("mc16")
        next(pages)
        pages.close()  # type: ignore[attr-defined]
    assert [payload.name for page in store.payload_pages() for payload in page] == ["a", "b", "c"]
    assert [payload.name for page in store.payload_pages("b") for payload in page] == ["b"]
    tag_with(store, "some", "c", "a", iov="0,0,1,1")
    store.add_iov("some", "a", 1, IntervalOfValidity.parse("5,0,6,0"))
    in_tag = [payload for page in store.payload_pages(tag="some") for payload in page]
    assert sorted(in_tag, key=lambda payload: payload.name) == store.list_payloads(tag="some")
    with pytest.raises(TagNotFound):
        next(store.payload_pages(tag="none"))


def test_counts_are_taken_again_when_the_content_has_changed(store: Store) -> None:
    tag_with(store, "mc16", "a", "b")
    tag_with(store, "mc17", "c")
    counts: dict[int, tuple[int, int]] = {}
    assert [(tag.name, tag.payload_count) for tag in store.counted_tags(counts)] == [("mc16", 2), ("mc17", 1)]
    assert store.counted_tags(counts, "mc16") == [store.get_tag("mc16")]
    assert store.counted_tags(counts, "mc18") == []
    known = dict(counts)
    store.add_iov("mc16", "c", 1, ALWAYS)
    assert store.counted_tags(counts, "mc16") == [store.get_tag("mc16")]
    assert counts != known
    store.delete_iov("mc17", store.list_iovs("mc17")[0].id)
    publish(store, "mc16")
    store.set_state("mc16", "INVALID")
    assert [(tag.name, tag.payload_count) for tag in store.counted_tags(counts)] == [("mc16", 3), ("mc17", 0)]


def test_a_clone_by_number_is_named_by_its_own(store: Store) -> None:
    long = "x" * MAX_TAG_NAME
    tag_with(store, long, "a")
    source = store.get_tag(long)
    first, second = store.clone_by_number(source.id), store.clone_by_number(source.id)
    assert (first.name, len(first.name)) == (f"{first.id}_copy_of_{long}"[:MAX_TAG_NAME], MAX_TAG_NAME)
    assert first.name != second.name
    assert [row.payload for row in store.list_iovs(second.name)] == [row.payload for row in store.list_iovs(long)]
    assert store.tag_history(first.name)[0].action == "clone"


def test_a_payload_in_a_row_comes_without_its_metadata(store: Store) -> None:
    store.create_tag("mc16")
    payload = store.upload("a", io.BytesIO(b"1"), metadata={"auc": 0.9})
    store.add_iov("mc16", "a", 1, ALWAYS)
    [row] = store.covering_rows("mc16", Run(0, 0))
    assert (row.payload.metadata, row.payload.sha256) == ({}, payload.sha256)
    assert store.get_payload_by_id(payload.id).metadata == {"auc": 0.9}
