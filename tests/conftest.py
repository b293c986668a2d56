"""What holds for all tests."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _without_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test gets the filters that came along unless it asks for them: a missing tag is a missing tag."""
    monkeypatch.setenv("SMARTBKG_DEFAULTS", "off")
