"""Places, told by their looks."""

from __future__ import annotations

from pathlib import Path

import pytest

from conditions.client.places import PlaceKind, as_places, kind_of, shown_place
from conditions.store.session import open_store
from support.providers import snapshot_of


def test_a_snapshot_is_told_from_a_store_by_its_header(sqlite_url: str, tmp_path: Path) -> None:
    with open_store(sqlite_url, tmp_path / "payloads") as store:
        store.create_tag("mc16")
        snapshot = snapshot_of(store, tmp_path / "named as it likes", "mc16")
    assert kind_of(snapshot) is kind_of(f"sqlite:///{snapshot}") is PlaceKind.SNAPSHOT
    assert kind_of(sqlite_url) is kind_of(tmp_path) is kind_of(tmp_path / "not there") is PlaceKind.STORE
    assert kind_of("postgresql://host/name") is PlaceKind.STORE
    assert kind_of("http://host") is kind_of("HTTPS://host/b2s/rest/") is PlaceKind.SERVER


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (None, ()),
        ("", ()),
        ("conditions.sqlite", ("conditions.sqlite",)),
        (Path("a b"), (Path("a b"),)),
        (["a b", Path("c")], ("a b", Path("c"))),
        ("https://one.org snap.sqlite", ("https://one.org", "snap.sqlite")),
        ("snap.sqlite https://one.org postgresql://h/n", ("snap.sqlite", "https://one.org", "postgresql://h/n")),
        ("my documents/conditions.sqlite", ("my documents/conditions.sqlite",)),
        ("sqlite:////home/my documents/conditions.sqlite", ("sqlite:////home/my documents/conditions.sqlite",)),
    ],
)
def test_a_text_may_name_several_places(where: str | None, expected: tuple[object, ...]) -> None:
    assert as_places(where) == expected


def test_what_is_there_decides_between_one_path_with_a_space_and_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert as_places("a b") == ("a b",)
    Path("b").touch()
    assert as_places("a b") == ("a", "b")
    Path("a b").touch()
    assert as_places("a b") == ("a b",)


def test_a_place_is_shown_without_its_password() -> None:
    assert shown_place("postgresql://ada:secret@host/name?password=secret") == "postgresql://host/name"
    assert shown_place("postgresql://ada:se/cr@et@host/name") == "postgresql://host/name"
    assert shown_place("https://host/a@b?token=secret") == "https://host/a@b"
    assert shown_place("https://ada:secret@host/b2s") == "https://host/b2s"
    assert shown_place(Path("/data/snap.sqlite")) == "/data/snap.sqlite"
