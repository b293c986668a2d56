"""What only HTTP can say of /v1: ETags, pages, rights, conditional changes, refusals, files, broken bodies."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import requests

from conditions.client.cache import PayloadCache
from conditions.client.http import HttpConfig
from conditions.client.remote import RemoteStore
from conditions.errors import (
    BadAnswer,
    ReadOnly,
    RightMissing,
    TokenRefused,
)
from conditions.iov import IntervalOfValidity, Run
from support.server import Server, running_server, session_server

ALWAYS = IntervalOfValidity.always()


@pytest.fixture(params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest) -> Server:
    return session_server(request.config, request.param)


@pytest.fixture
def session(server: Server) -> requests.Session:
    return server.session(server.token("ada"))


def remote(server: Server, folder: Path, token: str | None = None) -> RemoteStore:
    return RemoteStore(server.url, PayloadCache(folder), HttpConfig(attempts=2, backoff_s=0.001), token)


def made_tag(server: Server, session: requests.Session) -> str:
    name = server.unique("v1")
    assert session.post(f"{server.url}/v1/tags", json={"name": name}).status_code == 201
    return name


def upload(server: Server, session: requests.Session, name: str, data: bytes) -> Any:
    files = {"batch": (None, json.dumps({"payloads": [{"name": name}]}), "application/json"), "payload": ("x", data)}
    return session.post(f"{server.url}/v1/batch", files=files)


def test_a_read_that_has_not_changed_is_answered_without_a_body(server: Server, session: requests.Session) -> None:
    url = f"{server.url}/v1/tags/{made_tag(server, session)}"
    first = session.get(url)
    again = session.get(url, headers={"If-None-Match": f'W/{first.headers["ETag"]}, "other"'})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    session.patch(url, json={"description": "changed"})
    assert session.get(url, headers={"If-None-Match": first.headers["ETag"]}).json()["description"] == "changed"


def test_lists_come_in_pages_that_follow_each_other(server: Server, session: requests.Session) -> None:
    stem = server.unique("page")
    for letter in "abcde":
        session.post(f"{server.url}/v1/tags", json={"name": f"{stem}_{letter}"})
    seen: list[str] = []
    after = None
    while True:
        page = session.get(f"{server.url}/v1/tags", params={"name": f"{stem}_*", "limit": 2, "after": after}).json()
        seen += [tag["name"] for tag in page["items"]]
        assert len(page["items"]) <= 2
        after = page["next"]
        if after is None:
            break
    assert seen == [f"{stem}_{letter}" for letter in "abcde"]
    chosen = session.get(f"{server.url}/v1/tags", params={"regex": f"{stem}_[b-d]", "limit": 2}).json()
    assert [tag["name"] for tag in chosen["items"]] == [f"{stem}_b", f"{stem}_c"]
    rest = session.get(f"{server.url}/v1/tags", params={"regex": f"{stem}_[b-d]", "after": chosen["next"]}).json()
    assert ([tag["name"] for tag in rest["items"]], rest["next"]) == ([f"{stem}_d"], None)


def test_an_expression_that_would_search_for_years_is_answered_at_once(
    server: Server, session: requests.Session
) -> None:
    session.post(f"{server.url}/v1/tags", json={"name": server.unique("a" * 150)})
    assert session.get(f"{server.url}/v1/tags", params={"regex": "(a|a?)*(a*)*b"}, timeout=30).json()["items"] == []
    assert session.get(f"{server.url}/v1/tags", params={"regex": r"(a)\1"}).status_code == 400


def test_a_change_made_for_another_content_is_refused_and_leaves_nothing(
    server: Server, session: requests.Session
) -> None:
    tag, name = made_tag(server, session), server.unique("gain")
    upload(server, session, name, b"1.5")
    url = f"{server.url}/v1/tags/{tag}"
    row = {"name": name, "iov": "0,0,-1,-1"}
    added = session.post(f"{url}/iovs", json={"iovs": [row], "expected_revision": 0})
    assert (added.status_code, added.json()["n_added"]) == (200, 1)
    number = added.json()["items"][0]["id"]
    stale: list[tuple[str, str, Any]] = [
        ("POST", "/iovs", {"iovs": [{"name": name, "iov": "1,1,1,1"}]}),
        ("PATCH", f"/iovs/{number}", {"last": "5,-1"}),
        ("PATCH", "", {"description": "other"}),
        ("POST", "/state", {"state": "TESTING"}),
        ("POST", "/publish", {}),
        ("POST", "/iovs/delete", {}),
    ]
    before = session.get(f"{url}/history").json()
    for method, path, body in stale:
        answer = session.request(method, url + path, json={**body, "expected_revision": 0})
        assert answer.status_code == 409, path
        assert answer.json()["reason"] == "TagChanged"
        assert answer.json()["details"] == {"tag": tag, "found": 1, "expected": 0}
    assert session.delete(f"{url}/iovs/{number}?expected_revision=7").json()["details"]["found"] == 1
    assert session.get(f"{url}/history").json() == before
    assert session.delete(f"{url}/iovs/{number}?expected_revision=1").status_code == 204


def test_rights_decide_what_a_token_may_change(server: Server, tmp_path: Path) -> None:
    with remote(server, tmp_path) as anonymous, pytest.raises(TokenRefused):
        anonymous.create_tag(server.unique("x"))
    own = server.unique("user_bob_x")
    with remote(server, tmp_path, server.plain_token("bob")) as bob:
        bob.create_tag(own)
        payload = bob.upload(f"{own}.json", io.BytesIO(b"{}"))
        bob.add_iov(own, payload.name, 1, ALWAYS)
        with pytest.raises(RightMissing, match="bob may not change tag 'mc16'") as refused:
            bob.create_tag("mc16")
        assert refused.value.claim == "b2cdb:admin"
        with pytest.raises(RightMissing):
            bob.upload("gains.json", io.BytesIO(b"{}"))
        with pytest.raises(RightMissing):
            bob.clone_tag(own, "mc16")
        with pytest.raises(RightMissing):
            bob.modify_tag(own, new_name="mc16")
    token = server.token("eve", admin=(), create_iov=("user_bob_.*",), create_payload=())
    with remote(server, tmp_path, token) as eve:
        eve.add_iov(own, payload.name, 1, IntervalOfValidity.parse("1,1,1,1"))
        with pytest.raises(RightMissing):
            eve.publish_tag(own)
        with pytest.raises(RightMissing, match="may not update RUNNING tag") as refused:
            eve.running_update(own, own, Run(1, 2))  # it gives open rows an end
        assert refused.value.claim == "b2cdb:admin"


def test_who_shows_no_token_is_told_in_words_of_people(server: Server, tmp_path: Path) -> None:
    with remote(server, tmp_path) as anonymous:
        with pytest.raises(TokenRefused, match="nobody may upload payloads or add IoVs without a token") as refused:
            anonymous.upload(server.unique("x"), io.BytesIO(b"1"))
        assert "set CONDITIONS_TOKEN or CONDITIONS_TOKEN_FILE" in str(refused.value)
        assert "Authorization" not in str(refused.value)


def test_a_server_without_a_key_is_read_only(sqlite_url: str, tmp_path: Path) -> None:
    with running_server(sqlite_url, tmp_path / "payloads", workers=1, writable=False) as server:
        with remote(server, tmp_path / "cache") as store, pytest.raises(ReadOnly):
            store.create_tag("a")
        with remote(server, tmp_path / "cache") as store:
            assert store.list_tags() == []


def test_files_are_immutable_and_come_in_parts(server: Server, session: requests.Session) -> None:
    name = server.unique("gain")
    payload = upload(server, session, name, b"0123456789").json()["payloads"][0]
    for path in (f"files/{payload['sha256']}", f"payloads/{name}/1/file"):
        whole = session.get(f"{server.url}/v1/{path}")
        assert whole.content == b"0123456789"
        assert "immutable" in whole.headers["Cache-Control"]
        part = session.get(f"{server.url}/v1/{path}", headers={"Range": "bytes=2-4"})
        assert (part.status_code, part.content) == (206, b"234")
        known = session.get(f"{server.url}/v1/{path}", headers={"If-None-Match": whole.headers["ETag"]})
        assert known.status_code == 304
    assert session.get(f"{server.url}/v1/files/{'0' * 64}").status_code == 404


def test_the_address_in_an_answer_leads_to_the_bytes(server: Server, session: requests.Session) -> None:
    tag, name = made_tag(server, session), server.unique("gain")
    upload(server, session, name, b"1.5")
    session.post(f"{server.url}/v1/tags/{tag}/iovs", json={"iovs": [{"name": name, "iov": "0,0,-1,-1"}]})
    answer = session.get(f"{server.url}/v1/resolve?tag={tag}&run=7,120&allow_open=1")
    found = answer.json()["payloads"][0]
    assert requests.compat.urljoin(answer.url, found["url"]) == f"{server.url}/v1/files/{found['sha256']}"
    assert session.get(requests.compat.urljoin(answer.url, found["url"])).content == b"1.5"


BAD_BATCHES: list[tuple[Any, str]] = [
    ("{", "no JSON"),
    ("[]", "must be a JSON object"),
    ({"payloads": []}, "names 0 payloads, and 1 files"),
    ({"payloads": [{"name": "a", "sha256": "0" * 64}]}, "instead of 0000"),
    ({"payloads": [{"name": "a", "md5": "0" * 32}]}, "instead of 0000"),
    ({"payloads": [{"name": "a/b"}]}, "path separator"),
    ({"payloads": [{"name": "a", "nonsense": 1}]}, "fields that do not exist: 'nonsense'"),
    ({"payloads": [{"name": 7}]}, "must be text"),
    ({"payloads": [{"name": "a"}], "iovs": [{"name": "a", "iov": "5,0,3,0"}]}, "its first run comes after its last"),
    ({"payloads": [{"name": "a"}], "iovs": [{"name": "a", "iov": "0,0,-1,-1"}]}, "a batch without a tag"),
    ({"payloads": [{"name": "a"}], "type": "RELEASE"}, "a batch without a tag"),
    ({"payloads": [{"name": "a"}], "tag": "t", "description": "lost"}, "describes only a tag that it makes"),
    ({"payloads": [{"name": "a"}], "expected_revision": -1}, "must lie between"),
]


@pytest.mark.parametrize(("document", "said"), BAD_BATCHES)
def test_a_batch_that_cannot_be_meant_keeps_nothing(
    server: Server, session: requests.Session, document: Any, said: str
) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    before = session.get(f"{server.url}/v1/payloads?name=a").json()
    answer = session.post(f"{server.url}/v1/batch", files={"batch": (None, text), "payload": ("x", b"1.5")})
    assert answer.status_code == 400
    assert said in answer.json()["message"]
    assert session.get(f"{server.url}/v1/payloads?name=a").json() == before


def test_another_service_is_named_as_such(server: Server, tmp_path: Path) -> None:
    with RemoteStore(f"{server.url}/v2", PayloadCache(tmp_path)) as store, pytest.raises(BadAnswer):
        store.get_tag("mc16")


def test_many_payloads_come_with_one_request_and_stay_whole_when_repeated(server: Server, tmp_path: Path) -> None:
    from conditions.batch import Batch, NewIov, NewPayload

    tag = server.unique("many")
    names = [f"{tag}.{number}" for number in range(300)]
    (tmp_path / "shared").write_bytes(b"the same bytes")
    payloads = tuple(NewPayload(name, tmp_path / "shared", {"n": name}) for name in names)
    batch = Batch(tag, payloads, tuple(NewIov(name, ALWAYS) for name in names), create=True)
    with remote(server, tmp_path / "cache", server.token("ada")) as store:
        done = store.submit(batch)
        assert (done.n_added, len(done.payloads)) == (300, 300)
        assert [payload.name for payload in done.payloads] == names
        again = store.submit(batch)
        assert (again.n_added, again.payloads) == (0, done.payloads)
        assert store.get_tag(tag).content_revision == 1
        assert len(store.list_iovs(tag)) == 300
