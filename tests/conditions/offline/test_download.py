"""Taking tags along: one moment of each, and every payload file once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from conditions.digest import tag_digest
from conditions.errors import NotSaved, PayloadCorrupt, StoreBusy, TagNotFound, TagNotUsable
from conditions.iov import IntervalOfValidity
from conditions.offline.download import keep_payloads, payloads_of, read_tag
from conditions.offline.locations import Layout, PayloadFolder
from conditions.payload import Payload
from conditions.resolve import IovEntry, TagFacts
from conditions.store.session import Store
from conditions.tags import Tag
from support.stores import publish, tag_with, upload_text


class Busy:
    """A store in which somebody adds a row whenever a tag's rows have been read, as often as said."""

    def __init__(self, store: Store, changes: int) -> None:
        self.store, self.changes, self.url = store, changes, store.url

    def get_tag(self, name: str) -> Tag:
        return self.store.get_tag(name)

    def list_iovs(self, tag: str, *, within: IntervalOfValidity | None = None) -> list[IovEntry]:
        found = self.store.list_iovs(tag, within=within)
        if self.changes:
            self.changes -= 1
            self.store.add_iov(tag, "gain", None, IntervalOfValidity.parse(f"{self.changes},0,{self.changes},0"))
        return found

    def tag_facts(self, stack: Sequence[str] | str) -> tuple[TagFacts, ...]:
        return self.store.tag_facts(stack)

    def payload_path(self, payload: Payload) -> Path:
        return self.store.payload_path(payload)


def test_a_tag_that_changes_meanwhile_is_read_again(embedded: Store) -> None:
    tag_with(embedded, "mc16", "gain")
    content = read_tag(Busy(embedded, 2), "mc16", allow_open=True)
    assert [entry.id for entry in content.entries] == [entry.id for entry in embedded.list_iovs("mc16")]
    assert content.tag.content_revision == embedded.get_tag("mc16").content_revision
    with pytest.raises(StoreBusy, match="it changed each of the 5 times"):
        read_tag(Busy(embedded, 9), "mc16", allow_open=True)


def test_only_tags_that_jobs_may_use_are_taken_along(embedded: Store) -> None:
    tag_with(embedded, "mc16", "gain")
    with pytest.raises(TagNotUsable, match="'mc16' is OPEN"):
        read_tag(embedded, "mc16")
    assert len(read_tag(embedded, "mc16", allow_open=True).entries) == 1
    publish(embedded, "mc16")
    content = read_tag(embedded, "mc16")
    assert content.digest == tag_digest(embedded.list_iovs("mc16"))
    embedded.set_state("mc16", "INVALID")
    with pytest.raises(TagNotUsable, match="'mc16' is INVALID"):
        read_tag(embedded, "mc16", allow_open=True)
    assert read_tag(embedded, "mc16", known={"mc16"}).tag.state == "INVALID"  # a snapshot that has it must learn of it
    with pytest.raises(TagNotFound):
        read_tag(embedded, "mc17")


class Lossy(Busy):
    """A source that loses the last row of a tag on the way."""

    def list_iovs(self, tag: str, *, within: IntervalOfValidity | None = None) -> list[IovEntry]:
        return super().list_iovs(tag, within=within)[:-1]


def test_a_published_tag_comes_whole_or_not_at_all(embedded: Store) -> None:
    tag_with(embedded, "mc16", "gain", "gat")
    publish(embedded, "mc16")
    with pytest.raises(NotSaved, match="it was published with"):
        read_tag(Lossy(embedded, 0), "mc16")


def test_a_range_brings_what_touches_it(embedded: Store) -> None:
    tag_with(embedded, "mc16", "gain", iov="1,0,4,-1")
    embedded.add_iov("mc16", "gat", upload_text(embedded, "gat", "g").revision, IntervalOfValidity.parse("5,0,-1,-1"))
    content = read_tag(embedded, "mc16", allow_open=True, runs=IntervalOfValidity.parse("4,7,4,9"))
    assert [entry.payload.name for entry in content.entries] == ["gain"]
    assert content.digest is None


def test_files_are_fetched_once_and_mended(embedded: Store, tmp_path: Path) -> None:
    tag_with(embedded, "mc16", "gain", "gat")
    embedded.add_iov("mc16", "gain", 1, IntervalOfValidity.parse("5,0,5,-1"))
    content = read_tag(embedded, "mc16", allow_open=True)
    payloads, folder = payloads_of(content), PayloadFolder(tmp_path / "kept")
    assert [str(payload) for payload in payloads] == ["gain r1", "gat r1"]
    told: list[tuple[int, int]] = []

    def keep() -> tuple[int, int]:
        files = keep_payloads(embedded, payloads, folder, Layout.HASHED, lambda done, total: told.append((done, total)))
        return files.n_written, files.n_there

    assert keep() == (2, 0)
    assert keep() == (0, 2)
    assert told == [(1, 2), (2, 2)] * 2
    found = folder.find(payloads[0])
    assert found is not None
    found.write_bytes(b"damaged")
    assert keep() == (1, 1)
    assert found.read_bytes() == b"gain"


def test_bytes_that_the_source_lost_stop_the_download(embedded: Store, tmp_path: Path) -> None:
    tag_with(embedded, "mc16", "gain")
    (entry,) = embedded.list_iovs("mc16")
    path = embedded.payload_path(entry.payload)
    path.chmod(0o644)
    path.write_bytes(b"gaim")
    with pytest.raises(PayloadCorrupt):
        keep_payloads(embedded, [entry.payload], PayloadFolder(tmp_path / "kept"), Layout.FLAT)
    assert not (tmp_path / "kept").exists()
