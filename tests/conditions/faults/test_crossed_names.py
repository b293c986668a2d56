"""A tag that is renamed, and whose name is given away, between two looks of one request."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
import requests
from sqlalchemy import text

from conditions.store.session import Store
from support.server import Server
from support.stores import tag_with, upload_text

WAIT_S = 0.5  # for a request to come as far as it can while the database is held
RENAME = "UPDATE tags SET name = :moved WHERE name = :mine"
GIVE_AWAY = "UPDATE tags SET name = :mine WHERE name = :other"


@pytest.mark.parametrize("kind", ["create", "modify row", "delete row", "modify tag"])
def test_a_change_by_number_never_meets_another_tag_of_the_same_name(spoilt: Server, behind: Store, kind: str) -> None:
    """The request has read the name of its tag when the name goes to another tag, which must not be changed."""
    names = {name: spoilt.unique(name) for name in ("mine", "other", "moved")}
    (mine,) = tag_with(behind, names["mine"], "gain", iov="1,0,1,5")
    tag_with(behind, names["other"], "gain", iov="1,0,1,5")
    payload, number = upload_text(behind, "new"), behind.get_tag(names["mine"]).id
    asked: dict[str, tuple[str, str, Any]] = {
        "create": ("POST", f"globalTagPayload/{number},{payload.id}/payloadIov/7,0,7,5", None),
        "modify row": ("PUT", f"payloadIov/{mine.id}?expEnd=1&runEnd=3", None),
        "delete row": ("DELETE", f"payloadIov/{mine.id}", None),
        "modify tag": ("PUT", "globalTag", {"globalTagId": number, "name": names["mine"], "description": "of mine"}),
    }
    send = sender(spoilt, *asked[kind])
    with behind._writer.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("LOCK TABLE tags, iovs IN EXCLUSIVE MODE"))
        for statement in (RENAME, GIVE_AWAY):
            connection.execute(text(statement), names)
        answers, thread = send()
        time.sleep(WAIT_S)
    thread.join()
    assert [(str(row.payload), str(row.iov)) for row in behind.list_iovs(names["mine"])] == [("gain r1", "1,0,1,5")]
    assert behind.get_tag(names["mine"]).description == ""
    moved, description = behind.list_iovs(names["moved"]), behind.get_tag(names["moved"]).description
    assert answers[0].status_code in (200, 204, 404, 503), answers[0].text
    done = {
        "create": len(moved) == 2,
        "modify row": [str(row.iov) for row in moved] == ["1,0,1,3"],
        "delete row": moved == [],
        "modify tag": description == "of mine",
    }
    assert answers[0].ok == done[kind], "done and not said, or said and not done"


def sender(
    server: Server, method: str, path: str, body: Any
) -> Callable[[], tuple[list[requests.Response], threading.Thread]]:
    """Sends a request in a thread, when it is called."""
    answers: list[requests.Response] = []
    session = server.session(server.token())
    session.get(f"{server.url}/v2/globalTags", timeout=60)

    def ask() -> None:
        with session:
            answers.append(session.request(method, f"{server.url}/v2/{path}", json=body, timeout=60))

    def send() -> tuple[list[requests.Response], threading.Thread]:
        thread = threading.Thread(target=ask)
        thread.start()
        return answers, thread

    return send
