"""What a fine-tuning starts from: a payload of a store, a server or a snapshot, resolved or by revision."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import click
import pytest

from conditions import NoPayloadForRun, PayloadFileError, Run
from conditions.errors import NotFoundError
from conditions.store import open_store
from conditions.store.schema import upgrade
from smartbkg.cli.train.parent import Parent, Wanted, fetch_parent, starting_point
from support.providers import snapshot_of
from support.server import running_server
from support.trained import publish_trained, write_trained

NAME = "GATGAPgen.pth"
RUN = Run(0, 0)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("CONDITIONS_", "BELLE2_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CONDITIONS_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site: revision 1 until run 9, revision 2 from run 10 on, revision 3 in an OPEN tag of its own."""
    folder = tmp_path_factory.mktemp("site")
    upgrade(f"sqlite:///{folder / 'conditions.sqlite'}")
    with open_store(folder / "conditions.sqlite", folder / "payloads") as store:
        publish_trained(store, folder / "1", seed=1, iov="0,0,0,9", state=None)
        publish_trained(store, folder / "2", seed=2, iov="0,10,-1,-1")
        publish_trained(store, folder / "3", seed=3, tag="mine", state=None)
        (folder / "snap").mkdir()
        snapshot_of(store, folder / "snap" / "snapshot.sqlite", "SmartBKG_GATGAP", files=True)
    return folder


def fetch(folder: Path, text: str, *tags: str, store: str | None = None, run: Run = RUN) -> Parent:
    return fetch_parent(Wanted.parse(text), tags, store or str(folder / "conditions.sqlite"), run)


def is_of(parent: Parent, folder: Path, training: int) -> bool:
    return (
        hashlib.sha256(parent.path.read_bytes()).digest()
        == hashlib.sha256((folder / str(training) / NAME).read_bytes()).digest()
    )


@pytest.mark.parametrize(("run", "revision"), [(RUN, 1), (Run(0, 10), 2)])
def test_a_payload_is_resolved_for_a_run_as_a_job_would(run: Run, revision: int, folder: Path) -> None:
    parent = fetch(folder, NAME, run=run)
    assert is_of(parent, folder, revision)
    assert parent.origin == {"name": NAME, "revision": revision, "tag": "SmartBKG_GATGAP"}
    assert str(parent) == f"GATGAPgen.pth@{revision} of SmartBKG_GATGAP"


def test_the_stack_in_force_decides_and_open_tags_may_be_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_of(fetch(folder, NAME, "mine", "SmartBKG_GATGAP"), folder, 3)
    monkeypatch.setenv("CONDITIONS_TAGS", "mine")
    assert is_of(fetch(folder, NAME), folder, 3)


def test_the_store_of_the_environment_is_used_when_none_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDITIONS_URL", f"sqlite:///{folder / 'conditions.sqlite'}")
    monkeypatch.setenv("CONDITIONS_FILES", str(folder / "payloads"))
    assert is_of(fetch_parent(Wanted(NAME), (), None, RUN), folder, 1)
    assert is_of(fetch_parent(Wanted(NAME, 3), (), None, RUN), folder, 3)


@pytest.mark.parametrize("revision", [1, 2, 3])
def test_a_revision_is_taken_whatever_the_tags_give(revision: int, folder: Path) -> None:
    parent = fetch(folder, f"{NAME}@{revision}")
    assert is_of(parent, folder, revision)
    assert (parent.origin["name"], parent.origin["revision"]) == (NAME, revision)


def test_a_server_gives_the_winner_and_every_revision(folder: Path) -> None:
    with running_server(f"sqlite:///{folder / 'conditions.sqlite'}", folder / "payloads", workers=1) as server:
        assert is_of(fetch(folder, NAME, store=server.url, run=Run(0, 10)), folder, 2)
        assert is_of(fetch(folder, f"{NAME}@3", store=server.url), folder, 3)
        with pytest.raises(NotFoundError, match=r"no revision 7 of payload 'GATGAPgen.pth' is to be had here: Smart"):
            fetch(folder, f"{NAME}@7", store=server.url)


def test_a_snapshot_gives_what_its_tags_hold(folder: Path) -> None:
    snapshot = str(folder / "snap" / "snapshot.sqlite")
    assert is_of(fetch(folder, NAME, store=snapshot), folder, 1)
    assert is_of(fetch(folder, f"{NAME}@2", store=snapshot, run=Run(0, 10)), folder, 2)
    with pytest.raises(NotFoundError, match=r"no revision 3 of .* SmartBKG_GATGAP gives revision 1 for run 0:0"):
        fetch(folder, f"{NAME}@3", store=snapshot)


def test_of_several_places_the_first_that_has_the_revision_gives_it(folder: Path) -> None:
    places = f"{folder / 'snap' / 'snapshot.sqlite'} {folder / 'conditions.sqlite'}"
    assert is_of(fetch(folder, f"{NAME}@3", store=places), folder, 3)


def test_a_name_that_nobody_has_is_not_found(folder: Path) -> None:
    with pytest.raises(NoPayloadForRun, match=r"GATGAPgen\.pt'"):
        fetch(folder, "GATGAPgen.pt")
    with pytest.raises(NotFoundError, match=r"no revision 1 of payload 'GATGAPgen.pt' is to be had here"):
        fetch(folder, "GATGAPgen.pt@1")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    with open_store(tmp_path / "conditions.sqlite") as store:
        payload = publish_trained(store, tmp_path / "1").payloads[0]
        path = store.payload_path(payload)
    path.chmod(0o644)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    for text in (NAME, f"{NAME}@1"):
        with pytest.raises(PayloadFileError):
            fetch(tmp_path, text)


@pytest.mark.parametrize("text", ["a@b", "@3", "", "a@"])
def test_what_is_no_name_and_no_revision_is_wrong_usage(text: str) -> None:
    with pytest.raises(click.UsageError, match="NAME or NAME@REVISION"):
        Wanted.parse(text)


def options(**given: Any) -> dict[str, Any]:
    return {"payload": None, "start_from": None, "tags": (), "store": None, "run": "0,0", "epochs": 3, **given}


def test_a_file_or_nothing_needs_no_store(tmp_path: Path) -> None:
    checkpoint = write_trained(tmp_path / "1") / NAME
    settings = options(start_from=checkpoint)
    assert starting_point(settings, fresh_head=True) == Parent(checkpoint)
    assert settings == {"epochs": 3}
    assert starting_point(options(), fresh_head=False) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"payload": NAME, "start_from": Path("a")}, "not both"),
        ({"tags": ("main",)}, "say where --from finds its payload"),
        ({"store": "main"}, "say where --from finds its payload"),
        ({}, "--fresh-head belongs to a fine-tuning"),
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(given: dict[str, Any], said: str) -> None:
    with pytest.raises(click.UsageError, match=said):
        starting_point(options(**given), fresh_head=True)
