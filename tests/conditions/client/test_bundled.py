"""What came along with a program answers for its own tags, and never in the place of something that failed."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

import conditions
from conditions import Bundled, NoProvider, Run, TagState
from conditions.client.snapshot_files import SnapshotWithFiles
from conditions.errors import (
    BadSnapshot,
    PastUnknown,
    PayloadNotHere,
    StoreError,
    StoreUnavailable,
    TagNotFound,
    TagNotUsable,
)
from conditions.store.session import Store, open_store
from support.providers import snapshot_of
from support.stores import publish, upload_text

TAG = "filters"
RUN = Run(1, 1)
DEAD = "http://127.0.0.1:1"


def filled(url: str, text: str, *tags: str) -> Store:
    """A store with published tags in which the payload `net` holds a text."""
    store = open_store(url, user="tester")
    for tag in tags:
        store.create_tag(tag)
        store.add_iov(tag, "net", upload_text(store, "net", text).revision, conditions.IntervalOfValidity.always())
        publish(store, tag)
    return store


@pytest.fixture
def bundled(tmp_path: Path) -> Bundled:
    store = filled(str(tmp_path / "maker" / "store.sqlite"), "came along", TAG, "not-for-everybody")
    path = snapshot_of(
        store, tmp_path / "program" / "snapshot.sqlite", TAG, "not-for-everybody", details=True, files=True
    )
    return Bundled(path, (TAG,), "the filters of the program")


def content(client: conditions.Client, tag: str = TAG) -> str:
    return client.path(client.get("net", RUN, stack=[tag])).read_text()


def test_where_nothing_is_configured_it_answers_and_no_store_is_made(
    bundled: Bundled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    with caplog.at_level(logging.INFO), conditions.open(bundled=bundled) as client:
        assert isinstance(client.source, SnapshotWithFiles)
        assert content(client) == "came along"
        assert client.providers == (str(bundled.path),)
    assert [record.message for record in caplog.records] == [
        f"conditions come from the filters of the program, {bundled.path}: nothing else is configured"
    ]
    assert not (tmp_path / "home").exists()


def test_the_users_own_store_goes_first_when_there_is_one(
    bundled: Bundled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    own = str(tmp_path / "home" / "conditions" / "conditions.sqlite")
    filled(own, "other things", "other").close()
    with conditions.open(bundled=bundled) as client:
        assert content(client) == "came along"
    filled(own, "own", TAG).close()
    with conditions.open(bundled=bundled) as client:
        assert content(client) == "own"
        assert client.providers == (f"sqlite:///{own}",)


def test_a_home_that_cannot_be_seen_is_an_error(
    bundled: Bundled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than any file name may be: looking there fails, as it does in a folder that is closed to this user.
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / ("x" * 300)))
    with pytest.raises(StoreUnavailable, match="too long"):
        conditions.open(bundled=bundled)


def test_what_is_configured_goes_first_and_the_bundled_tag_is_said_once(
    bundled: Bundled, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "site.sqlite"
    filled(str(place), "of the site", "site").close()
    with conditions.open(place, bundled=bundled) as client:
        assert content(client, "site") == "of the site"
        assert content(client) == "came along"
        assert client.resolve_many([RUN, Run(2, 1)], stack=[TAG]).keys() == {RUN, Run(2, 1)}
        assert client.providers == (f"sqlite:///{place}", str(bundled.path))
        assert client.tags[TAG].digest is not None
    said = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == [f"no tag 'filters' in sqlite:///{place}: it comes from the filters of the program, {bundled.path}"]


def test_a_tag_that_is_configured_is_never_taken_from_what_came_along(bundled: Bundled, tmp_path: Path) -> None:
    place = tmp_path / "site.sqlite"
    store = filled(str(place), "of the site", TAG)
    with conditions.open(place, bundled=bundled) as client:
        assert content(client) == "of the site"
        assert client.resolve(RUN, ["another"], stack=[TAG]) == {}  # nor for what the tag does not hold
    store.set_state(TAG, TagState.INVALID)
    with conditions.open(place, bundled=bundled) as client, pytest.raises(TagNotUsable):
        content(client)


def test_a_server_that_is_down_is_an_error(bundled: Bundled, tmp_path: Path) -> None:
    with conditions.open(DEAD, bundled=bundled) as client, pytest.raises(StoreError):
        content(client)
    # Another place works and does not know the tag: the one that is down might have known it.
    place = tmp_path / "site.sqlite"
    filled(str(place), "of the site", "site").close()
    with conditions.open([DEAD, place], bundled=bundled) as client:
        with pytest.raises(NoProvider, match=r"127\.0\.0\.1:1"):
            content(client)
        assert content(client, "site") == "of the site"
        with pytest.raises(NoProvider, match=r"127\.0\.0\.1:1"):
            client.resolve_optional(RUN, ["net"], TAG)


def test_a_store_that_is_not_there_is_an_error(
    bundled: Bundled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typo = tmp_path / "stroe.sqlite"
    with pytest.raises(StoreUnavailable, match=r"stroe\.sqlite.*no such file"):
        conditions.open(typo, bundled=bundled)
    monkeypatch.setenv("CONDITIONS_URL", f"sqlite:///{typo}")
    with pytest.raises(StoreUnavailable, match=r"stroe\.sqlite.*no such file"):
        conditions.open(bundled=bundled)
    assert not typo.exists()


def test_all_places_are_asked_before_what_came_along(bundled: Bundled, tmp_path: Path) -> None:
    places = [tmp_path / name / "store.sqlite" for name in ("first", "second")]
    filled(str(places[0]), "of the first", "site").close()
    second = filled(str(places[1]), "of the second", "site")
    with conditions.open(places, bundled=bundled) as client:
        assert content(client, "site") == "of the first"
        assert client.resolve_optional(RUN, ["net"], TAG)["net"].tag == TAG
        assert client.providers == (str(places[0]), str(bundled.path))
    second.create_tag(TAG)
    with conditions.open(places, bundled=bundled) as client:
        assert content(client, "site") == "of the first"
        with pytest.raises(TagNotFound):  # the second one knows it, so nothing else may answer for it
            client.resolve_optional(RUN, ["net"], TAG)
    second.close()


def test_a_place_that_breaks_while_it_is_asked_again_is_an_error(bundled: Bundled, tmp_path: Path) -> None:
    first, broken = tmp_path / "first.sqlite", tmp_path / "broken.sqlite"
    filled(str(first), "of the first", "site").close()
    broken.write_bytes(bundled.path.read_bytes()[:5000])
    with conditions.open([first, broken], bundled=bundled) as client:
        assert content(client, "site") == "of the first"
        with pytest.raises(NoProvider, match="broken"):
            client.resolve_optional(RUN, ["net"], TAG)


def test_only_the_programs_own_tags_alone_and_as_they_are_now_are_answered(bundled: Bundled, tmp_path: Path) -> None:
    place = tmp_path / "site.sqlite"
    filled(str(place), "of the site", "site").close()
    with conditions.open(place, bundled=bundled) as client:
        for stack in (["not-for-everybody"], [TAG, "site"], ["site", TAG]):
            with pytest.raises(TagNotFound):
                client.resolve(RUN, stack=stack)
        with pytest.raises((TagNotFound, PastUnknown)):
            client.resolve(RUN, stack=[f"{TAG}@1"])
    lacking = Bundled(bundled.path, (TAG, "promised"))
    with conditions.open(place, bundled=lacking) as client, pytest.raises(TagNotFound, match=r"site\.sqlite"):
        client.resolve(RUN, stack=["promised"])


def test_who_answered_first_answers_until_the_job_ends(bundled: Bundled, tmp_path: Path) -> None:
    place = tmp_path / "site.sqlite"
    filled(str(place), "of the site", "site").close()
    with conditions.open(place, bundled=bundled) as client:
        assert content(client) == "came along"
        filled(str(place), "of the site, later", TAG).close()
        assert client.path(client.get("net", Run(2, 2), stack=[TAG])).read_text() == "came along"
    with conditions.open(place, bundled=bundled) as client:
        assert content(client) == "of the site, later"


def test_a_job_that_used_it_is_recorded_and_replayed(bundled: Bundled, tmp_path: Path) -> None:
    place, record = tmp_path / "site.sqlite", tmp_path / "job.json"
    filled(str(place), "of the site", "site").close()
    with conditions.open(place, bundled=bundled, record=record) as client:
        assert content(client) == "came along"
    filled(str(place), "of the site, later", TAG).close()
    with conditions.open(place, bundled=bundled, replay=record) as client:
        assert content(client) == "came along"
    # The bytes are here: a replay needs nothing that is far away.
    with conditions.open(DEAD, bundled=bundled, replay=record) as client:
        assert content(client) == "came along"


def test_files_that_are_damaged_stop_the_job(bundled: Bundled, tmp_path: Path) -> None:
    place = tmp_path / "site.sqlite"
    filled(str(place), "of the site", "site").close()
    (payload,) = [path for path in (bundled.path.parent / "payloads").rglob("*") if path.is_file()]
    payload.write_text("came alone")
    with conditions.open(place, bundled=bundled) as client, pytest.raises(PayloadNotHere):
        content(client)
    bundled.path.write_bytes(bundled.path.read_bytes()[:5000])
    with conditions.open(place, bundled=bundled) as client, pytest.raises(BadSnapshot):
        content(client)
    with conditions.open(place, bundled=bundled) as client:  # who does not need it does not meet it
        assert content(client, "site") == "of the site"
