"""What a folder of a training holds: its files say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from conditions.catalogue import Catalogue
from smartbkg.errors import ModelMismatch
from smartbkg.publish.config import BY_DEFAULT, Publication, PublishConfig
from smartbkg.publish.gatgap import CHECKPOINT, CONVNET_FILES, EXPORT, read_convnet, read_gatgap
from smartbkg.publish.multiskim import read_multiskim
from smartbkg.publish.trained import METRICS, TrainedFiles
from smartbkg.publish.transaction import publish
from smartbkg.smartbackground import BATCHED_FILE, CONFIG_FILE, WEIGHTS_FILE

# Files that only one kind of training leaves, and who reads them.
_KINDS: Final[dict[tuple[str, ...], Callable[[Path], TrainedFiles]]] = {
    (CHECKPOINT, EXPORT): read_gatgap,
    CONVNET_FILES: read_convnet,
    (WEIGHTS_FILE, CONFIG_FILE, BATCHED_FILE): read_multiskim,
}


def publish_trained(directory: Path | str, catalogue: Catalogue, config: PublishConfig = BY_DEFAULT) -> Publication:
    """Publish what a training left in a folder, whatever it trained; raises as `read_trained` and `publish`."""
    return publish(read_trained(directory), catalogue, config)


def read_trained(directory: Path | str) -> TrainedFiles:
    """The files of a training, which must be finished and belong together.

    Raises:
        FileNotFoundError, NotAModel, ManifestMissing: a file is missing or damaged.
        ModelMismatch: the files are not of one training.
    """
    directory = Path(directory)
    found = [read for names, read in _KINDS.items() if any((directory / name).is_file() for name in names)]
    if not found:
        kinds = " or ".join(", ".join((*names, METRICS)) for names in _KINDS)
        raise FileNotFoundError(f"no training in {directory}: it would have the files {kinds}")
    if len(found) > 1:
        raise ModelMismatch(f"{directory} holds files of two kinds of trainings: give each a folder of its own")
    return found[0](directory)
