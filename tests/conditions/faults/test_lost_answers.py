"""The answer to a change gets lost on its way: sent again it is done once, and what cannot be repeated is not."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from conditions.batch import Batch, NewIov, NewPayload
from conditions.client.http import HttpConfig
from conditions.client.remote import RemoteStore
from conditions.errors import ConditionsError, ServerUnreachable
from conditions.store.session import Store
from conditions.tags import TagState
from support.belle2 import Belle2Client, RequestFailed
from support.lossy import LossyWay, lossy_way
from support.server import Server
from support.stores import ALWAYS, tag_with, upload_text

QUICK = HttpConfig(attempts=3, backoff_s=0.001)
LOST = 2  # answers in a row, one fewer than attempts


@pytest.fixture
def way(spoilt: Server) -> Iterator[LossyWay]:
    with lossy_way(spoilt.url) as found:
        yield found


@pytest.fixture
def remote(way: LossyWay, spoilt: Server) -> Iterator[RemoteStore]:
    with RemoteStore(way.url, config=QUICK, token=spoilt.token()) as opened:
        yield opened


def test_changes_that_may_be_repeated_are_done_once(
    spoilt: Server, behind: Store, remote: RemoteStore, way: LossyWay
) -> None:
    tag, name = spoilt.unique("lost"), spoilt.unique("lost")
    payload = upload_text(behind, f"{name}_there")

    def batch() -> Batch:
        iovs = (NewIov(name, ALWAYS), NewIov(payload.name, ALWAYS, 1))
        return Batch(tag, (NewPayload(name, io.BytesIO(b"bytes")),), iovs, create=True, state=TagState.PUBLISHED)

    way.lose = LOST
    result = remote.submit(batch())
    assert way.n_lost == LOST
    assert result.tag is not None
    assert (result.tag.state, result.tag.content_revision) == (TagState.PUBLISHED, 1)
    assert [row.payload.name for row in behind.list_iovs(tag)] == sorted((name, payload.name))
    assert [entry.action for entry in behind.tag_history(tag)] == ["create", "add iovs", *["state"] * 3]
    way.lose = LOST
    assert remote.upload(name, io.BytesIO(b"other")).revision == 2
    assert len(behind.list_payloads(pattern=name)) == 2
    filled = behind.create_tag(spoilt.unique("lost")).name
    way.lose = LOST
    remote.add_iov(filled, name, 2, ALWAYS)
    way.lose = LOST
    remote.add_iovs(filled, [(payload, ALWAYS)])
    assert way.n_lost == 4 * LOST
    assert behind.get_tag(filled).content_revision == len(behind.list_iovs(filled)) == 2


@pytest.mark.parametrize("verb", ["create", "state", "publish", "clone", "close", "delete", "merge", "update"])
def test_a_change_that_cannot_be_repeated_is_done_once_and_said_to_be_unknown(
    spoilt: Server, behind: Store, remote: RemoteStore, way: LossyWay, verb: str
) -> None:
    tag, made = spoilt.unique("lost"), spoilt.unique("made")
    (row,) = tag_with(behind, tag, "gain")
    acts: dict[str, Callable[[], Any]] = {
        "create": lambda: remote.create_tag(made),
        "state": lambda: remote.set_state(tag, "TESTING"),
        "publish": lambda: remote.publish_tag(tag),
        "clone": lambda: remote.clone_tag(tag, made),
        "close": lambda: remote.close_iov(tag, row.id, ALWAYS.parse("0,0,7,7").last),
        "delete": lambda: remote.delete_iov(tag, row.id),
        "merge": lambda: remote.merge_tags(made, [tag]),
        "update": lambda: remote.modify_tag(tag, new_name=made),
    }
    if verb == "merge":
        behind.create_tag(made)
    way.lose = 1
    before = len(behind.audit())
    with pytest.raises(ServerUnreachable) as caught:
        acts[verb]()
    assert caught.value.maybe_done
    done = len(behind.audit())
    assert done > before
    with suppress(ConditionsError):  # most are refused now, others change nothing more
        acts[verb]()
    assert len(behind.audit()) == done, "the same change was done twice"


def test_a_belle2_client_that_asks_again_adds_nothing(spoilt: Server, behind: Store, way: LossyWay) -> None:
    """It repeats a PUT by itself, and is then told that the tag has that state already."""
    client = Belle2Client(way.url, spoilt.token())
    name = spoilt.unique("lost")
    tag = behind.create_tag(spoilt.unique("lost"))
    payload = upload_text(behind, name)
    acts: list[Callable[[], Any]] = [
        lambda: client.upload(name, b"more bytes"),
        lambda: client.create_iov(tag.id, payload.id, (1, 0, 2, 0)),
        lambda: client.set_state(tag.name, "TESTING"),
    ]
    for act in acts:
        way.lose = 1
        with pytest.raises((OSError, RequestFailed)):
            act()
        done = len(behind.audit())
        with suppress(RequestFailed):
            act()
        assert len(behind.audit()) == done
    assert way.n_lost == len(acts)
    assert [each.revision for each in behind.list_payloads(pattern=name)] == [1, 2]
    assert [str(row.iov) for row in behind.list_iovs(tag.name)] == ["1,0,2,0"]
    assert behind.get_tag(tag.name).state is TagState.TESTING
