"""No verb of any interface changes what a tag that is not OPEN holds: not in bulk, and not by taking its rows away."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from conditions.iov import IntervalOfValidity
from conditions.resolve import IovEntry
from conditions.store.session import Store
from conditions.tags import Tag, TagState
from support.server import Server
from support.stores import publish, tag_with, upload_text

ROWS = {"name": None, "regex": None, "within": None, "contained": False, "cut": False, "revision": None}
NEW_ROW = {"name": "{payload}", "iov": "5,0,5,-1", "revision": 1}
BATCH = {"tag": "{tag}", "create": True, "payloads": [], "iovs": [NEW_ROW]}
OPERATIONS = [{"operation": "CREATE", "data": ["{payload_id}", 9, 0, -1, -1]}]
CLOSING = [{"operation": "MODIFY", "data": ["{row}", 1, 5]}]

# What a state refuses when it is asked of the tag by its name, its number or the number of a row of it.
ASKED_OF_THE_TAG: Mapping[str, tuple[str, str, Any]] = {
    "v2 create": ("POST", "/v2/globalTagPayload/{tag_id},{payload_id}/payloadIov/5,0,5,-1", None),
    "v2 delete": ("DELETE", "/v2/payloadIov/{row}", None),
    "v2 modify": ("PUT", "/v2/payloadIov/{row}?expStart=3&runStart=0&expEnd=3&runEnd=9", None),
    "v2 close": ("PUT", "/v2/payloadIov/{row}?expEnd=1&runEnd=5", None),
    "v2 updateRunningPayloads, created": ("POST", "/v2/globalTagPayload/{tag}/updateRunningPayloads", OPERATIONS),
    "v2 updateRunningPayloads, closed": ("POST", "/v2/globalTagPayload/{tag}/updateRunningPayloads", CLOSING),
    "v2 modify tag": ("PUT", "/v2/globalTag", {"globalTagId": "{tag_id}", "name": "{tag}", "description": "other"}),
    "v2 rename tag": ("PUT", "/v2/globalTag", {"globalTagId": "{tag_id}", "name": "{tag}_moved"}),
    "add_iovs": ("POST", "/v1/tags/{tag}/iovs", {"iovs": [NEW_ROW]}),
    "modify_iov": ("PATCH", "/v1/tags/{tag}/iovs/{row}", {"iov": "3,0,3,9"}),
    "modify_iov, closed": ("PATCH", "/v1/tags/{tag}/iovs/{row}", {"last": "1,5"}),
    "delete_iov": ("DELETE", "/v1/tags/{tag}/iovs/{row}", None),
    "merge_tags": ("POST", "/v1/tags/{tag}/merge", {"sources": ["{tag}", "{open}"]}),
    "running_update": ("POST", "/v1/tags/{tag}/running-update", {"staging": "{staging}", "first_run": "9,0"}),
    "copy_iovs": ("POST", "/v1/tags/{open}/iovs/copy", {"target": "{tag}", "rows": ROWS}),
    "modify_iovs": ("POST", "/v1/tags/{tag}/iovs/modify", {"rows": ROWS, "iov": "3,0,3,9"}),
    "delete_iovs": ("POST", "/v1/tags/{tag}/iovs/delete", {"rows": ROWS}),
    "modify_tag": ("PATCH", "/v1/tags/{tag}", {"description": "other"}),
    "modify_tag, renamed": ("PATCH", "/v1/tags/{tag}", {"name": "{tag}_moved"}),
    "submit_batch": ("POST", "/v1/batch", BATCH),
    "submit_batch, opened": ("POST", "/v1/batch", {**BATCH, "state": "OPEN"}),
}
# The same rows, reached through another tag that may be changed.
ASKED_OF_ANOTHER: Mapping[str, tuple[str, str, Any]] = {
    "modify_iov": ("PATCH", "/v1/tags/{open}/iovs/{row}", {"iov": "3,0,3,9"}),
    "modify_iov, closed": ("PATCH", "/v1/tags/{open}/iovs/{row}", {"last": "1,5"}),
    "delete_iov": ("DELETE", "/v1/tags/{open}/iovs/{row}", None),
    "modify_iovs": ("POST", "/v1/tags/{open}/iovs/modify", {"rows": {**ROWS, "ids": ["{row}"]}, "iov": "3,0,3,9"}),
    "delete_iovs": ("POST", "/v1/tags/{open}/iovs/delete", {"rows": {**ROWS, "ids": ["{row}"]}}),
    "copy_iovs": ("POST", "/v1/tags/{open}/iovs/copy", {"target": "{other}", "rows": {**ROWS, "ids": ["{row}"]}}),
    "v2 updateRunningPayloads": ("POST", "/v2/globalTagPayload/{running}/updateRunningPayloads", CLOSING),
    "v2 updateRunningPayloads, both": (
        "POST",
        "/v2/globalTagPayload/{running}/updateRunningPayloads",
        [*OPERATIONS, *CLOSING],
    ),
}
CHANGES_NO_ROW = {"create_tag", "set_state", "publish_tag", "clone_tag"}
READS = {"resolve_many", "find_payloads", "latest_payloads"}
WAY_TO = {
    "TESTING": ["TESTING"],
    "VALIDATED": ["TESTING", "VALIDATED"],
    "PUBLISHED": ["TESTING", "VALIDATED", "PUBLISHED"],
    "INVALID": ["TESTING", "VALIDATED", "PUBLISHED", "INVALID"],
    "RUNNING": ["RUNNING"],
}
# A RUNNING tag takes later rows, and an end for what has none.
TAKEN_BY_RUNNING = {
    "v2 create",
    "v2 close",
    "v2 updateRunningPayloads, created",
    "v2 updateRunningPayloads, closed",
    "add_iovs",
    "modify_iov, closed",
    "running_update",
    "submit_batch",
}


@dataclass
class Scene:
    """A closed tag, tags around it that may be changed, and a client with all rights."""

    server: Server
    store: Store
    tag: str
    words: dict[str, Any]

    def ask(self, method: str, path: str, body: Any) -> requests.Response:
        """One request, with the scene's own names and numbers in it."""
        url, given = self.server.url + path.format(**self.words), self.filled(body)
        with self.server.session(self.server.token()) as session:
            if path == "/v1/batch":
                parts = {"batch": ("batch", json.dumps(given), "application/json")}
                return session.post(url, files=parts, timeout=60)
            return session.request(method, url, json=given, timeout=60)

    def filled(self, value: Any) -> Any:
        """A body with its words replaced; one that is nothing but a number's word becomes that number."""
        if isinstance(value, str):
            return self.words[value[1:-1]] if value in _NUMBERS else value.format(**self.words)
        if isinstance(value, dict):
            return {key: self.filled(each) for key, each in value.items()}
        return [self.filled(each) for each in value] if isinstance(value, list) else value

    def content(self) -> tuple[Tag, list[IovEntry], str, int]:
        """Everything about the tag, as the store has it."""
        store, tag = self.store, self.tag
        return store.get_tag(tag), store.list_iovs(tag), store.tag_digest(tag), len(store.tag_history(tag))


