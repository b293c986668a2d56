"""Belle II's tools against a real server with 2 workers, on SQLite and on PostgreSQL: every request they make."""

from __future__ import annotations

import hashlib
from datetime import datetime

import pytest
import requests

from support.belle2 import Belle2Client, RequestFailed
from support.server import Server

FOREVER = (-1, -1)
ALWAYS = (0, 0, -1, -1)
TAG_FIELDS = {
    "globalTagId": int,
    "name": str,
    "isDefault": bool,
    "globalTagType": dict,
    "globalTagStatus": dict,
    "payloadCount": int,
    "dtmIns": str,
    "dtmMod": str,
    "modifiedBy": str,
}
PAYLOAD_FIELDS = {
    "payloadId": int,
    "checksum": str,
    "revision": int,
    "payloadUrl": str,
    "baseUrl": str,
    "basf2Module": dict,
    "isDefault": bool,
    "dtmIns": str,
    "dtmMod": str,
    "modifiedBy": str,
}
IOV_FIELDS = {
    "payloadIovId": int,
    "expStart": int,
    "runStart": int,
    "expEnd": int,
    "runEnd": int,
    "dtmIns": str,
    "dtmMod": str,
    "modifiedBy": str,
}


@pytest.fixture
def client(server: Server) -> Belle2Client:
    made = Belle2Client(server.url, server.token())
    made.shake_hands()
    return made


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()  # noqa: S324


def has_fields(given: dict[str, object], fields: dict[str, type]) -> None:
    assert {name: type(given[name]) for name in fields} == fields
    for name in ("dtmIns", "dtmMod"):
        assert datetime.fromisoformat(str(given[name])).utcoffset() is not None


def test_a_tag_lives_from_its_making_to_its_end(server: Server, client: Belle2Client) -> None:
    name = server.unique("data:reprocessing+proc9")
    assert client.tag(name) is None
    made = client.create_tag(name, "first", "ada")
    has_fields(made, TAG_FIELDS)
    assert (made["payloadCount"], made["globalTagStatus"]["name"], made["status"]) == (0, "OPEN", {"name": "OPEN"})
    assert client.tag(name) == made
    assert made["globalTagType"] in client.request("GET", "/globalTagType")
    for state in ("TESTING", "VALIDATED", "PUBLISHED", "INVALID"):
        client.set_state(name, state)
        found = client.tag(name)
        assert found is not None
        assert found["globalTagStatus"]["name"] == found["status"]["name"] == state
        assert found["globalTagStatus"] in client.request("GET", "/globalTagStatus")
    assert name in [tag["name"] for tag in client.request("GET", "/globalTags")]
    with pytest.raises(RequestFailed) as refused:
        client.set_state(name, "OPEN")
    assert refused.value.code == 409
    assert client.content(name) == client.content(name, (1, 1)) == []


def test_payloads_are_uploaded_found_and_downloaded(server: Server, client: Belle2Client) -> None:
    name, first, second = server.unique("GATGAPgen.pth"), b"one" * 1000, b"\0\r\n--two\r\n" * 500_000
    number = client.upload(name, first)
    assert client.upload(name, first, path="C:\\other\\name") == number  # the same bytes: the same payload
    later = client.upload(name, second)
    assert client.check_payloads([(name, md5(first)), (name, md5(second)), (name, md5(b"no")), ("no", md5(first))]) == {
        (name, md5(first)): number,
        (name, md5(second)): later,
    }
    listed = client.request("GET", f"/module/{name}/payloads")
    assert [(each["payloadId"], each["revision"], each["checksum"]) for each in listed] == [
        (number, 1, md5(first)),
        (later, 2, md5(second)),
    ]
    has_fields(listed[0], PAYLOAD_FIELDS)
    assert listed[0]["basf2Module"] == {"name": name, "basf2Package": {"name": "dbstore"}}
    assert listed[0]["payloadUrl"] == f"dbstore/{name}/dbstore_{name}_rev_1.root"
    assert listed[0]["baseUrl"] == f"{server.url}/"
    assert client.request("GET", f"/payload/{later}") == listed[1]
    assert listed[1] in client.request("GET", "/payloads")
    url = listed[1]["baseUrl"] + listed[1]["payloadUrl"]
    answer = requests.get(url, headers={"Accept-Encoding": "gzip, deflate"}, timeout=30)
    assert (answer.content, answer.headers["content-length"]) == (second, str(len(second)))
    part = requests.get(url, headers={"Range": "bytes=3-9"}, timeout=30)
    assert (part.status_code, part.content, part.headers["content-range"]) == (
        206,
        second[3:10],
        f"bytes 3-9/{len(second)}",
    )
    known = requests.get(url, headers={"If-None-Match": answer.headers["etag"]}, timeout=30)
    assert (known.status_code, known.content) == (304, b"")
    with pytest.raises(RequestFailed) as refused:
        client.upload(name, b"other", checksum=md5(b"another"))
    assert refused.value.code == 400


