"""A wheel in a fresh environment, without torch and without a network: it filters with what came along."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import venv
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

from smartbkg.defaults import MAX_BYTES, TAGS, size_bytes
from smartbkg.events import read_metadata
from support.batches import some_events, write_events

ROOT = Path(__file__).parents[3]
NO_NETWORK = """
import socket

def refuse(*args, **kwargs):
    raise OSError("this environment has no network")

socket.socket.connect = socket.getaddrinfo = socket.create_connection = refuse
"""


class Installation:
    """Our wheel, and what it asks for at least, in an environment of its own; `home` is empty."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder], cwd=ROOT, check=True)
        (self.wheel,) = folder.glob("*.whl")
        venv.create(folder / "venv", with_pip=False)
        self.bin = folder / "venv" / "bin"
        (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
        pip = [sys.executable, "-m", "pip", "--python", str(self.bin / "python"), "install", "-q"]
        subprocess.run([*pip, "--no-deps", "--no-index", "--disable-pip-version-check", self.wheel], check=True)
        for name in _needed("smartbkg"):
            _link(name, site)
        (site / "sitecustomize.py").write_text(NO_NETWORK)

    def run(self, *command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command of the environment, started in `folder`."""
        return subprocess.run(
            [self.bin / command[0], *command[1:]],
            cwd=self.folder,
            env={"HOME": str(self.home), "PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            check=False,
        )


def _needed(name: str) -> set[str]:
    """Names of the distributions that one needs without its extras, as far as they are installed here."""
    found: set[str] = set()
    waiting = [name]
    while waiting:
        try:
            requires = distribution(waiting.pop()).requires or []
        except PackageNotFoundError:
            continue  # for another system
        for line in requires:
            needed = re.split(r"[^\w.-]", line)[0].lower()
            if "extra ==" not in line and needed not in found:
                found.add(needed)
                waiting.append(needed)
    return found


def _link(name: str, site: Path) -> None:
    try:
        files = distribution(name).files or []
    except PackageNotFoundError:
        return
    for top in {file.parts[0] for file in files} - {"..", "__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(distribution(name).locate_file(top))))


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    made = Installation(tmp_path_factory.mktemp("installation"))
    write_events(made.folder / "mixed.parquet", some_events(200))
    return made


def test_the_wheel_carries_the_snapshot_and_stays_small(installation: Installation) -> None:
    done = installation.run("smartbkg", "defaults", "verify", "--json")
    assert done.returncode == 0, done.stderr
    verified = json.loads(done.stdout)
    assert Path(verified["snapshot"]).is_relative_to(installation.folder / "venv")
    assert verified["size_bytes"] == size_bytes() <= MAX_BYTES


def test_there_is_no_torch_and_no_network_in_it(installation: Installation) -> None:
    assert "No module named 'torch'" in installation.run("python", "-c", "import torch").stderr
    assert "no network" in installation.run("python", "-c", "import socket; socket.create_connection(('a', 1))").stderr


@pytest.mark.parametrize("options", [(), ("--skims", "feiHadronic,feiSL")], ids=["gatgap", "multiskim"])
def test_a_fresh_installation_filters_and_says_with_what(installation: Installation, options: tuple[str, ...]) -> None:
    done = installation.run("smartbkg", "filter", "mixed.parquet", *options, "--seed", "1", "-o", "kept.parquet")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("conditions come from the defaults of this installation") == 1
    step: dict[str, Any] = read_metadata(installation.folder / "kept.parquet")["provenance"][-1]
    assert {model["tag"] for model in step["models"]} == {TAGS[1 if options else 0]}
    assert len(step["models"]) == (3 if options else 2)
    assert 0 < step["n_kept"] <= step["n_events"] == 200
    assert [path for path in installation.home.rglob("*") if "conditions" in path.name] == []


def test_switched_off_there_is_nothing(installation: Installation) -> None:
    off = {"SMARTBKG_DEFAULTS": "off", "XDG_DATA_HOME": str(installation.folder / "data")}
    done = installation.run("smartbkg", "filter", "mixed.parquet", "--seed", "1", "-o", "no.parquet", **off)
    assert done.returncode == 3
    assert "no tag 'SmartBKG_GATGAP'" in done.stderr
    assert not (installation.folder / "no.parquet").exists()