_NUMBERS = ("{row}", "{tag_id}", "{payload_id}")


@pytest.fixture(params=list(WAY_TO))
def scene(request: pytest.FixtureRequest, spoilt: Server, behind: Store) -> Scene:
    return make_scene(request.param, spoilt, behind)


def make_scene(state: str, server: Server, store: Store) -> Scene:
    """A tag in that state with two open rows, and tags of other states with content of their own."""
    stem = server.unique("scene")
    words: dict[str, Any] = {name: f"{stem}_{name}" for name in ("tag", "open", "other", "running", "staging")}
    payload = upload_text(store, f"{stem}_payload", stem)
    for name in ("tag", "open", "running", "staging"):
        tag_with(store, words[name], f"{stem}_a", f"{stem}_b", iov="1,0,-1,-1")
    store.create_tag(words["other"])
    store.set_state(words["running"], "RUNNING")
    for each in ("TESTING", "VALIDATED"):
        store.set_state(words["staging"], each)
    for each in WAY_TO[state]:
        store.set_state(words["tag"], each)
    row = store.list_iovs(words["tag"])[0]
    numbers = {"row": row.id, "tag_id": store.get_tag(words["tag"]).id, "payload_id": payload.id}
    return Scene(server, store, words["tag"], words | numbers | {"payload": payload.name})