def test_intervals_are_made_changed_and_taken_away(server: Server, client: Belle2Client) -> None:
    tag, name = server.unique("iovs"), server.unique("gain")
    tag_id = client.create_tag(tag, "", "ada")["globalTagId"]
    old, new = client.upload(name, tag.encode()), client.upload(name, tag.encode() * 2)
    row = client.create_iov(tag_id, old, (1, 0, 5, -1))
    assert client.create_iov(tag_id, old, (1, 0, 5, -1)) == row
    # The client makes the new one first and takes the old one away later: overlaps must pass.
    other = client.create_iov(tag_id, new, (3, 7, -1, -1))
    assert [found.iov_id for found in client.content(tag)] == [row, other]
    assert [found.iov_id for found in client.content(tag, (3, 7))] == [row, other]
    assert [found.iov_id for found in client.content(tag, (5, 10**6))] == [row, other]
    assert [found.iov_id for found in client.content(tag, (6, 0))] == [other]
    client.modify_iov(row, (1, 0, 3, 6))
    assert [found.iov for found in client.content(tag)] == [(1, 0, 3, 6), (3, 7, -1, -1)]
    client.delete_iov(row)
    assert [found.row for found in client.content(tag)] == [(name, md5(tag.encode() * 2), (3, 7, -1, -1))]
    has_fields(client.request("GET", f"/globalTag/{tag}/globalTagPayloads")[0]["payloadIovs"][0], IOV_FIELDS)
    with pytest.raises(RequestFailed) as missing:
        client.delete_iov(row)
    assert missing.value.code == 404
    for bad in ((0, 0, -1, 5), (2, 0, 1, 0), (-1, 0, 1, 0), (0, 0, 10**17, 0)):
        with pytest.raises(RequestFailed) as refused:
            client.create_iov(tag_id, new, bad)
        assert refused.value.code == 400


def test_a_clone_has_the_rows_and_gets_a_name(server: Server, client: Belle2Client) -> None:
    tag, copy = server.unique("main"), server.unique("main:copy")
    tag_id = client.create_tag(tag, "what it is", "ada")["globalTagId"]
    client.create_iov(tag_id, client.upload(server.unique("a"), tag.encode()), ALWAYS)
    for state in ("TESTING", "VALIDATED", "PUBLISHED"):
        client.set_state(tag, state)
    clone = client.clone_tag(tag, copy, "ada")
    assert (clone["name"], clone["globalTagStatus"]["name"], clone["payloadCount"]) == (copy, "OPEN", 1)
    assert [found.row for found in client.content(copy)] == [found.row for found in client.content(tag)]
    release = next(kind for kind in client.request("GET", "/globalTagType") if kind["name"] == "RELEASE")
    changed = client.request("PUT", "/globalTag", json=clone | {"globalTagType": release, "description": "other"})
    assert (changed["globalTagType"], changed["description"]) == (release, "other")


def test_everybody_may_clone_any_tag_for_himself(server: Server, client: Belle2Client) -> None:
    tag = server.unique("main")
    client.create_tag(tag, "", "ada")
    bob = Belle2Client(server.url, server.plain_token("bob"))
    mine = bob.clone_tag(tag, server.unique("user_bob_copy"), "bob")
    bob.set_state(mine["name"], "TESTING")
    info = bob.tag(tag)
    assert info is not None
    clone = bob.request("POST", f"/globalTags/{info['globalTagId']}")
    assert clone["name"] == f"{clone['globalTagId']}_copy_of_{tag}"
    for thief, name in (("bob", server.unique("mc16")), ("eve", server.unique("user_eve_copy"))):
        other = Belle2Client(server.url, server.plain_token(thief))
        with pytest.raises(RequestFailed) as refused:
            other.request("PUT", "/globalTag", json=clone | {"name": name})
        assert refused.value.code == 403
    with pytest.raises(RequestFailed) as refused:
        bob.set_state(clone["name"], "TESTING")
    assert refused.value.code == 403
    assert (
        bob.request("PUT", "/globalTag", json=clone | {"name": server.unique("temp_bob_copy")})["modifiedBy"] == "bob"
    )


