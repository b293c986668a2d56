"""Many clients of one server at once, on both databases: nothing is lost, doubled, half done or answered stale."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import requests

from conditions.store.session import Store
from support.processes import STRESS
from support.server import Server
from support.stores import ALWAYS, tag_with, upload_text
from support.storms import RUN, Past, Storm, faults_of

WRITERS = 32
ROWS_EACH = 3 * STRESS
READERS = 4  # of four kinds
PUBLISHED_AFTER = WRITERS * ROWS_EACH // 2
UPDATE_ROUNDS = 4 * STRESS
UPLOADERS = 16
UPLOAD_ROUNDS = 2 * STRESS
NAMES = 4  # payload names of a RUNNING tag


class Writers(Storm):
    """Writers that add rows in three ways, each until the tag refuses."""

    def __init__(self, server: Server, store: Store) -> None:
        tag = server.unique("storm")
        super().__init__(server, tag)
        self.payload = upload_text(store, f"{tag}_p", tag)
        self.tag_id = store.create_tag(tag).id
        self.n_refused = 0

    def writer(self, number: int) -> Callable[[requests.Session], None]:
        ways = [self.by_number, self.by_name, self.by_batch]

        def write(session: requests.Session) -> None:
            for step in range(ROWS_EACH):
                answer = ways[(number + step) % 3](session, number, step)
                if answer.status_code == 409 and answer.json()["reason"] == "ChangeRefused":
                    self.n_refused += 1
                    return
                assert answer.status_code == 200, answer.text

        return write

    def by_number(self, session: requests.Session, number: int, step: int) -> requests.Response:
        place = f"v2/globalTagPayload/{self.tag_id},{self.payload.id}/payloadIov/1,0,{10 + number},{step}"
        answer = self.ask(session, "POST", place)
        if answer.ok:
            self.acknowledged.append(("iov", answer.json()["payloadIovId"]))
        return answer

    def by_name(self, session: requests.Session, number: int, step: int) -> requests.Response:
        rows = [{"name": self.payload.name, "iov": f"{exp},0,{10 + number},{step}"} for exp in (0, 2)]
        answer = self.ask(session, "POST", f"v1/tags/{self.tag}/iovs", json={"iovs": rows})
        if answer.ok:
            self.acknowledged += [("iov", each["id"]) for each in answer.json()["items"]]
        return answer

    def by_batch(self, session: requests.Session, number: int, step: int) -> requests.Response:
        name, content = f"{self.tag}_b{number}", f"{number} {step}".encode()
        batch = {"tag": self.tag, "payloads": [{"name": name}], "iovs": [{"name": name, "iov": f"1,0,1,{10 + step}"}]}
        parts = [("batch", ("batch", json.dumps(batch), "application/json")), ("payload", ("p", content))]
        answer = self.ask(session, "POST", "v1/batch", files=parts)
        if answer.ok:
            self.acknowledged.append(("payload", answer.json()["payloads"][0]["id"]))
        return answer

    def publisher(self, session: requests.Session) -> None:
        while len(self.acknowledged) < PUBLISHED_AFTER and not self.faults:
            threading.Event().wait(0.005)
        answer = self.ask(session, "POST", f"v1/tags/{self.tag}/publish", json={})
        assert answer.status_code == 200, answer.text


def test_32_writers_of_one_tag_lose_nothing_and_readers_see_no_stale_answer(
    spoilt: Server, behind: Store, record_property: Callable[[str, object], None]
) -> None:
    storm = Writers(spoilt, behind)
    storm.run([storm.writer(number) for number in range(WRITERS)], READERS)
    past = Past(behind, storm.tag)
    assert faults_of(storm, past) == []
    assert {past.added_in[each] for each in storm.acknowledged} == set(range(1, past.last + 1))
    assert past.last == WRITERS * ROWS_EACH
    assert len(behind.list_iovs(storm.tag)) == len(storm.acknowledged)
    said(record_property, storm)


def test_who_was_told_that_a_row_is_in_finds_it_in_what_is_published(
    spoilt: Server, behind: Store, record_property: Callable[[str, object], None]
) -> None:
    storm = Writers(spoilt, behind)
    storm.run([*[storm.writer(number) for number in range(WRITERS)], storm.publisher], READERS)
    past = Past(behind, storm.tag)
    assert faults_of(storm, past) == []
    rows = behind.list_iovs(storm.tag)
    there = {("iov", row.id) for row in rows} | {("payload", row.payload.id) for row in rows}
    assert set(storm.acknowledged) <= there
    assert len(rows) == len(storm.acknowledged)
    assert storm.n_refused > 0, "the tag was published after the last writer, so nothing was tried"
    actions = [entry.action for entry in behind.tag_history(storm.tag)]
    assert actions == ["create", *["add iovs"] * past.last, *["state"] * 3]
    verified = behind.verify_tag(storm.tag)
    assert (verified.ok, verified.digest) == (True, behind.tag_digest(storm.tag))
    said(record_property, storm)


class Updates(Storm):
    """Running updates of one tag, several of them at once for the same run."""

    def __init__(self, server: Server, store: Store) -> None:
        tag = server.unique("online")
        super().__init__(server, tag)
        names = [f"{tag}_{number}" for number in range(NAMES)]
        tag_with(store, tag, *names, iov="0,0,-1,-1")
        store.set_state(tag, "RUNNING")
        self.revisions.append(store.get_tag(tag).content_revision)
        self.staged: list[list[str]] = []
        for number in range(UPDATE_ROUNDS):
            self.staged.append([self.staging(store, names, f"{number} {rival}") for rival in range(2)])
        self.results: list[list[int]] = [[] for _ in self.staged]
        self._rounds = threading.Barrier(2)

    def staging(self, store: Store, names: list[str], content: str) -> str:
        """A VALIDATED tag with another revision of every payload."""
        tag = self.server.unique("staging")
        store.create_tag(tag)
        store.add_iovs(tag, [(upload_text(store, name, f"{content} {name}"), ALWAYS) for name in names])
        for state in ("TESTING", "VALIDATED"):
            store.set_state(tag, state)
        return tag

    def updater(self, rival: int) -> Callable[[requests.Session], None]:
        def update(session: requests.Session) -> None:
            for number, staged in enumerate(self.staged):
                self._rounds.wait(60)
                body = {"staging": staged[rival], "first_run": f"{number + 1},0"}
                answer = self.ask(session, "POST", f"v1/tags/{self.tag}/running-update", json=body)
                assert answer.status_code in (200, 409), answer.text
                if answer.ok:
                    self.revisions.append(answer.json()["base_revision"] + 1)
                self.results[number].append(answer.status_code)

        return update


def test_of_two_updates_at_once_one_is_done_whole_and_nobody_sees_a_half(
    spoilt: Server, behind: Store, record_property: Callable[[str, object], None]
) -> None:
    storm = Updates(spoilt, behind)
    storm.run([storm.updater(rival) for rival in range(2)], READERS)
    past = Past(behind, storm.tag)
    assert faults_of(storm, past) == []
    assert [sorted(results) for results in storm.results] == [[200, 409]] * UPDATE_ROUNDS
    assert past.last == NAMES + UPDATE_ROUNDS
    assert all(len(past.at(revision, RUN.key)) == NAMES for revision in range(NAMES, past.last + 1))
    assert behind.check_tag(storm.tag).ok
    said(record_property, storm)


class Uploads(Storm):
    """Uploads under one name: half of them the same bytes, half bytes of their own; by both interfaces."""

    def __init__(self, server: Server) -> None:
        super().__init__(server, server.unique("storm"))
        self.found: list[tuple[int, str]] = []

    def uploader(self, number: int) -> Callable[[requests.Session], None]:
        content = b"same" if number < UPLOADERS // 2 else f"content {number}".encode()

        def upload(session: requests.Session) -> None:
            payload = self.by_number(session, content) if number % 2 else self.by_batch(session, content)
            self.found.append((payload["revision"], hashlib.md5(content, usedforsecurity=False).hexdigest()))

        return upload

    def by_number(self, session: requests.Session, content: bytes) -> dict[str, Any]:
        words = json.dumps({"checksum": hashlib.md5(content, usedforsecurity=False).hexdigest()})
        parts: Any = [("json", (None, words, "application/json")), ("f", ("f", content))]
        answer = self.ask(session, "POST", f"v2/package/dbstore/module/{self.tag}/payload", files=parts)
        return dict(answer.json())

    def by_batch(self, session: requests.Session, content: bytes) -> dict[str, Any]:
        parts: Any = [("batch", (None, json.dumps({"payloads": [{"name": self.tag}]}))), ("payload", ("f", content))]
        return dict(self.ask(session, "POST", "v1/batch", files=parts).json()["payloads"][0])


def test_a_storm_of_uploads_ends_with_a_revision_for_each_content(
    spoilt: Server, behind: Store, record_property: Callable[[str, object], None]
) -> None:
    for _ in range(UPLOAD_ROUNDS):
        storm = Uploads(spoilt)
        storm.run([storm.uploader(number) for number in range(UPLOADERS)], 0)
        assert storm.faults == []
        kept = {(payload.revision, payload.md5) for payload in behind.list_payloads(pattern=storm.tag)}
        assert set(storm.found) == kept
        assert sorted(revision for revision, _ in kept) == list(range(1, UPLOADERS // 2 + 2))
        said(record_property, storm)


def said(record_property: Callable[[str, object], None], storm: Storm) -> None:
    """How much was tried; shown with -rP."""
    print(f"{storm.n_asked} requests, {len(storm.told)} of them reads, {len(storm.acknowledged)} rows acknowledged")
    record_property("operations", storm.n_asked)
