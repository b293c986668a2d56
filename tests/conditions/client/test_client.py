"""The client on a real store: stacks, required and optional payloads, verified files."""

from __future__ import annotations

from pathlib import Path

import pytest

import conditions
from conditions import Client, NoPayloadForRun, PayloadCorrupt, Run
from conditions.errors import BadInputError, TagNotUsable
from conditions.store.session import Store
from support.stores import publish, tag_with


@pytest.fixture
def filled(store: Store) -> Store:
    """Two published tags: the first has `gat` for experiment 7 only, the second `gat` and `cnn` for ever."""
    tag_with(store, "mc16", "gat", iov="7,0,7,-1")
    tag_with(store, "online", "gat", "cnn")
    for tag in ("mc16", "online"):
        publish(store, tag)
    return store


def test_the_stack_in_force_decides(filled: Store) -> None:
    client = Client(filled, ["mc16", "online"])
    assert {name: won.tag for name, won in client.resolve(Run(7, 120)).items()} == {"cnn": "online", "gat": "mc16"}
    assert client.get("gat", Run(8, 0)).tag == "online"
    assert client.get("gat", Run(7, 0), stack="online").tag == "online"
    assert list(client.resolve(Run(7, 0), ["cnn"])) == ["cnn"]
    assert list(client.resolve(Run(7, 0), "cnn")) == ["cnn"]  # one name, not its letters
    assert list(client.resolve_many([Run(7, 0)], "cnn")[Run(7, 0)]) == ["cnn"]
    many = client.resolve_many([Run(7, 0), Run(8, 0)], ["gat"])
    assert [many[run]["gat"].tag for run in (Run(7, 0), Run(8, 0))] == ["mc16", "online"]


def test_a_required_payload_is_named_with_run_and_stack_when_missing(filled: Store) -> None:
    client = Client(filled, "mc16")
    with pytest.raises(NoPayloadForRun, match="no payload 'gat' for 8:1 in mc16"):
        client.get("gat", Run(8, 1))
    assert client.find("gat", Run(8, 1)) is None
    assert client.find("gat", Run(7, 1)) is not None


def test_a_missing_optional_payload_is_said_once_with_the_run(filled: Store, caplog: pytest.LogCaptureFixture) -> None:
    client = Client(filled, "mc16")
    for run in (8, 9):
        assert client.find("gat", Run(8, run)) is None
    assert client.find("cnn", Run(7, 1), stack="mc16") is None
    assert [record.getMessage() for record in caplog.records] == [
        "no payload 'gat' for 8:8 in mc16: it is optional",
        "no payload 'cnn' for 7:1 in mc16: it is optional",
    ]


def test_files_are_verified(filled: Store) -> None:
    client = Client(filled, ["mc16"])
    won = client.get("gat", Run(7, 0))
    path = client.path(won)
    assert path == client.path(won.payload)
    assert path.read_bytes() == b"gat"
    path.chmod(0o644)
    path.write_bytes(b"tag")
    with pytest.raises(PayloadCorrupt, match="'gat' revision 1"):
        client.path(won)


def test_without_a_stack_nothing_is_guessed(filled: Store) -> None:
    with pytest.raises(BadInputError, match="stack of tags is empty"):
        Client(filled).resolve(Run(7, 0))


def test_open_tags_are_used_only_when_asked_for(store: Store) -> None:
    tag_with(store, "fresh", "gat")
    with pytest.raises(TagNotUsable):
        Client(store, "fresh").get("gat", Run(0, 0))
    assert Client(store, "fresh", allow_open=True).get("gat", Run(0, 0)).tag == "fresh"


def test_a_client_is_opened_from_a_place_or_the_environment(
    filled: Store, store_url: str, files_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONDITIONS_FILES", str(files_dir))
    with conditions.open(store_url, ["mc16"]) as client:
        assert client.path(client.get("gat", Run(7, 0))).read_bytes() == b"gat"
    monkeypatch.setenv("CONDITIONS_URL", store_url)
    monkeypatch.setenv("BELLE2_CONDB_GLOBALTAG", "mc16 online")
    with conditions.open() as client:
        assert client.stack == ("mc16", "online")
        assert client.get("gat", Run(8, 0)).tag == "online"
    monkeypatch.setenv("CONDITIONS_TAGS", "online")
    with conditions.open() as client:
        assert client.stack == ("online",)
