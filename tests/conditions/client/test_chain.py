"""Several providers in order: fall-over at the start and in mid-job, and what a next provider must agree with."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conditions import Client, NoProvider, Run
from conditions.client.chain import Chain, Provider
from conditions.client.transport import Source
from conditions.errors import PayloadCorrupt, StoreUnavailable, TagNotFound, TagNotUsable
from conditions.iov import IntervalOfValidity
from conditions.offline.snapshot import SnapshotSource
from conditions.store.session import Store, open_store
from conditions.tags import TagState
from support.providers import Ending, snapshot_of
from support.stores import publish, tag_with, upload_text


@pytest.fixture
def filled(sqlite_url: str, files_dir: Path) -> Store:
    """A published tag with `gat` and `cnn`, a RUNNING one with `gain`, and an OPEN one with `draft`."""
    store = open_store(sqlite_url, files_dir, user="tester")
    tag_with(store, "mc16", "gat", "cnn")
    publish(store, "mc16")
    tag_with(store, "online", "gain")
    store.set_state("online", TagState.RUNNING)
    tag_with(store, "draft", "draft")
    return store


@pytest.fixture
def snapshot(filled: Store, tmp_path: Path) -> Path:
    """Published and running tag in a file, with the payload files beside it."""
    return snapshot_of(filled, tmp_path / "snap" / "snapshot.sqlite", "mc16", "online", files=True)


def chain(**sources: Source | Callable[[], Source]) -> Chain:
    """Providers under their names, each a source or what opens one."""

    def opener(given: Source | Callable[[], Source]) -> Callable[[], Source]:
        return given if callable(given) else lambda: given

    return Chain([Provider(name, opener(given)) for name, given in sources.items()])


def unreachable() -> Source:
    raise StoreUnavailable("https://example.org", "nothing answers")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_the_first_provider_answers_and_the_others_are_not_opened(filled: Store) -> None:
    def never() -> Source:
        raise AssertionError("it was opened")

    providers = chain(store=filled, other=never)
    assert Client(providers, "mc16").get("gat", Run(7, 1)).tag == "mc16"
    assert (providers.used, providers.passed_over) == (["store"], [])


def test_one_that_cannot_be_opened_is_passed_over_once_with_the_reason(
    filled: Store, caplog: pytest.LogCaptureFixture
) -> None:
    client = Client(chain(server=unreachable, store=filled), "mc16")
    for run in range(3):
        assert client.path(client.get("gat", Run(7, run))).read_bytes() == b"gat"
    assert warnings(caplog) == [
        "conditions provider server is passed over: https://example.org cannot be used: nothing answers",
        "conditions come from store from now on",
    ]


def test_one_that_fails_in_the_middle_of_a_job_is_left_for_good(
    filled: Store, snapshot: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = Ending(filled, 3)
    client = Client(chain(server=server, snapshot=SnapshotSource(snapshot)), ["mc16", "online"])
    found = [client.resolve(Run(1, run)) for run in range(6)]
    assert [sorted(answer) for answer in found] == [["cnn", "gain", "gat"]] * 6
    assert len({answer["gat"].payload.md5 for answer in found}) == 1
    assert client.path(found[0]["gat"]).read_bytes() == client.path(found[5]["gat"]).read_bytes() == b"gat"
    assert server.n_asked == 4
    assert "server is passed over: the ending source cannot be used: it has gone" in warnings(caplog)[0]
    assert warnings(caplog)[1:] == ["conditions come from snapshot from now on"]


def test_one_that_fails_when_a_file_is_wanted_is_left_too(filled: Store, snapshot: Path) -> None:
    providers = chain(server=Ending(filled, 1), snapshot=SnapshotSource(snapshot))
    client = Client(providers, "mc16")
    assert client.path(client.get("gat", Run(7, 1))).read_bytes() == b"gat"
    assert client.get("gat", Run(7, 2)).tag == "mc16"
    assert providers.used == ["server", "snapshot"]


def test_one_that_lacks_a_tag_is_skipped_with_a_warning(
    filled: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    partial = SnapshotSource(snapshot_of(filled, tmp_path / "partial.sqlite", "mc16"))
    providers = chain(partial=partial, store=filled)
    assert sorted(Client(providers, ["mc16", "online"]).resolve(Run(1, 1))) == ["cnn", "gain", "gat"]
    assert providers.used == ["store"]
    assert "provider partial is passed over: no tag 'online'" in warnings(caplog)[0]


def test_a_tag_that_nobody_has_is_the_tags_fault_and_another_stack_may_be_asked(filled: Store, snapshot: Path) -> None:
    providers = chain(store=filled, snapshot=SnapshotSource(snapshot))
    client = Client(providers)
    with pytest.raises(TagNotFound, match="no tag 'mc17'"):
        client.resolve(Run(1, 1), stack=["mc17"])
    assert client.get("gat", Run(1, 1), stack="mc16").tag == "mc16"
    assert providers.used == ["store"]
    with pytest.raises(TagNotFound, match="no tag 'mc17'"):  # a job that has begun stays where it is
        client.resolve(Run(1, 1), stack=["mc17"])
    assert providers.used == ["store"]


def test_when_none_is_left_all_are_named_with_their_reasons(filled: Store, tmp_path: Path) -> None:
    partial = SnapshotSource(snapshot_of(filled, tmp_path / "partial.sqlite", "mc16"))
    client = Client(chain(server=unreachable, ending=Ending(filled, 0), partial=partial), ["mc16", "online"])
    with pytest.raises(NoProvider) as caught:
        client.resolve(Run(1, 1))
    assert [name for name, _ in caught.value.reasons] == ["server", "ending", "partial"]
    for part in ("nothing answers", "it has gone", "no tag 'online'"):
        assert part in str(caught.value)


def test_a_refusal_is_an_answer_and_no_older_copy_is_asked(filled: Store, snapshot: Path) -> None:
    filled.set_state("mc16", TagState.INVALID)
    with pytest.raises(TagNotUsable, match="INVALID"):
        Client(chain(store=filled, snapshot=SnapshotSource(snapshot)), "mc16").resolve(Run(1, 1))
    with pytest.raises(TagNotUsable, match="OPEN"):
        Client(chain(store=filled, snapshot=SnapshotSource(snapshot)), "draft").resolve(Run(1, 1))


@pytest.mark.parametrize("details", [False, True])
def test_a_published_tag_with_other_content_is_refused(
    filled: Store, tmp_path: Path, files_dir: Path, snapshot: Path, sqlite_template: Path, *, details: bool
) -> None:
    shutil.copyfile(sqlite_template, tmp_path / "other.sqlite")
    with open_store(tmp_path / "other.sqlite", tmp_path / "others") as other:
        other.create_tag("mc16")
        for name in ("gat", "cnn"):
            other.add_iov("mc16", name, upload_text(other, name, "other").revision, IntervalOfValidity.always())
        other.publish_tag("mc16")
        wrong = snapshot_of(other, tmp_path / "wrong.sqlite", "mc16", details=details)
    filled.publish_tag("online")
    providers = chain(store=Ending(filled, 1), wrong=SnapshotSource(wrong), right=SnapshotSource(snapshot))
    client = Client(providers, "mc16")
    assert client.get("gat", Run(7, 1)).payload.md5 == client.get("gat", Run(7, 2)).payload.md5
    assert providers.used == ["store", "right"]
    assert [each.provider.name for each in providers.passed_over] == ["store", "wrong"]
    reason = "published with digest" if details else "another 'cnn' for 7:1 in mc16, which cannot change"
    reason = reason if details else "in mc16, which cannot change"
    assert reason in providers.passed_over[1].reason


def test_a_tag_that_may_change_is_used_from_an_older_copy_and_that_is_said(
    filled: Store, snapshot: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gain = upload_text(filled, "gain", "newer")
    [row] = filled.list_iovs("online")
    filled.close_iov("online", row.id, Run(4, 10))
    filled.add_iov("online", "gain", gain.revision, IntervalOfValidity.parse("4,11,-1,-1"))
    providers = chain(store=Ending(filled, 1), snapshot=SnapshotSource(snapshot))
    client = Client(providers, ["online", "mc16"])
    assert client.get("gain", Run(4, 20)).payload.md5 == gain.md5
    assert client.get("gain", Run(4, 20)).payload.md5 != gain.md5
    assert "online is not published and has another 'gain' for 4:20 than this job was given before" in warnings(caplog)


def test_bytes_that_one_provider_has_lost_come_from_another_without_leaving_it(
    filled: Store, snapshot: Path, caplog: pytest.LogCaptureFixture
) -> None:
    providers = chain(store=filled, snapshot=SnapshotSource(snapshot))
    client = Client(providers, "mc16")
    won = client.get("gat", Run(7, 1))
    own = filled.payload_path(won.payload)
    own.chmod(0o644)
    own.write_bytes(b"tag")
    assert client.path(won).read_bytes() == b"gat"
    assert client.get("cnn", Run(7, 1)).tag == "mc16"
    assert providers.used == ["store"]
    assert "gat r1 comes from snapshot, since payload 'gat' revision 1 is corrupt" in caplog.text
    shutil.rmtree(snapshot.parent / "payloads")
    with pytest.raises(PayloadCorrupt):
        client.path(won)


def test_a_payload_known_by_md5_is_found_in_a_store(filled: Store, tmp_path: Path) -> None:
    bare = SnapshotSource(snapshot_of(filled, tmp_path / "bare" / "snapshot.sqlite", "mc16"))
    client = Client(chain(snapshot=bare, store=filled), "mc16")
    won = client.get("gat", Run(7, 1))
    assert won.payload.sha256 == ""
    assert client.path(won).read_bytes() == b"gat"
