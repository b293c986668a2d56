"""A disk that is full: every command says so in one line and names the place, and nothing is lost."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import pytest

from conditions.store.session import open_store
from support.small_disk import on_small_disk

# Each script runs in a shell that stops at the first command that fails; `refused` turns a refusal into success.
PREAMBLE = """set -eu
refused() { if "$@"; then echo "not refused: $*" >&2; exit 9; else test $? -eq 1; fi; }
"""


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Where the small disk appears."""
    folder = tmp_path / "disk"
    folder.mkdir()
    return folder


def run_script(disk: Path, script: str, url: str, files: Path) -> str:
    """Run a script with the small disk as `$DISK`; returns what it said on stderr."""
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin",
        "DISK": str(disk),
        "CONDITIONS_URL": url,
        "CONDITIONS_FILES": str(files),
        "CONDITIONS_USER": "tester",
    }
    command = [*on_small_disk(disk), "sh", "-c", PREAMBLE + script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_an_upload_that_does_not_fit_is_refused_in_one_line_and_leaves_nothing(store_url: str, disk: Path) -> None:
    said = run_script(
        disk,
        """
        echo small | conditions payload upload - --name small
        head -c 4000000 /dev/zero | refused conditions payload upload - --name large
        test -z "$(ls "$DISK/payloads/incoming")"
        conditions payload verify small
        head -c 100000 /dev/zero | conditions payload upload - --name fits
        conditions db check
        test "$(conditions payload list | wc -l)" -eq 3
        """,
        store_url,
        disk / "payloads",
    )
    assert said.count("\n") == 1
    assert said.startswith(f"error: no space left in {disk / 'payloads'} after ")
    assert "nothing was kept" in said


def test_an_embedded_database_on_a_full_disk_keeps_what_it_has_and_goes_on_later(disk: Path, tmp_path: Path) -> None:
    said = run_script(
        disk,
        """
        echo small | conditions payload upload - --name small
        conditions tag create kept
        conditions iov add kept small always
        head -c 1900000 /dev/zero > "$DISK/filler" 2> /dev/null || true
        description=$(head -c 60000 /dev/zero | tr '\\0' x)
        n=0; while conditions tag create "more$n" --description "$description"; do n=$((n+1)); test $n -lt 40; done
        rm "$DISK/filler"
        conditions tag create after
        test "$(conditions tag list --name 'more*' --json | grep -c '"name"')" -eq $n
        conditions resolve --tag kept --run 7,1 --allow-open small
        test "$(conditions tag history kept | wc -l)" -eq 3
        conditions db check
        """,
        f"sqlite:///{disk / 'store.sqlite'}",
        tmp_path / "payloads",
    )
    assert said.count("\n") == 1
    assert said.startswith(f"error: no space left in {disk / 'store.sqlite'}")


def test_a_download_that_does_not_fit_leaves_nothing(sqlite_url: str, files_dir: Path, disk: Path) -> None:
    with open_store(sqlite_url, files_dir) as store:
        store.upload("large", io.BytesIO(bytes(4_000_000)))
    said = run_script(
        disk,
        """
        refused conditions payload download large -o "$DISK/copy"
        test -z "$(ls -A "$DISK")"
        """,
        sqlite_url,
        files_dir,
    )
    assert said.count("\n") == 1
    assert said.startswith(f"error: {disk / 'copy'} is not written: ")
