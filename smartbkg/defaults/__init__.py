"""What comes along with an installation: trained filters in a snapshot, for jobs where no conditions are configured.

`snapshot.sqlite` and the folder `payloads` beside it are made by `tools/defaults` (`smartbkg defaults make`) and hold
the tags that the modules ask by default. `SMARTBKG_DEFAULTS=off` leaves them out.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from smartbkg.errors import UnknownName

GATGAP_TAG: Final = "SmartBKG_GATGAP"
MULTISKIM_TAG: Final = "SmartBackground"
TAGS: Final = (GATGAP_TAG, MULTISKIM_TAG)
SNAPSHOT: Final = "snapshot.sqlite"
PAYLOADS: Final = "payloads"
FOLDER: Final = Path(__file__).parent
VARIABLE: Final = "SMARTBKG_DEFAULTS"
# What all installations carry, whether they use it or not; a larger one would be felt in every container.
MAX_BYTES: Final = 20_000_000


def shipped_snapshot(environ: Mapping[str, str] | None = None) -> Path | None:
    """The snapshot that came along; None when it is switched off, or this copy of the program has none.

    Args:
        environ: of the job; None means this process'.

    Raises:
        UnknownName: the switch is neither on nor off.
    """
    switch = (os.environ if environ is None else environ).get(VARIABLE, "on").strip().lower() or "on"
    if switch not in ("on", "off"):
        raise UnknownName(f"value of {VARIABLE}", switch, ["on", "off"])
    path = FOLDER / SNAPSHOT
    return path if switch == "on" and path.is_file() else None


def size_bytes(folder: Path = FOLDER) -> int:
    """Bytes of a snapshot and its payload files."""
    files = [folder / SNAPSHOT, *(folder / PAYLOADS).rglob("*")]
    return sum(path.stat().st_size for path in files if path.is_file())
