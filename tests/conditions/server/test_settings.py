"""Settings, from the environment and back."""

from __future__ import annotations

import pytest

from conditions.errors import BadInputError
from conditions.server.settings import ServerSettings, parse_size


def test_settings_go_through_the_environment_unchanged() -> None:
    chosen = ServerSettings(
        store="sqlite:///x", files="s3://b/p", port=0, workers=3, trust_proxy=True, redirect=False, body_idle_s=1.5
    )
    assert ServerSettings.from_environment(chosen.to_environment()) == chosen
    assert ServerSettings.from_environment({}) == ServerSettings()
    assert ServerSettings().to_environment() == {}


def test_the_store_is_named_as_everywhere_else() -> None:
    found = ServerSettings.from_environment({"CONDITIONS_URL": "postgresql://x", "CONDITIONS_FILES": "/f"})
    assert (found.store, found.files) == ("postgresql://x", "/f")


@pytest.mark.parametrize(
    ("name", "text"),
    [("WORKERS", "many"), ("WORKERS", "0"), ("TRUST_PROXY", "perhaps"), ("PUBLIC_URL", "ftp://x"), ("THREADS", "-1")],
)
def test_what_cannot_be_meant_is_refused(name: str, text: str) -> None:
    with pytest.raises(BadInputError):
        ServerSettings.from_environment({f"CONDITIONS_SERVER_{name}": text})


@pytest.mark.parametrize(("text", "size"), [("1", 1), ("2k", 2048), ("3M", 3 << 20), ("2G", 2 << 30)])
def test_sizes_have_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "-1", "1.5G", "1T", "1 G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(BadInputError):
        parse_size(text)
