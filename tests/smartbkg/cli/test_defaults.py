"""`smartbkg defaults`: what came along is shown and verified, and made in stages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smartbkg.cli import main
from support.shipped import ship

GATGAP = ("GATGAPgen.onnx", "GATGAPgen.pth")
MULTISKIM = (
    "SmartBackgroundConfig_default",
    "SmartBackgroundWeights_default",
    "SmartBackgroundWeights_default_batched",
)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["defaults", *map(str, arguments)])


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    return ship(tmp_path / "shipped")


def test_payloads_are_shown_with_digests_tags_and_figures(snapshot: Path) -> None:
    shown = json.loads(run("show", "--snapshot", snapshot, "--json").stdout)
    by_name = {payload["name"]: payload for payload in shown["payloads"]}
    assert set(by_name) == {*GATGAP, *MULTISKIM}
    assert by_name["GATGAPgen.pth"]["metadata"]["skim"] == "feiHadronic"
    assert shown["tags"]["SmartBKG_GATGAP"]["state"] == "PUBLISHED"
    text = run("show", "--snapshot", snapshot).stdout
    for payload in by_name.values():
        assert payload["sha256"] in text
    assert text.index("SmartBKG_GATGAP") < text.index("GATGAPgen.pth") < text.index("trained on: 100 events")


def test_verified_means_every_byte(snapshot: Path) -> None:
    done = run("verify", "--snapshot", snapshot)
    assert done.exit_code == 0
    assert "5 payloads of SmartBKG_GATGAP, SmartBackground verified" in done.stdout
    verified = json.loads(run("verify", "--snapshot", snapshot, "--json").stdout)
    assert verified["verified"] == [f"{name} r1" for name in (*GATGAP, *MULTISKIM)]
    largest = max((snapshot.parent / "payloads").rglob("*.root"), key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[:-1] + b"?")
    damaged = run("verify", "--snapshot", snapshot)
    assert damaged.exit_code == 1
    assert largest.name.removesuffix("_r1.root") in damaged.stderr


def test_a_snapshot_that_is_not_there_says_how_one_is_made(tmp_path: Path) -> None:
    done = run("verify", "--snapshot", tmp_path / "no.sqlite")
    assert done.exit_code == 3
    assert "tools/defaults" in done.stderr


def test_payloads_that_nobody_evaluated_are_refused_on_request(snapshot: Path) -> None:
    done = run("verify", "--evaluated", "--snapshot", snapshot)
    assert done.exit_code == 1
    assert "GATGAPgen.onnx r1, GATGAPgen.pth r1" in done.stderr
