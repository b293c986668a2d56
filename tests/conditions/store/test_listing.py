"""Lists: filtered in the database, cut into pages that fit together, and the audit trail."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import pytest

from conditions.errors import BadInputError
from conditions.iov import IntervalOfValidity, Run
from conditions.store import listing
from conditions.store.session import Store
from support.stores import publish, tag_with, upload_text

T = TypeVar("T")


def in_pages(fetch: Callable[[T | None], Sequence[T]]) -> list[T]:
    """All pages of a list, one after the other."""
    found: list[T] = []
    while some := fetch(found[-1] if found else None):
        found += some
    return found


def test_pages_of_tags_are_the_whole_list(store: Store) -> None:
    for name in ("b", "a_1", "a_2", "A_3", "c_"):
        store.create_tag(name)
    whole = store.list_tags()

    def page(last: Any) -> list[Any]:
        return store.list_tags(after=None if last is None else last.name, limit=2)

    assert in_pages(page) == whole
    assert [tag.name for tag in store.list_tags(pattern="a_*")] == ["a_1", "a_2"]
    assert [tag.name for tag in store.list_tags(pattern="?")] == ["b"]
    assert [tag.name for tag in store.list_tags(regex="[Aa]_[13]", limit=5)] == sorted(["A_3", "a_1"])


def test_patterns_take_other_signs_for_themselves(store: Store) -> None:
    for name in ("g%t", "g_t", "gat", "g[a]t", "g^t", "Gat"):
        upload_text(store, name, name)

    def named(pattern: str) -> list[str]:
        return [each.name for each in store.list_payloads(pattern=pattern)]

    assert named("g%t") == ["g%t"]
    assert named("g_t") == ["g_t"]
    assert named("g[a]t") == ["g[a]t"]
    assert named("g?t") == sorted(["g%t", "g_t", "gat", "g^t"])
    assert named("G*") == ["Gat"]


def test_pages_of_payloads_are_the_whole_list(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("gat", "cnn", "pxd"):
        for number in range(3):
            upload_text(store, name, f"{name} {number}")
    whole = store.list_payloads()

    def page(last: Any) -> list[Any]:
        return store.list_payloads(after=None if last is None else (last.name, last.revision), limit=2)

    assert in_pages(page) == whole
    monkeypatch.setattr(listing, "LOOKED_AT_ONCE", 2)
    assert [str(each) for each in store.list_payloads(regex="gat|pxd", limit=4)] == [
        "gat r1",
        "gat r2",
        "gat r3",
        "pxd r1",
    ]
    assert store.list_payloads(regex="ga") == []


def test_payloads_of_a_tag_for_a_run(store: Store) -> None:
    tag_with(store, "mc16", "gat", iov="1,0,1,-1")
    upload_text(store, "cnn")
    store.add_iov("mc16", "cnn", 1, IntervalOfValidity.parse("2,0,2,-1"))
    assert [each.name for each in store.list_payloads(tag="mc16", run=Run(1, 4))] == ["gat"]
    with pytest.raises(BadInputError, match="needs a tag"):
        store.list_payloads(run=Run(1, 4))


@pytest.mark.parametrize("asked", [{"limit": 0}, {"regex": "("}])
def test_lists_that_cannot_be_meant_are_refused(store: Store, asked: dict[str, Any]) -> None:
    with pytest.raises(BadInputError):
        store.list_tags(**asked)


def test_the_audit_is_asked_by_who_what_when(store: Store) -> None:
    tag_with(store, "mc16", "gat")
    between = datetime.now(UTC)
    store.acting_as("ada").create_tag("user_ada_1")
    publish(store, "mc16")
    everything = store.audit()
    assert [line.id for line in everything] == sorted(line.id for line in everything)
    assert [line.subject for line in store.audit(who="ada")] == ["user_ada_1"]
    assert [line.action for line in store.audit(subject="mc*", since=between)] == ["state"] * 3
    assert [line.kind for line in store.audit(until=between)] == ["tag", "payload", "tag"]
    assert [line.after["state"] for line in store.audit(action="state", limit=2) if line.after] == [
        "TESTING",
        "VALIDATED",
    ]
    assert store.audit(after_id=everything[1].id, limit=2) == everything[2:4]
    assert store.audit(since=between, until=between + timedelta(0)) == []
    with pytest.raises(BadInputError, match="time zone"):
        store.audit(since=between.replace(tzinfo=None))
