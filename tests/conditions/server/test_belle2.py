"""Values as Belle II's clients read them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from conditions.iov import IntervalOfValidity
from conditions.payload import Payload
from conditions.resolve import IovEntry, Resolved
from conditions.server import belle2
from conditions.tags import TAG_TYPES, Tag, TagState

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
BASE = "https://conditions.example/"


def payload(number: int = 1, name: str = "gain", revision: int = 1) -> Payload:
    return Payload(name, revision, "a" * 64, "b" * 32, 3, {}, AT, "ada", number)


def row(number: int, of: Payload, iov: str = "0,0,-1,-1") -> IovEntry:
    return IovEntry(number, of, IntervalOfValidity.parse(iov), "mc16", AT, AT + timedelta(hours=1), "bob")


@pytest.mark.parametrize("state", list(TagState))
def test_a_tag_serves_both_kinds_of_readers(state: TagState) -> None:
    for kind in TAG_TYPES:
        said = belle2.tag_json(Tag("mc16", state, kind, "", 7, AT, AT, "ada", 3, 9))
        assert said["globalTagStatus"]["name"] == said["status"]["name"] == state.value
        assert said["globalTagStatus"] == belle2.STATES[state.value]
        assert said["globalTagType"] == belle2.TYPES[kind]
        assert (said["globalTagId"], said["payloadCount"], said["description"]) == (9, 7, "")
        assert None not in said.values()


def test_times_have_an_offset_and_milliseconds() -> None:
    assert belle2.moment(AT) == "2026-03-01T12:00:00.123+00:00"
    assert belle2.moment(AT.astimezone(timezone(timedelta(hours=9)))) == "2026-03-01T12:00:00.123+00:00"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("GATGAPgen.pth", "dbstore/GATGAPgen.pth/dbstore_GATGAPgen.pth_rev_1.root"),
        ("a b", "dbstore/a%20b/dbstore_a%20b_rev_1.root"),
        ("a#b?c%d", "dbstore/a%23b%3Fc%25d/dbstore_a%23b%3Fc%25d_rev_1.root"),
        ("ä", "dbstore/%C3%A4/dbstore_%C3%A4_rev_1.root"),
    ],
)
def test_a_payload_url_is_conventional_and_never_breaks_out_of_its_path(name: str, url: str) -> None:
    assert belle2.payload_url(payload(name=name)) == url


@pytest.mark.parametrize(
    ("iov", "ends"),
    [("1,2,3,4", (1, 2, 3, 4)), ("1,2,3,-1", (1, 2, 3, -1)), ("0,0,-1,-1", (0, 0, -1, -1))],
)
def test_open_ends_are_minus_one(iov: str, ends: tuple[int, ...]) -> None:
    said = belle2.iov_json(row(5, payload(), iov))
    assert (said["expStart"], said["runStart"], said["expEnd"], said["runEnd"]) == ends
    assert (said["payloadIovId"], said["modifiedBy"], said["dtmMod"]) == (5, "bob", "2026-03-01T13:00:00.123+00:00")


@pytest.mark.parametrize(
    ("iov", "end"),
    [("1,2,3,4", (3, 4)), ("1,2,3,-1", (3, 2**63 - 1)), ("0,0,-1,-1", (2**63 - 1, 2**63 - 1))],
)
def test_open_ends_are_the_largest_number_for_the_others(iov: str, end: tuple[int, int]) -> None:
    said = belle2.hsf_json(Resolved(payload(revision=12), IntervalOfValidity.parse(iov), "mc16"))
    assert (said["major_iov_end"], said["minor_iov_end"]) == end
    assert (said["revision"], said["size"], said["payload_type_name"]) == ("12", 3, "gain")


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_content_is_one_list_however_it_is_cut_in_pages(size: int) -> None:
    payloads = [payload(number, f"p{number}") for number in (1, 2, 3)]
    rows = [row(number, payloads[number // 4]) for number in range(10)]
    pages = [rows[place : place + size] for place in range(0, len(rows), size)]
    said = json.loads(b"".join(belle2.content_chunks(pages, BASE)))
    assert [(each["payloadId"]["payloadId"], len(each["payloadIovs"])) for each in said] == [(1, 4), (2, 4), (3, 2)]
    assert [iov["payloadIovId"] for each in said for iov in each["payloadIovs"]] == list(range(10))
    listed = json.loads(b"".join(belle2.payload_chunks([payloads[:2], [], payloads[2:]], BASE)))
    assert listed == [belle2.payload_json(each, BASE) for each in payloads]


def test_no_content_is_an_empty_list() -> None:
    assert b"".join(belle2.content_chunks([], BASE)) == b"".join(belle2.content_chunks([[]], BASE)) == b"[]"
    assert b"".join(belle2.payload_chunks([], BASE)) == b"".join(belle2.payload_chunks([[]], BASE)) == b"[]"