def test_a_merge_of_many_requests_at_once_ends_with_all_rows(server: Server, client: Belle2Client) -> None:
    tag, names = server.unique("merged"), [server.unique("m") for _ in range(4)]
    client.create_tag(tag, "", "ada")
    numbers = [client.upload(name, name.encode()) for name in names]
    rows = [(number, (exp, 0, exp, -1)) for number in numbers for exp in range(15)]
    client.merge(tag, rows)
    assert sorted((found.payload_id, found.iov) for found in client.content(tag)) == sorted(rows)
    assert client.tag(tag)["payloadCount"] == 4  # type: ignore[index]


def test_a_running_update_is_done_whole_or_not_at_all(server: Server, client: Belle2Client) -> None:
    tag, name, other = server.unique("online"), server.unique("hot"), server.unique("cold")
    tag_id = client.create_tag(tag, "", "ada")["globalTagId"]
    old, new = client.upload(name, b"old" + tag.encode()), client.upload(name, b"new" + tag.encode())
    cold = client.upload(other, tag.encode())
    row = client.create_iov(tag_id, old, (1, 0, *FOREVER))
    client.create_iov(tag_id, cold, (1, 0, *FOREVER))
    client.set_state(tag, "RUNNING")
    before = client.content(tag)
    for operations in (
        [("MODIFY", [row, 1, 9]), ("CREATE", [new, 1, 5, *FOREVER])],  # the new one begins before the old one ends
        [("MODIFY", [row, 1, 9]), ("CREATE", [10**9, 1, 10, *FOREVER])],
        [("MODIFY", [10**9, 1, 9]), ("CREATE", [new, 1, 10, *FOREVER])],
    ):
        with pytest.raises(RequestFailed) as refused:
            client.update_running(tag, operations)
        assert refused.value.code in (400, 404, 409)
        assert client.content(tag) == before
    client.update_running(tag, [("MODIFY", [row, 1, 9]), ("CREATE", [new, 1, 10, *FOREVER])])
    assert {found.row for found in client.content(tag, (1, 9))} == {
        (name, md5(b"old" + tag.encode()), (1, 0, 1, 9)),
        (other, md5(tag.encode()), (1, 0, -1, -1)),
    }
    assert {found.row for found in client.content(tag, (1, 10))} == {
        (name, md5(b"new" + tag.encode()), (1, 10, -1, -1)),
        (other, md5(tag.encode()), (1, 0, -1, -1)),
    }
    with pytest.raises(RequestFailed) as refused:
        client.create_iov(tag_id, old, (0, 0, 0, 5))
    assert refused.value.code == 409


def test_two_tags_are_compared_and_downloaded(server: Server, client: Belle2Client) -> None:
    left, right, name = server.unique("left"), server.unique("right"), server.unique("gain file.txt")
    contents = [left.encode(), right.encode()]
    for tag, content in zip((left, right), contents, strict=True):
        tag_id = client.create_tag(tag, "", "ada")["globalTagId"]
        client.create_iov(tag_id, client.upload(name, content), ALWAYS)
    rows = [{found.row for found in client.content(tag)} for tag in (left, right)]
    assert rows[0] ^ rows[1] == {(name, md5(content), ALWAYS) for content in contents}
    assert [client.download(client.content(tag)[0]) for tag in (left, right)] == contents


@pytest.mark.parametrize("write", ["create", "upload", "iov", "clone", "state", "delete"])
def test_nobody_changes_anything_without_a_token(server: Server, client: Belle2Client, write: str) -> None:
    tag = client.create_tag(server.unique("kept"), "", "ada")
    row = client.create_iov(tag["globalTagId"], client.upload(server.unique("kept"), b"kept"), ALWAYS)
    stranger = Belle2Client(server.url)
    stranger.shake_hands()
    with pytest.raises(RequestFailed) as refused:
        match write:
            case "create":
                stranger.create_tag(server.unique("no"), "", "ada")
            case "upload":
                stranger.upload("no", b"no")
            case "iov":
                stranger.create_iov(tag["globalTagId"], 1, ALWAYS)
            case "clone":
                stranger.request("POST", f"/globalTags/{tag['globalTagId']}")
            case "state":
                stranger.set_state(tag["name"], "TESTING")
            case _:
                stranger.delete_iov(row)
    assert (refused.value.code, refused.value.reason) == (401, "TokenRefused")
    assert [found.iov_id for found in stranger.content(tag["name"])] == [row]


def test_an_empty_and_an_unknown_tag_have_no_content(server: Server, client: Belle2Client) -> None:
    empty = client.create_tag(server.unique("empty"), "", "ada")["name"]
    assert client.content(empty) == client.content(server.unique("unknown")) == []
    assert client.content(empty, (1, 1)) == []
