"""A disk of 2 MB for a command, so that full disks are tested on a real one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SIZE_BYTES = 2 * 1024 * 1024


def on_small_disk(folder: Path) -> list[str]:
    """Words before a command that give it a disk in this folder that only it sees, and that goes when it ends.

    Root mounts a tmpfs in a mount namespace, others do so in a user namespace of their own. Where neither is allowed,
    no file the command writes can grow beyond the size, which the store must bear as well.
    """
    own_disk = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    own_disk += ["sh", "-c", f'mount -t tmpfs -o size={SIZE_BYTES} none "$0" && exec "$@"', str(folder)]
    if subprocess.run([*own_disk, "true"], check=False, capture_output=True).returncode == 0:
        return own_disk
    return ["prlimit", f"--fsize={SIZE_BYTES}"]
