"""The folder of compiled tags lives as long as its server, and no killed server leaves one for good."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conditions.server.index_folder import index_folder

HOLD = """
import sys
from conditions.server.index_folder import index_folder
with index_folder(sys.argv[1]) as folder:
    (folder / "index").write_bytes(b"compiled")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_the_folder_goes_with_its_context(tmp_path: Path) -> None:
    with index_folder(tmp_path) as folder:
        (folder / "index").write_bytes(b"compiled")
        assert folder.parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_a_killed_servers_folder_is_removed_by_the_next_and_a_living_ones_is_not(tmp_path: Path) -> None:
    killed, living = _server(tmp_path), _server(tmp_path)
    assert len(list(tmp_path.iterdir())) == 2
    killed[0].kill()
    killed[0].communicate(timeout=30)
    with index_folder(tmp_path) as folder:
        assert {*tmp_path.iterdir()} == {living[1], folder}
        assert (living[1] / "index").read_bytes() == b"compiled"
    living[0].communicate(timeout=30)
    assert list(tmp_path.iterdir()) == []


def test_what_only_bears_the_name_is_left_alone(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    (tmp_path / "conditions-indexes-link").symlink_to(elsewhere)
    (tmp_path / "conditions-indexes-file").write_text("kept")
    with index_folder(tmp_path):
        assert (elsewhere / "kept").read_text() == "kept"
    left = {each.name for each in tmp_path.iterdir()}
    assert left == {"conditions-indexes-file", "conditions-indexes-link", "elsewhere"}


def _server(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    """A process that holds a folder until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())
