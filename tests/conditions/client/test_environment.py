"""The environment: our names first, Belle II's honoured."""

from __future__ import annotations

import pytest

from conditions.client.environment import Environment, read_environment

BELLE2 = {
    "BELLE2_CONDB_GLOBALTAG": "data main",
    "BELLE2_CONDB_METADATA": "https://one.org/b2s/rest /cvmfs/database.sqlite",
    "BELLE2_CONDB_PAYLOADS": "/cvmfs/payloads https://two.org",
    "BELLE2_CONDB_SERVERLIST": "https://three.org",
    "BELLE2_USER": "ada",
}


def test_nothing_is_set() -> None:
    assert read_environment({}) == Environment()


def test_the_names_of_belle2_are_honoured() -> None:
    assert read_environment(BELLE2) == Environment(
        tags=("data", "main"),
        providers=("https://one.org/b2s/rest", "/cvmfs/database.sqlite"),
        payloads=("/cvmfs/payloads", "https://two.org"),
        user="ada",
    )
    assert read_environment({"BELLE2_CONDB_SERVERLIST": "https://three.org https://four.org"}).providers == (
        "https://three.org",
        "https://four.org",
    )


@pytest.mark.parametrize(
    ("name", "value", "field", "expected"),
    [
        ("CONDITIONS_TAGS", "mc16  online\n", "tags", ("mc16", "online")),
        ("CONDITIONS_METADATA", "https://ours.org snap.sqlite", "providers", ("https://ours.org", "snap.sqlite")),
        ("CONDITIONS_URL", "/home/ada b/conditions.sqlite", "providers", ("/home/ada b/conditions.sqlite",)),
        ("CONDITIONS_PAYLOADS", "/data", "payloads", ("/data",)),
        ("CONDITIONS_TESTING", "a/database.txt b", "testing", ("a/database.txt", "b")),
        ("CONDITIONS_USER", "bob", "user", "bob"),
    ],
)
def test_our_own_names_go_first(name: str, value: str, field: str, expected: object) -> None:
    assert getattr(read_environment(BELLE2 | {name: value}), field) == expected


def test_an_empty_variable_is_none() -> None:
    assert read_environment({"CONDITIONS_TAGS": " ", "BELLE2_CONDB_GLOBALTAG": "main"}).tags == ("main",)


def test_providers_by_name_go_before_the_one_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONDITIONS_URL", "postgresql://host/name")
    assert read_environment().providers == ("postgresql://host/name",)
    assert read_environment().makes_store
    monkeypatch.setenv("CONDITIONS_METADATA", "https://ours.org")
    assert read_environment().providers == ("https://ours.org",)
    assert not read_environment().makes_store
