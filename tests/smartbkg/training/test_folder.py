"""One training at a time in a folder."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from smartbkg.errors import TrainingError
from smartbkg.training.folder import claimed

HOLD = "import sys; from pathlib import Path; from smartbkg.training.folder import claimed\n"
HOLD += "with claimed(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_a_folder_is_made_and_claimed_again_when_it_is_free(tmp_path: Path) -> None:
    for _ in range(2):
        with claimed(tmp_path / "new" / "folder"):
            assert (tmp_path / "new" / "folder").is_dir()


def test_a_claim_ends_with_an_error_inside(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), claimed(tmp_path):
        raise ZeroDivisionError
    with claimed(tmp_path):
        pass


def test_another_process_is_told_who_is_in_the_way_until_that_one_is_gone_even_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, tmp_path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        said = r"another training is at work in .*: wait until it has ended, or name"
        with pytest.raises(TrainingError, match=said), claimed(tmp_path):
            pytest.fail("two at a time")
        process.send_signal(signal.SIGKILL)
        process.wait()
    with claimed(tmp_path):
        pass
