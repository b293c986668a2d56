"""The files of one training, as payloads that belong together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from smartbkg.errors import NotAModel
from smartbkg.evaluation.summary import evaluation_summary

METRICS = "metrics.json"


@dataclass(frozen=True)
class TrainedFiles:
    """The files of one training, checked to belong together.

    Attributes:
        paths: each file by the payload's name, the one that the others are made of first.
        bond: entry of the metadata that holds the sha256 of that first file, for all of them.
        metadata: kept with each payload: kind, metrics, digests, provenance.
        default_tag: which modules ask when nobody names a tag.
        description: of that tag.
    """

    paths: Mapping[str, Path]
    bond: str
    metadata: Mapping[str, Any]
    default_tag: str
    description: str

    @property
    def main(self) -> str:
        """Name of the payload that the others are made of."""
        return next(iter(self.paths))

    @cached_property
    def sha256_of(self) -> dict[str, str]:
        """sha256 of each file by the payload's name."""
        return {name: digest(path, "sha256") for name, path in self.paths.items()}

    @cached_property
    def md5_of(self) -> dict[str, str]:
        """md5 of each file by the payload's name."""
        return {name: digest(path, "md5") for name, path in self.paths.items()}


def digest(path: Path, kind: str = "sha256") -> str:
    """Digest of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def need_files(directory: Path, names: tuple[str, ...]) -> tuple[Path, ...]:
    """Paths of files that must be there.

    Raises:
        FileNotFoundError: with all that a finished training leaves.
    """
    for name in names:
        if not (directory / name).is_file():
            listed = f"{', '.join(names[:-1])} and {names[-1]}"
            raise FileNotFoundError(f"no file {directory / name}: a finished training leaves {listed}")
    return tuple(directory / name for name in names)


def read_metrics(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        NotAModel
    """
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise NotAModel(path, f"it is no JSON: {error}") from error
    if not isinstance(metrics, dict):
        raise NotAModel(path, "it is no JSON object")
    return metrics


def evaluated(directory: Path, sha256: set[str]) -> dict[str, Any]:
    """The entry of the metadata with the figures of `smartbkg evaluate --store-in`; none where it was not asked."""
    found = evaluation_summary(directory, sha256)
    return {} if found is None else {"evaluation": found}
