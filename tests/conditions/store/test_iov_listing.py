"""Rows of a tag: in one order, whole or in pages, and each payload read once."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from sqlalchemy import event

from conditions.errors import IovNotFound
from conditions.iov import IntervalOfValidity, Run
from conditions.resolve import IovEntry
from conditions.store.session import Store
from support.stores import tag_with, upload_text


def in_pages(fetch: Callable[[Any], Sequence[Any]]) -> list[Any]:
    """All pages of a list, one after the other."""
    found: list[Any] = []
    while some := fetch(found[-1] if found else None):
        found += some
    return found


def test_pages_of_rows_are_the_whole_list_also_when_the_last_row_went(store: Store) -> None:
    tag_with(store, "mc16", "gat", "cnn")
    for run in range(5):
        store.add_iov("mc16", "gat", 1, IntervalOfValidity.of_run(Run(1, run)))
    whole = store.list_iovs("mc16")

    def page(last: Any) -> list[Any]:
        return store.list_iovs("mc16", after_id=None if last is None else last.id, limit=2)

    assert in_pages(page) == whole
    store.delete_iov("mc16", whole[2].id)
    assert store.list_iovs("mc16", after_id=whole[2].id) == whole[3:]
    store.modify_iov("mc16", whole[3].id, IntervalOfValidity.parse("0,0,0,0"))
    assert store.list_iovs("mc16", pattern="c*") == whole[:1]
    assert store.list_iovs("mc16", regex="g.t", limit=2, run=Run(1, 4)) == [whole[1], whole[-1]]
    with pytest.raises(IovNotFound, match="no IoV 99 in tag 'mc16'"):
        store.list_iovs("mc16", after_id=99)


def test_pages_of_any_size_and_choice_are_the_whole_list(store: Store) -> None:
    draw = Random(20)  # noqa: S311 - rows of a test
    names = ["a", "B", "b", "c.pth", "long name", "z"]
    payloads = {name: [upload_text(store, name, f"{name}{at}") for at in range(3)] for name in names}
    for tag in ("mc16", "other"):
        store.create_tag(tag)
    for name, count in zip(names, (1, 40, 2, 0, 7, 1), strict=True):
        first_runs = draw.sample(range(1, 60), count)
        rows = [(draw.choice(payloads[name]), IntervalOfValidity(Run(1, run))) for run in first_runs]
        store.add_iovs("mc16", rows)
        store.add_iovs("other", [(payload, iov) for payload, iov in rows if payload.revision == 1])
    for chosen in (
        {},
        {"run": Run(1, 30)},
        {"within": IntervalOfValidity.parse("1,0,1,9")},
        {"pattern": "?"},
        {"names": ["B", "z", "gone"]},
        {"regex": "[a-z ]+"},
    ):
        whole: list[IovEntry] = store.list_iovs("mc16", **chosen)  # type: ignore[arg-type]
        assert whole
        for limit in (1, 3, 25, 1000):

            def page(last: IovEntry | None, limit: int = limit, chosen: Any = chosen) -> list[IovEntry]:
                return store.list_iovs("mc16", after_id=None if last is None else last.id, limit=limit, **chosen)

            assert in_pages(page) == whole


def test_a_payload_is_read_once_for_all_its_rows(store: Store) -> None:
    payload = store.upload("gat", io.BytesIO(b"weights"), metadata={"losses": list(range(1000))})
    store.create_tag("mc16")
    store.add_iovs("mc16", [(payload, IntervalOfValidity.of_run(Run(1, run))) for run in range(200)])
    sent: list[str] = []

    def note(*given: Any) -> None:
        sent.append(given[2])

    event.listen(store._engine, "before_cursor_execute", note)
    rows = store.list_iovs("mc16")
    event.remove(store._engine, "before_cursor_execute", note)
    assert {row.payload for row in rows} == {payload}
    (with_metadata,) = (statement for statement in sent if "metadata" in statement)
    assert "iovs" not in with_metadata