def test_no_verb_changes_a_closed_tag(scene: Scene) -> None:
    """Among them the bulk paths: batch, merge, copy, running update, many operations at once."""
    before = scene.content()
    taken = TAKEN_BY_RUNNING if before[0].state is TagState.RUNNING else set()
    for verb in sorted(ASKED_OF_THE_TAG.keys() - taken):
        answer = scene.ask(*ASKED_OF_THE_TAG[verb])
        assert answer.status_code in (400, 404, 409), (verb, answer.status_code, answer.text)
        assert set(answer.json()) >= {"code", "reason", "message"}
        assert scene.content() == before, verb


def test_no_verb_empties_a_closed_tag_through_another(scene: Scene) -> None:
    before = scene.content()
    others = {name: scene.store.list_iovs(scene.words[name]) for name in ("open", "other", "running")}
    for verb, asked in ASKED_OF_ANOTHER.items():
        answer = scene.ask(*asked)
        assert scene.content() == before, (verb, answer.text)
        found = {name: scene.store.list_iovs(scene.words[name]) for name in others}
        assert found == others, (verb, answer.text)
        assert answer.status_code in (200, 400, 404, 409), (verb, answer.text)


def test_a_merge_that_takes_from_a_closed_tag_takes_nothing_away(scene: Scene) -> None:
    before = scene.content()
    for target in ("other", "open"):
        answer = scene.ask("POST", f"/v1/tags/{{{target}}}/merge", {"sources": ["{tag}"]})
        assert answer.status_code in (200, 409), answer.text
        assert scene.content() == before


def test_every_verb_of_v1_that_changes_rows_was_tried(spoilt: Server) -> None:
    document = spoilt.session().get(f"{spoilt.url}/v1/openapi.json", timeout=60).json()
    changing = {
        operation["operationId"]
        for methods in document["paths"].values()
        for method, operation in methods.items()
        if method in ("post", "put", "patch", "delete")
    }
    tried = {verb.partition(",")[0] for verb in ASKED_OF_THE_TAG if not verb.startswith("v2")}
    assert changing - CHANGES_NO_ROW - READS == tried


@pytest.mark.parametrize("kind", ["v2", "v1", "batch", "close"])
def test_a_running_tag_keeps_what_it_has_given_out(spoilt: Server, behind: Store, kind: str) -> None:
    scene = make_scene("RUNNING", spoilt, behind)
    before = scene.content()
    early = {"name": "{payload}", "iov": "0,0,0,5", "revision": 1}
    asked: dict[str, tuple[str, str, Any]] = {
        "v2": ("POST", "/v2/globalTagPayload/{tag_id},{payload_id}/payloadIov/0,0,0,5", None),
        "v1": ("POST", "/v1/tags/{tag}/iovs", {"iovs": [NEW_ROW, early]}),
        "batch": ("POST", "/v1/batch", {**BATCH, "iovs": [NEW_ROW, early]}),
        "close": ("PUT", "/v2/payloadIov/{row}?expEnd=0&runEnd=5", None),
    }
    answer = scene.ask(*asked[kind])
    assert answer.status_code in (400, 409), answer.text
    assert scene.content() == before


def test_nothing_answers_past_the_end_of_an_interval(spoilt: Server, behind: Store) -> None:
    """Also in a published tag, from its index, and where the end is that of an experiment."""
    tag = spoilt.unique("ending")
    tag_with(behind, tag, f"{tag}_closed", iov="1,3,2,7")
    behind.add_iov(tag, upload_text(behind, f"{tag}_exp", "e").name, None, IntervalOfValidity.parse("4,0,4,-1"))
    publish(behind, tag)
    with spoilt.session() as session:
        for _ in range(8):  # first from the database, then from what is compiled
            for run, names in {(1, 2): 0, (1, 3): 1, (2, 7): 1, (2, 8): 0, (3, 0): 0, (4, 10**6): 1, (5, 0): 0}.items():
                where: dict[str, Any] = {"gtName": tag, "expNumber": run[0], "runNumber": run[1]}
                hsf: dict[str, Any] = {"gtName": tag, "majorIOV": run[0], "minorIOV": run[1], "shape": "dict"}
                own = {"tag": tag, "run": f"{run[0]},{run[1]}"}
                assert len(session.get(f"{spoilt.url}/v2/iovPayloads", params=where, timeout=60).json()) == names
                assert len(session.get(f"{spoilt.url}/payloadiovs/", params=hsf, timeout=60).json()) == names
                found = session.get(f"{spoilt.url}/v1/resolve", params=own, timeout=60).json()
                assert len(found["payloads"]) == names, run
